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
from onevoice.journeys.document import Document, Policy, all_steps, parse, written
from onevoice.journeys.entries import Entry
from onevoice.journeys.laid import Laid, laid
from onevoice.journeys.leaving import fate
from onevoice.journeys.models import journey as table
from onevoice.journeys.sentences import Telling
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.steps import Node
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
    at: Node | None  # the same two as nodes, where their versions have them
    goes_on_at: Node | None

    def said(self, locale: str = "en") -> str:
        """As a sentence."""
        tell = Telling(locale)
        place = tell.place(self.at) if self.at else tell.name(self.step)
        to = tell.place(self.goes_on_at) if self.goes_on_at else tell.name(self.to)
        return tell.count(f"fate_{self.fate}", self.people, place=place, version=self.version, to=to)


def fates(versions: Sequence[SavedJourney], new: Laid, standing: Standing) -> list[Fate]:
    """What becomes of everybody in flight, by place."""
    older = {one.version: laid(one.name, one.version, one.definition) for one in versions}
    found = []
    for (version, step), people in sorted(standing.items()):
        if version != new.version and people:
            word, to = fate(new, older.get(version), step)
            old = older.get(version)
            found.append(Fate(version, step, people, word, to, old.node(step) if old else None, new.node(to)))
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


def places(connection: Connection, name: str, locale: str = "en") -> dict[str, str]:
    """What a person calls each place of a journey, by its key; those of older versions too. Raises NotFound."""
    tell, found = Telling(locale), dict[str, str]()
    for one in reversed(all_versions(connection, name)):
        found.update(tell.places(one.document))
    return found


def as_yaml(definition: Mapping[str, Any]) -> str:
    """The document as a file has it; read again, it is the same document."""
    return yaml.safe_dump(dict(definition), allow_unicode=True, sort_keys=False, width=120)


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """What changed, line by line of the YAML, as `diff -u` has it. Defaults are left out on either side."""
    before, after = (as_yaml(written(parse(dict(one)))).splitlines() if one else [] for one in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "saved", "new", lineterm=""))


def changes(old: Document | None, new: Document, locale: str = "en") -> list[str]:
    """What changed, a sentence each. All of a journey is new where there was none."""
    tell, found = Telling(locale), []
    for part, of in _PARTS.items():
        before, after = (of(tell, one) if one is not None else "" for one in (old, new))
        if before != after:
            key = "part_changed" if before else "part_new"
            found.append(tell.phrase(key, part=tell.term(part), after=after or tell.term("none"), before=before))
    steps = [
        {step.id: (step, tell.step(step)) for _, step in all_steps(one.steps)} if one else {} for one in (old, new)
    ]
    before_steps, after_steps = steps
    for name, (step, words) in after_steps.items():
        called = tell.name(name)
        if name not in before_steps:
            found.append(tell.phrase("step_new", step=called, said=words))
        elif before_steps[name][1] != words:
            found.append(tell.phrase("step_changed", step=called, after=words, before=before_steps[name][1]))
        elif before_steps[name][0] != step and not _same_but_within(before_steps[name][0], step):
            found.append(tell.phrase("step_detail", step=called))
    for name, (_, words) in before_steps.items():
        if name not in after_steps:
            found.append(tell.phrase("step_gone", step=tell.name(name), said=words))
    kept = [[name for name in one if name in before_steps and name in after_steps] for one in steps]
    if kept[0] != kept[1]:
        found.append(tell.phrase("order"))
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


_PARTS: dict[str, Callable[[Telling, Document], str]] = {
    "part_title": lambda tell, one: one.title,
    "part_entry": lambda tell, one: tell.entry(one.entry),
    "part_topic": lambda tell, one: tell.name(one.topic),
    "part_holdout": lambda tell, one: f"{tell.say.number(round(100 * one.holdout, 2))} %.",
    "part_control": lambda tell, one: tell.term("yes" if one.control else "no") + ".",
    "part_goal": lambda tell, one: tell.ends_by(one.goal),
    "part_exit": lambda tell, one: tell.ends_by(one.exit),
    "part_policy": lambda tell, one: _limits(tell, one.policy),
    "part_priority": lambda tell, one: f"{one.priority}." if one.priority else "",
    "part_transactional": lambda tell, one: tell.term("yes") + "." if one.transactional else "",
    "part_status": lambda tell, one: tell.term(one.status) + "." if one.status else "",
}
"""The parts of a document beside its steps, each in words."""


def _limits(tell: Telling, policy: Policy) -> str:
    said = []
    if policy.cap:
        length = tell.say.length(f"{policy.cap.days} days")
        said.append(tell.phrase("cap", messages=tell.count("messages", policy.cap.messages), length=length))
    if policy.quiet_hours:
        said.append(tell.phrase("quiet", start=policy.quiet_hours.start, end=policy.quiet_hours.end))
    said += [tell.phrase(name, length=tell.say.length(length)) for name, length in _waits(policy) if length]
    return f"{tell.listed(said)}." if said else ""


def _waits(policy: Policy) -> list[tuple[str, str]]:
    return [("gap", policy.gap), ("defer", policy.defer_for)]
