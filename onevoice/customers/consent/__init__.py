"""Consent: who may be contacted, on which channel, about what, and the proof of it.

`ledger` holds every word of a customer with its proof, appended and never changed; `rule` is the one answer to "may we
contact", by address for the worker's last check, and `everybody` the same set-based for segments and journeys;
`policies` says when a consent grows too old and where it must be confirmed; `soft_opt_in` where a purchase stands for a
consent.
"""

from onevoice.customers.consent.ledger import STATES, Consent, erase, record
from onevoice.customers.consent.rule import PERMITTED, Permission, permissions

__all__ = ["PERMITTED", "STATES", "Consent", "Permission", "erase", "permissions", "record"]
