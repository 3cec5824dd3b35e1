"""Consent: who may be contacted, on which channel, about what, and the proof of it.

`ledger` holds every word of a customer with its proof, appended and never changed; `rule` is the one answer to "may we
contact", set-based for segments and journeys, and by address for the worker's last check; `policies` says when a
consent grows too old and where it must be confirmed; `soft_opt_in` where a purchase stands for a consent.
"""

from onevoice.customers.consent.ledger import STATES, Consent, erase, record
from onevoice.customers.consent.rule import PERMITTED, Permission, expiries, permission, permissions

__all__ = ["PERMITTED", "STATES", "Consent", "Permission", "erase", "expiries", "permission", "permissions", "record"]
