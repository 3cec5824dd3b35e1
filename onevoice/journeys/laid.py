"""A version of a journey ready to be walked: its document laid out once, with what its expressions were built into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from onevoice.journeys.document import Document, Graph, all_steps, graph, parse
from onevoice.journeys.steps import Node, kind_of


@dataclass(frozen=True)
class Laid:
    """One version."""

    name: str
    version: int
    document: Document
    graph: Graph
    launched_at: datetime | None = None  # since when it takes people in; None: always
    moves: Mapping[str, str] = field(default_factory=dict)  # of who stands at a step of an older version
    built: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def remembered(self, key: Any, build: Callable[[], Any]) -> Any:
        """What `build` gives, built once: to build and compile an expression takes longer than to run it."""
        if key not in self.built:
            self.built[key] = build()
        return self.built[key]

    @property
    def has_jumps(self) -> bool:
        """Whether somebody may come to a step again."""
        return any(node.kind == "jump" for node in self.graph.nodes.values())

    @property
    def needs_habits(self) -> bool:
        """Whether a step asks what was learned of each person."""
        return any(kind_of(step).needs_habits(step.asked) for _, step in all_steps(self.document.steps))

    def node(self, key: str) -> Node | None:
        """A node, None where this version has none of the key."""
        return self.graph.nodes.get(key)


def laid(
    name: str,
    version: int,
    definition: Mapping[str, Any],
    launched_at: datetime | None = None,
    moves: Mapping[str, str] | None = None,
) -> Laid:
    """A version laid out; the same object for the same version while it is remembered. Raises InvalidInput."""
    return _laid(name, version, msgspec.json.encode(definition), launched_at, tuple(sorted((moves or {}).items())))


@lru_cache(maxsize=1_000)
def _laid(
    name: str, version: int, definition: bytes, launched_at: datetime | None, moves: tuple[tuple[str, str], ...]
) -> Laid:
    document = parse(msgspec.json.decode(definition))
    return Laid(name, version, document, graph(document), launched_at, dict(moves))
