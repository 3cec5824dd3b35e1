"""What every part uses and what uses none: clock, ids, errors, settings, locales, logging."""
