"""How often and when a customer may be contacted, as the house has decided it: the document, the laws, quiet hours.

Pure: who is contacted is decided by the journeys, and asked again by the delivery.
"""

from onevoice.customers.contact.document import OPEN, SENSIBLE, Cap, ContactPolicy, ControlGroup, parse, written
from onevoice.customers.contact.quiet import Place, Quiet, quiet_until

__all__ = [
    "OPEN",
    "SENSIBLE",
    "Cap",
    "ContactPolicy",
    "ControlGroup",
    "Place",
    "Quiet",
    "parse",
    "quiet_until",
    "written",
]
