"""Shapes of consent, suppression and decisions about identity in the inbox, and of a suggested merge."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec


class ConsentEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the consent ledger. Namespace and value are given where the identifier may not be known yet."""

    identifier_id: int
    channel: str
    topic: str
    state: str  # granted, denied, withdrawn, soft_opt_in, pending
    occurred_at: datetime
    namespace: str = ""
    value: str = ""
    country: str = ""


class ConsentExpiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a consent grows too old: so many months after it was given; where several hold, the shortest counts."""

    months: Annotated[int, msgspec.Meta(ge=1, le=1200)]
    country: str = "*"
    channel: str = "*"
    topic: str = "*"
    state: Literal["*", "granted", "soft_opt_in"] = "*"
    why: str = ""


class SuppressionEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address that must not be contacted on a channel any more, or may be again."""

    channel: str
    address_hash: str  # hexadecimal
    reason: str
    occurred_at: datetime
    removed: bool = False


class FieldEvidence(msgspec.Struct, frozen=True):
    """What one field says about a pair."""

    field: str
    left: str | None
    right: str | None
    weight: float  # of the match weight, in bits; 0 where one of them lacks it


class Suggestion(msgspec.Struct, frozen=True):
    """Two customers that may be one; `left` is the lower id."""

    left: int
    right: int
    weight: float  # log2 of the odds
    probability: float
    prior: float  # the weight before any field is looked at
    evidence: tuple[FieldEvidence, ...]


class DecisionEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person decided about who is who. Ends are given as identifiers, since they may not be known yet."""

    decision_id: str
    action: str  # merge, part, block, undo; rebuild, which is about everybody
    person: str
    note: str
    decided_at: datetime
    namespace: str = ""
    value: str = ""
    other_namespace: str = ""  # empty for block
    other_value: str = ""
    undoes: str = ""
