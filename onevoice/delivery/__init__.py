"""From a decision to a message at the provider, once: queue, worker, tracking links, statuses."""
