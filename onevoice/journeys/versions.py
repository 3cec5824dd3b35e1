"""What a new version changes: in words, as a difference of its YAML, and for the people in flight, step by step.

Nobody is moved here: what is said of people is what the tick will do, by the same function (`leaving.fate`).
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from sqlalchemy import Connection, select

from onevoice.journeys import service
from onevoice.journeys.document import Document, all_steps, parse, written
from onevoice.journeys.entries import Entry
from onevoice.journeys.laid import Laid, laid
from onevoice.journeys.leaving import MOVE, fate
from onevoice.journeys.models import journey as table
from onevoice.journeys.sentences import entry_said, happening_said, said
from onevoice.journeys.service import SavedJourney
from onevoice.kernel.errors import NotFound

Standing = Mapping[tuple[int, str], int]
"""How many stand where: by version and node."""


@dataclass(frozen=True)
class Fate:
    """What becomes of those who stand at a place of an older version."""

    version: int
    step: str  # the node's key
    people: int
    fate: str  # move, finish, leave
    to: str  # the node of the new version, where they move

    @property
    def said(self) -> str:
        """As a sentence."""
        who = f"{self.people:,} {'person' if self.people == 1 else 'people'} at {self.step} of version {self.version}"
        if self.fate == MOVE:
            goes = "goes" if self.people == 1 else "go"
            return f"{who} {goes} on at {self.to} of the new version."
        if self.fate == "finish":
            return f"{who} {'does' if self.people == 1 else 'do'} this step as version {self.version} has it."
        return f"{who} {'leaves' if self.people == 1 else 'leave'} the journey."


def fates(versions: Sequence[SavedJourney], new: Laid, standing: Standing) -> list[Fate]:
    """What becomes of everybody in flight, by place."""
    older = {one.version: laid(one.name, one.version, one.definition) for one in versions}
    found = []
    for (version, step), people in sorted(standing.items()):
        if version != new.version and people:
            word, to = fate(new, older.get(version), step)
            found.append(Fate(version, step, people, word, to))
    return found


def all_versions(connection: Connection, name: str) -> list[SavedJourney]:
    """Every version, the newest first. Raises NotFound."""
    rows = connection.execute(select(table).where(table.c.name == name).order_by(table.c.version.desc()))
    found = [service.saved(row) for row in rows]
    if not found:
        raise NotFound(f"There is no journey {name!r}")
    return found


def version(connection: Connection, name: str, number: int) -> SavedJourney:
    """One version. Raises NotFound."""
    for one in all_versions(connection, name):
        if one.version == number:
            return one
    raise NotFound(f"Journey {name} has no version {number}")


def revert(
    connection: Connection, name: str, number: int, now: datetime, moves: Mapping[str, str] | None = None, by: str = ""
) -> tuple[int, bool]:
    """Saves an earlier version's document as the newest, its status left as it is. Raises NotFound."""
    definition = {key: value for key, value in version(connection, name, number).definition.items() if key != "status"}
    return service.save(connection, definition, now, moves, by)


def as_yaml(definition: Mapping[str, Any]) -> str:
    """The document as a file has it; read again, it is the same document."""
    return yaml.safe_dump(dict(definition), allow_unicode=True, sort_keys=False, width=120)


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """What changed, line by line of the YAML, as `diff -u` has it. Defaults are left out on either side."""
    before, after = (as_yaml(written(parse(dict(one)))).splitlines() if one else [] for one in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "saved", "new", lineterm=""))


def changes(old: Document | None, new: Document) -> list[str]:
    """What changed, a sentence each. All of a journey is new where there was none."""
    found = []
    for title, of in _PARTS.items():
        before, after = (of(one) if one is not None else "" for one in (old, new))
        if before != after:
            found.append(f"{title}: {after or 'none'}" + (f" Before: {before}" if before else ""))
    steps = [{step.id: (step, said(step)) for _, step in all_steps(one.steps)} if one else {} for one in (old, new)]
    before_steps, after_steps = steps
    for name, (step, words) in after_steps.items():
        if name not in before_steps:
            found.append(f"Step {name} is new: {words}")
        elif before_steps[name][1] != words:
            found.append(f"Step {name}: {words} Before: {before_steps[name][1]}")
        elif before_steps[name][0] != step and not _same_but_within(before_steps[name][0], step):
            found.append(f"Step {name} changed in detail; see the difference.")
    found += [f"Step {name} is gone: {words}" for name, (_, words) in before_steps.items() if name not in after_steps]
    kept = [[name for name in one if name in before_steps and name in after_steps] for one in steps]
    if kept[0] != kept[1]:
        found.append("The steps come in another order.")
    return found


def _same_but_within(one: Any, other: Any) -> bool:
    """Whether two steps differ only in the steps nested in them, which are told of themselves."""
    plain = [yaml.safe_dump(_bare(step)) for step in (one, other)]
    return plain[0] == plain[1]


def _bare(step: Any) -> Any:
    document = written(Document(kind="journey", name="x", entry=Entry(segment="x"), topic="x", steps=[step]))["steps"][
        0
    ]
    return _without_steps(document)


def _without_steps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_steps(one) for key, one in value.items() if key not in ("steps", "then", "else")}
    return [_without_steps(one) for one in value] if isinstance(value, list) else value


_PARTS: dict[str, Callable[[Document], str]] = {
    "Title": lambda one: one.title,
    "Entry": lambda one: entry_said(one.entry),
    "Topic": lambda one: one.topic,
    "Hold-out": lambda one: f"{one.holdout:.0%}",
    "Goal": lambda one: happening_said(one.goal) if one.goal else "",
    "Exit": lambda one: happening_said(one.exit) if one.exit else "",
    "Contact policy": lambda one: _flat(written(one).get("policy", {})),
    "Priority": lambda one: str(one.priority) if one.priority else "",
    "Transactional": lambda one: "yes" if one.transactional else "",
    "Status": lambda one: one.status or "",
}
"""The parts of a document beside its steps, each in words."""


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(one)}" for key, one in value.items())
    return ", ".join(_flat(one) for one in value) if isinstance(value, list) else str(value)
