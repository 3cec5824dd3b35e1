"""What must hold of a journey, said in its document (`assert`) and checked on a back-test: see backtest/checks.py."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from onevoice.journeys.spans import Name
from onevoice.kernel.errors import InvalidInput

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]


class Messages(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most so many messages of this journey to one person: in all, or within any day, 7 or 30 days in a row."""

    at_most: Count
    per: Literal["journey", "day", "week", "month"] = "journey"
    channel: Name | None = None


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the messages cost at most: in all, or on average per person who came in."""

    at_most: Amount
    per: Literal["journey", "person"] = "journey"


class Entries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many people come in within the window."""

    at_least: Count | None = None
    at_most: Count | None = None


class Never(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """No message (on the channel) to somebody who has done the event since they came in."""

    after: Name
    channel: Name | None = None


class Assertion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of its kinds. `nobody_in`: no message to somebody who is then in the segment."""

    messages: Messages | None = None
    cost: Cost | None = None
    entries: Entries | None = None
    never: Never | None = None
    nobody_in: Name | None = None


KINDS = ("messages", "cost", "entries", "never", "nobody_in")


def check_assertion(assertion: Assertion, place: str) -> None:
    """Raises InvalidInput naming the place that is wrong."""
    if sum(getattr(assertion, kind) is not None for kind in KINDS) != 1:
        raise InvalidInput(f"give exactly one of {', '.join(KINDS)} - at `{place}`")
    entries = assertion.entries
    if entries is not None and entries.at_least is None and entries.at_most is None:
        raise InvalidInput(f"give at_least, at_most, or both - at `{place}.entries`")
