"""A journey as a document: what a marketer writes in YAML, checked, and laid out as the graph that the tick walks.

Which steps there are is told in `steps/`, one file per kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.customers.contact.document import lasting
from onevoice.journeys import spans
from onevoice.journeys.assertions import Assertion, check_assertion
from onevoice.journeys.entries import Entry, check_entry
from onevoice.journeys.spans import Happening, Name, check_happening, duration
from onevoice.journeys.steps import KINDS, Layout, Node, Step, kind_of
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.tree import condition, segments_named

Status = Literal["draft", "live", "paused", "stopped", "archived"]

FINISH, LEAVE = "finish", "leave"
"""What `migrate` may say beside a step to move to: to go on with the old version to its end, or to go out."""

STEP_ID = r"[A-Za-z0-9_-]+"


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many messages in so many days, those of all journeys counted."""

    messages: Annotated[int, Meta(ge=1)]
    days: Annotated[int, Meta(ge=1, le=3_660)]


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """When nobody is contacted, by the customer's own clock; over midnight where `from` is later than `to`."""

    start: str
    end: str


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The journey's own limits on contact, beside the house's, which they can only tighten; see policy/."""

    cap: Cap | None = None
    quiet_hours: QuietHours | None = None
    gap: str = ""  # at the least so long after any other message
    defer_for: str = ""  # what could not be sent for so long is not sent any more


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole journey. `goal` and `exit` end it at any moment for whoever does what they say."""

    kind: Literal["journey"]
    name: Name
    entry: Entry
    topic: Name
    steps: list[Step]
    title: str = ""
    holdout: Annotated[float, Meta(ge=0, lt=1)] = 0.1  # share never contacted, so that the effect can be measured
    control: bool = True  # whether the global control group is left out too
    goal: Happening | None = None
    exit: Happening | None = None
    policy: Policy = msgspec.field(default_factory=Policy)
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0  # the higher comes first where two want the same person
    transactional: bool = False  # something the customer has asked for: sent before others, without marketing's limits
    status: Status | None = None  # None: as it is; a new journey is a draft
    asserts: list[Assertion] = msgspec.field(default_factory=list, name="assert")  # checked on a back-test
    # What becomes of who stands at a step of an older version: see moves.py.
    migrate: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def segments(self) -> set[str]:
        """The segments that it asks about, at its entry or on its way."""
        named = {name for name in (self.entry.segment, self.entry.left) if name}
        trees = [self.entry.who, *(happening.when for happening in (self.goal, self.exit) if happening)]
        for _, step in all_steps(self.steps):
            trees += kind_of(step).conditions(step.asked)
        return named.union(*(segments_named(condition(tree)) for tree in trees if tree))


@dataclass(frozen=True)
class Graph:
    """The document laid out: nodes by key, in an order in which a person who does not wait meets them."""

    first: str
    nodes: Mapping[str, Node]


def parse(document: Any) -> Document:
    """Checks a document. Raises InvalidInput naming the place and what is allowed there."""
    name = document.get("name", "") if isinstance(document, dict) else ""
    try:
        try:
            journey = msgspec.convert(document, Document, str_keys=True, dec_hook=_step)
        except msgspec.ValidationError as error:
            raise InvalidInput(_one_place(str(error))) from error
        _check(journey)
        graph(journey)
    except InvalidInput as error:
        raise InvalidInput(f"Journey {name!r}: {error}") from error
    return journey


def written(journey: Document) -> dict[str, Any]:
    """The document as plain values, ready for YAML or JSON, defaults left out; `parse` gives the same journey again."""
    values: dict[str, Any] = msgspec.to_builtins(journey, enc_hook=_plain, str_keys=True)
    return values


def graph(journey: Document) -> Graph:
    """The journey's nodes. Raises InvalidInput for a jump to nowhere, and for a loop in which nobody ever waits."""
    firsts: dict[str, str] = {}
    layout = Layout()

    def lay(steps: list[Step], after: str) -> str:
        for step in reversed(steps):
            after = firsts[step.id] = kind_of(step).lay(step, after, layout)
        return after

    layout.lay = lay
    first = lay(journey.steps, "")
    nodes = {key: _aimed(node, firsts) for key, node in layout.nodes.items()}
    _refuse_endless(nodes)
    return Graph(first, {key: nodes[key] for key in _order(nodes)})


def all_steps(steps: list[Step], place: str = "$.steps") -> Iterator[tuple[str, Step]]:
    """Every step, nested ones too, with its place in the document."""
    for number, step in enumerate(steps):
        here = f"{place}[{number}]"
        yield here, step
        for inner, nested in kind_of(step).nested(step.asked):
            yield from all_steps(nested, f"{here}.{step.kind}{inner}")


def clock_time(text: str, place: str = "$.policy.quiet_hours") -> time:
    """`21:00`. Raises InvalidInput."""
    return spans.clock_time(text, place)


def _step(kind: type, document: Any) -> Step:
    """A step of a document; a ValueError's text gets its place from msgspec."""
    if kind is not Step:
        raise NotImplementedError(kind)
    if not isinstance(document, dict):
        raise ValueError("expected a step: a mapping with `id` and one of " + ", ".join(KINDS))
    if unknown := [str(key) for key in document if key != "id" and key not in KINDS]:
        raise ValueError(f"there is no step `{unknown[0]}`; steps are {', '.join(KINDS)} - at `$.{unknown[0]}`")
    names = [key for key in document if key != "id"]
    if len(names) != 1:
        raise ValueError(f"give exactly one of {', '.join(KINDS)}")
    (name,) = names
    try:
        step_id = msgspec.convert(document.get("id"), Annotated[str, Meta(pattern=f"^{STEP_ID}$")])
    except msgspec.ValidationError as error:
        raise ValueError(f"{error} - at `$.id`") from error
    try:
        asked = msgspec.convert(document[name], KINDS[name].asked, str_keys=True, dec_hook=_step)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error} - at `$.{name}`") from error
    return Step(step_id, name, asked)


def _plain(value: Any) -> Any:
    if isinstance(value, Step):
        inner = msgspec.to_builtins(value.asked, enc_hook=_plain, str_keys=True)
        return {"id": value.id, value.kind: inner}
    raise NotImplementedError(type(value))


def _one_place(told: str) -> str:
    """An error's text with one place, where each nested step has added its own, the innermost first."""
    sentence, *places = told.split(" - at `")
    parts = [place.rstrip("`").removeprefix("$") for place in reversed(places)]
    return f"{sentence} - at `${''.join(parts)}`" if parts else sentence


def _check(journey: Document) -> None:
    check_entry(journey.entry, "$.entry")
    for name in ("goal", "exit"):
        happening = getattr(journey, name)
        if happening is not None:
            check_happening(happening, f"$.{name}")
    for number, assertion in enumerate(journey.asserts):
        check_assertion(assertion, f"$.assert[{number}]")
    hours = journey.policy.quiet_hours
    if hours and clock_time(hours.start, _QUIET + ".from") == clock_time(hours.end, _QUIET + ".to"):
        raise InvalidInput(f"quiet hours that end when they begin are none, or for ever - at `{_QUIET}`")
    for name in ("gap", "defer_for"):
        if length := getattr(journey.policy, name):
            lasting(length, f"$.policy.{name}")
    known: set[str] = set()
    for place, step in all_steps(journey.steps):
        if step.id in known:
            raise InvalidInput(f"two steps have the id `{step.id}` - at `{place}`")
        known.add(step.id)
        kind_of(step).check(step.asked, f"{place}.{step.kind}")
    for old, fate in journey.migrate.items():
        if fate not in (FINISH, LEAVE) and fate not in known:
            raise InvalidInput(
                f"expected {FINISH}, {LEAVE}, or a step of this version: {', '.join(sorted(known))} "
                f"- at `$.migrate.{old}`"
            )
    for place, step in all_steps(journey.steps):
        if step.kind == "jump" and step.asked.to not in known:
            raise InvalidInput(
                f"there is no step `{step.asked.to}`; steps are {', '.join(sorted(known))} - at `{place}`"
            )
    if all(kind_of(step).name in ("wait", "note", "jump", "exit") for _, step in all_steps(journey.steps)):
        raise InvalidInput("it does nothing; add a step such as `cascade` or `send` - at `$.steps`")


_QUIET = "$.policy.quiet_hours"


def _aimed(node: Node, firsts: Mapping[str, str]) -> Node:
    ways = {name: firsts[key[1:]] if key.startswith("*") else key for name, key in node.ways.items()}
    return Node(node.key, node.step, node.kind, node.asked, ways, node.part)


def _order(nodes: Mapping[str, Node]) -> list[str]:
    """The keys so that a node comes after all that lead to it, but by a jump: that goes on in the next round."""
    before: dict[str, set[str]] = {key: set() for key in nodes}
    for node in nodes.values():
        for way, key in node.ways.items():
            if key and way != "jump":
                before[key].add(node.key)
    return list(TopologicalSorter(before).static_order())


def _refuse_endless(nodes: Mapping[str, Node]) -> None:
    """A loop in which nobody ever waits would go round as fast as the engine does."""
    before = {
        node.key: [key for key in node.ways.values() if key and not _takes_time(nodes[key])] for node in nodes.values()
    }
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        steps = " → ".join(dict.fromkeys(nodes[key].step for key in reversed(error.args[1])))
        raise InvalidInput(
            f"the steps {steps} lead back to each other without a wait for a time, an event or a reply in between; "
            "add one - at `$.steps`"
        ) from error


def _takes_time(node: Node) -> bool:
    """Whether whoever comes there surely stands there for a while."""
    if node.part == "rest":
        return True
    asked = node.asked
    if node.kind != "wait" or node.part != "held":
        return False
    if isinstance(asked, str):
        return bool(duration(asked, ""))
    return bool(asked.event or asked.reply) or (asked.at is not None and asked.date is None)


__all__ = [
    "Cap",
    "Document",
    "Graph",
    "Policy",
    "QuietHours",
    "Status",
    "all_steps",
    "clock_time",
    "duration",
    "graph",
    "parse",
    "written",
]
