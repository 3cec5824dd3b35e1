"""How a message leaves and how news of it comes back: the adapter protocol and one file per provider."""
