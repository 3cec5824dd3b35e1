"""One customer from many identifiers: links, profiles, addresses, consent, suppression."""
