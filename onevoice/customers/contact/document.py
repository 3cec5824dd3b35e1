"""The contact policy of the house, as a document: how often and when anybody is contacted at all.

    kind: contact_policy
    name: default
    quiet_hours: [{from: "21:00", to: "08:00"}]
    exempt: [email]
    laws: true
    caps: [{messages: 1, per: day}, {messages: 4, per: week}, {messages: 1, per: week, channel: sms}]
    gap: 2 hours
    gaps: {sms: 2 days}
    control_group: {share: 0.05, salt: "2026"}
    defer_for: 3 days

Consent and suppression are no part of it: they are the customers' own word, and always asked.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.customers.contact.laws import LAWS
from onevoice.customers.contact.quiet import ANY, LONGEST, MIDNIGHT, Place, Quiet, holding, quiet_until
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.lengths import length_of

NAME = "default"
"""There is one policy of the house."""

LONGEST_SPAN = timedelta(days=3_660)

SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
"""What a cap's `per` may be called; each rolls with the time, so that its end is an instant."""


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most so many messages within a while, those of all journeys counted: on a channel, about a topic, or any."""

    messages: Annotated[int, Meta(ge=1)]
    per: str  # day, week, month, or a length such as `10 days`
    channel: str = ""
    topic: str = ""

    @property
    def span(self) -> timedelta:
        """How far back it looks."""
        return SPANS.get(self.per) or lasting(self.per, "$.caps")

    def holds(self, channel: str, topic: str) -> bool:
        """Whether it limits messages of this kind."""
        return self.channel in ("", channel) and self.topic in ("", topic)

    @property
    def told(self) -> str:
        """In few words."""
        where = "".join(f" {word}" for word in (self.channel, self.topic) if word)
        return f"{self.messages}/{self.per}{where}"


class ControlGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A share of the customers whom no journey contacts; another salt deals them anew."""

    share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    salt: str = ""


class ContactPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The document. As it stands without any field, nothing is limited."""

    kind: Literal["contact_policy"] = "contact_policy"
    name: Literal["default"] = "default"
    quiet_hours: tuple[Quiet, ...] = ()
    exempt: tuple[str, ...] = ()  # channels that have no quiet hours but those that name them
    laws: bool = False  # also the quiet hours that laws ask for (laws.py)
    caps: tuple[Cap, ...] = ()
    gap: str = ""  # at the least so long between any two messages
    gaps: dict[str, str] = {}  # and between two on the same channel
    control_group: ControlGroup = ControlGroup()
    defer_for: str = "3 days"  # what could not be sent for so long is not sent any more

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self, order="deterministic"))

    @property
    def patience(self) -> timedelta:
        """How long a message may be put off."""
        return lasting(self.defer_for, "$.defer_for")

    def gaps_on(self, channel: str) -> tuple[timedelta, timedelta]:
        """At least how long after any message, and after one on the channel."""
        on_it = self.gaps.get(channel)
        return lasting(self.gap, "$.gap") if self.gap else timedelta(), lasting(on_it, "$") if on_it else timedelta()

    @property
    def all_quiet(self) -> tuple[Quiet, ...]:
        """The quiet hours of all channels."""
        return (*self.quiet_hours, *(LAWS if self.laws else ()))

    def quiet_on(self, channel: str) -> tuple[Quiet, ...]:
        """The quiet hours of a channel."""
        return holding(self.all_quiet, channel, self.exempt)


OPEN = ContactPolicy()
"""No limits."""

SENSIBLE = ContactPolicy(
    quiet_hours=(Quiet("21:00", "08:00"),),
    exempt=("email",),
    laws=True,
    caps=(Cap(2, "day"), Cap(5, "week"), Cap(2, "week", "sms")),
)
"""What holds where the house has not decided anything."""


def lasting(text: str, place: str) -> timedelta:
    """`3 days`, `2 hours`, `30 minutes`, `1 week`. Raises InvalidInput."""
    length = length_of(text)
    if length is None or not timedelta() < length <= LONGEST_SPAN:
        raise InvalidInput(f"a length of time is written like `2 hours` or `7 days`; not {text!r} - at `{place}`")
    return length


def parse(document: Any) -> ContactPolicy:
    """Checks a document. Raises InvalidInput naming the place and what is allowed there."""
    try:
        policy = msgspec.convert(document, ContactPolicy)
        _check(policy)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Contact policy: {error}") from error
    except InvalidInput as error:
        raise InvalidInput(f"Contact policy: {error}") from error
    return policy


def written(policy: ContactPolicy) -> dict[str, Any]:
    """The document as plain values, defaults left out but `kind` and `name`; `parse` gives the same policy again."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(policy))
    return {"kind": "contact_policy", "name": NAME, **values}


def _check(policy: ContactPolicy) -> None:
    for number, window in enumerate(policy.quiet_hours):
        check_window(window, f"$.quiet_hours[{number}]")
    for number, cap in enumerate(policy.caps):
        if cap.per not in SPANS:
            lasting(cap.per, f"$.caps[{number}].per")
    for name, text in (("gap", policy.gap), *((f"gaps.{one}", text) for one, text in policy.gaps.items())):
        if text or "." in name:
            lasting(text, f"$.{name}")
    lasting(policy.defer_for, "$.defer_for")
    _refuse_endless(policy)


def check_window(window: Quiet, place: str) -> None:
    """Raises InvalidInput unless its times can be read and it is of some length."""
    for name, text in (("from", window.start), ("to", window.end)):
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) and (name, text) != ("to", MIDNIGHT):
            raise InvalidInput(f"a time of day is written HH:MM, such as `21:00`; not {text!r} - at `{place}.{name}`")
    if window.start == window.end:
        raise InvalidInput(f"quiet hours that end when they begin are none, or for ever - at `{place}`")
    if window.region != ANY and window.country == ANY:
        raise InvalidInput(f"a region needs its country - at `{place}`")


def _refuse_endless(policy: ContactPolicy) -> None:
    """Quiet hours that leave no time to write at all."""
    places = {Place("UTC", window.country, window.region) for window in policy.quiet_hours} | {Place("UTC")}
    channels = {channel for window in policy.quiet_hours for channel in window.channels} | {""}
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    for place in places:
        for channel in channels:
            quiet = quiet_until(policy.quiet_on(channel), place, monday)
            if quiet and quiet >= monday + LONGEST:
                where = f" in {place.country}" if place.country not in ("", ANY) else ""
                raise InvalidInput(f"these quiet hours leave no hour of the week to write{where} - at `$.quiet_hours`")
