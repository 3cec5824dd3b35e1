"""What every kind of step is made of: one file per kind, all of one shape, so that other parts can register theirs.

A kind says what its part of a document may hold (`asked`, a msgspec struct, or a type such as `str`), how that is
checked, which steps are nested in it, into which nodes of the graph it is laid out, and how people are moved on there.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ibis.expr.types as ir

from onevoice.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn

END = ""
"""Where a way leads that leaves the journey at its end."""


class Step:
    """One step of a document: its id, its kind, and what the kind is asked.

    No dataclass: msgspec would read one by itself, field by field, and a step is written `{id: ..., KIND: ...}`.
    """

    __slots__ = ("asked", "id", "kind")

    def __init__(self, id: str, kind: str, asked: Any) -> None:
        self.id, self.kind, self.asked = id, kind, asked

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and (self.id, self.kind, self.asked) == (other.id, other.kind, other.asked)

    def __repr__(self) -> str:
        return f"Step({self.id!r}, {self.kind!r}, {self.asked!r})"

    __hash__ = None  # type: ignore[assignment]  # what it is asked may hold lists


@dataclass(frozen=True)
class Node:
    """A place where a person stands until it is due: then the step's kind moves them on by one of the ways."""

    key: str  # `step`, or `step/0`, as in enrolments.step
    step: str
    kind: str
    asked: Any
    ways: Mapping[str, str]  # by name, the key of the node that follows; END at the end
    part: str = ""  # which of the step's nodes it is: a cascade's place, a wait's `held`


@dataclass
class Layout:
    """A graph in the making. It is laid from the end: each step is told what follows it."""

    nodes: dict[str, Node] = field(default_factory=dict)
    lay: Callable[[list[Step], str], str] = field(default=lambda steps, after: after)
    """Lays out nested steps before a key; gives the key of the first node."""

    def add(self, step: Step, ways: Mapping[str, str], part: str = "", asked: Any = None) -> str:
        """Adds a node; gives its key."""
        key = f"{step.id}/{part}" if part else step.id
        self.nodes[key] = Node(key, step.id, step.kind, step.asked if asked is None else asked, ways, part)
        return key


A = TypeVar("A")


def _one_node(step: Step, after: str, layout: Layout) -> str:
    return layout.add(step, {"next": after})


@dataclass(frozen=True)
class StepKind(Generic[A]):
    """One kind of step."""

    name: str
    asked: type[A]
    check: Callable[[A, str], None] = field(default=lambda asked, place: None)
    """Raises InvalidInput naming the place."""
    nested: Callable[[A], Iterator[tuple[str, list[Step]]]] = field(default=lambda asked: iter(()))
    """The steps inside, each list with its place within the step (`.paths[0].steps`)."""
    lay: Callable[[Step, str, Layout], str] = _one_node
    """Adds the step's nodes, given the key of what follows; gives the key of its first."""
    conditions: Callable[[A], list[dict[str, Any] | None]] = field(default=lambda asked: [])
    """The condition trees it asks."""
    move: Callable[["Turn", ir.Table], ir.Table] = field(
        default=lambda turn, here: turn.remembered("moved", lambda: turn.go(here))
    )
    """Moves those on who are due at a node: see turn.py. At first they just go on."""
    likeness: Callable[[Node], Hashable | None] = field(default=lambda node: None)
    """What nodes of several journeys must have in common to be walked by the same statements; None: each alone."""
    tells: Callable[[Node], Mapping[str, str | int]] = field(default=lambda node: {})
    """What those tell each of its own, as columns beside their people."""
    contacts: bool = False
    """Whether it may reach the customer."""
    needs_habits: Callable[[A], bool] = field(default=lambda asked: False)
    """Whether it asks what was learned of each person (habits.py)."""


AnyKind = StepKind[Any]

KINDS: dict[str, AnyKind] = {}


def register(kind: AnyKind) -> None:
    """Makes a kind of step known. A part above journeys registers its own; documents may use it from then on."""
    KINDS[kind.name] = kind


def kind_of(step: Step | Node) -> AnyKind:
    """The kind of a step or node. Raises InvalidInput where the part that registered it is not there."""
    if step.kind not in KINDS:
        raise InvalidInput(f"there is no step `{step.kind}`; steps are {', '.join(KINDS)}")
    return KINDS[step.kind]
