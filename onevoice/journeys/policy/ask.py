"""What the contact policy is asked: about which message of which journey, under which rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from onevoice.customers.contact import Cap, ContactPolicy, Quiet
from onevoice.customers.contact.document import OPEN, lasting
from onevoice.journeys.document import Document, Policy
from onevoice.journeys.laid import Laid
from onevoice.journeys.steps import Node, kind_of

_LIMITLESS = Policy()

TOLD = "told_"
"""Begins the names of columns that are one journey's own, where several are asked about at once."""


@dataclass(frozen=True)
class Contender:
    """A place in a live journey whose people get a message next: it may be a better one for them today."""

    journey: str
    version: int
    step: str  # the node at which they stand
    channel: str
    topic: str
    priority: int
    patience: timedelta


@dataclass(frozen=True)
class House:
    """What holds for all journeys: the contact policy, and what else is live."""

    policy: ContactPolicy = OPEN
    contenders: tuple[Contender, ...] = ()


NOTHING = House()


@dataclass(frozen=True)
class Ask:
    """One message to many. The journey's own policy can only tighten the house's: limits are added, none is lifted.

    Where it is of `several` journeys that ask alike, the candidates have `journey` and `step` as columns.
    """

    journey: str
    step: str  # the node's key
    channel: str
    topic: str
    transactional: bool = False  # what the customer has asked for: no consent, limits or control group
    priority: int = 0
    own: Policy = _LIMITLESS
    house: House = NOTHING
    control: bool = True  # whether the global control group is left out
    once: bool = False  # whether nobody can be in the journey twice
    several: bool = False

    @property
    def caps(self) -> tuple[Cap, ...]:
        """The caps that limit it."""
        if self.transactional:
            return ()
        own = (Cap(self.own.cap.messages, f"{self.own.cap.days} days"),) if self.own.cap else ()
        held = [cap for cap in (*self.house.policy.caps, *own) if cap.holds(self.channel, self.topic)]
        return tuple(dict.fromkeys(held))

    @property
    def gaps(self) -> tuple[timedelta, timedelta]:
        """At least how long after any message, and after one on the channel."""
        if self.transactional:
            return timedelta(), timedelta()
        any_, on_it = self.house.policy.gaps_on(self.channel)
        own = lasting(self.own.gap, "$.policy.gap") if self.own.gap else timedelta()
        return max(any_, own), on_it

    @property
    def windows(self) -> tuple[Quiet, ...]:
        """The quiet hours that hold for it."""
        if self.transactional:
            return ()
        hours = self.own.quiet_hours
        own = (Quiet(hours.start, hours.end),) if hours else ()
        return (*self.house.policy.quiet_on(self.channel), *own)

    @property
    def patience(self) -> timedelta:
        """How long it may be put off."""
        return _patience(self.house.policy, self.own)

    @property
    def held_out(self) -> float:
        """The share of the global control group."""
        return self.house.policy.control_group.share if self.control and not self.transactional else 0.0

    @property
    def rivals(self) -> tuple[Contender, ...]:
        """Places of other journeys from which a message may outrank this one."""
        if not self.caps:
            return ()
        return tuple(
            one for one in self.house.contenders if one.journey != self.journey and one.priority >= self.priority
        )


def asked(journey: Laid, node: Node, channel: str, house: House, several: bool = False) -> Ask:
    """About a message of a journey's node, or of `several` that are like it."""
    document: Document = journey.document
    return Ask(
        "" if several else journey.name,
        "" if several else node.key,
        channel,
        document.topic,
        document.transactional,
        document.priority,
        document.policy,
        house,
        document.control,
        document.entry.rule == "never",
        several,
    )


def house(policy: ContactPolicy, journeys: Mapping[tuple[str, int], Laid]) -> House:
    """What holds for all of these journeys."""
    found = [contender for journey in journeys.values() for contender in _contenders(policy, journey)]
    return House(policy, tuple(sorted(found, key=lambda one: (one.journey, one.version, one.step))))


def _contenders(policy: ContactPolicy, journey: Laid) -> list[Contender]:
    document = journey.document
    if document.transactional:
        return []
    patience = _patience(policy, document.policy)
    return [
        Contender(journey.name, journey.version, node.key, found[1], document.topic, document.priority, patience)
        for node in journey.graph.nodes.values()
        if (found := next_message(journey, node)) is not None
    ]


def next_message(journey: Laid, node: Node | None) -> tuple[Node, str] | None:
    """The node and channel of the message that whoever stands at the node gets when they are due; None where none is
    sure."""
    seen: set[str] = set()
    while node is not None and node.key not in seen:
        seen.add(node.key)
        if kind_of(node).contacts and node.part != "rest":
            sends = getattr(node.asked, "channels", None)
            return node, str(sends[int(node.part)].channel if sends is not None else node.asked.channel)
        if (node.kind != "wait" and node.part != "rest") or set(node.ways) != {"next"}:
            return None
        node = journey.node(node.ways["next"])
    return None


def _patience(policy: ContactPolicy, own: Policy) -> timedelta:
    patience = policy.patience
    return min(patience, lasting(own.defer_for, "$.policy.defer_for")) if own.defer_for else patience
