"""Shapes in which consent and suppression enter by the inbox."""

from datetime import datetime

import msgspec


class ConsentEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the consent ledger. Namespace and value are given where the identifier may not be known yet."""

    identifier_id: int
    channel: str
    topic: str
    state: str  # granted, denied, withdrawn
    occurred_at: datetime
    namespace: str = ""
    value: str = ""


class SuppressionEntry(msgspec.Struct, frozen=True):
    """An address that must not be contacted on a channel any more."""

    channel: str
    address_hash: str  # hexadecimal
    reason: str
    occurred_at: datetime
