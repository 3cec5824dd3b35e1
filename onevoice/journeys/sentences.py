"""A journey's entry and steps in words, one sentence each, for whoever reads what a new version changes."""

from collections.abc import Callable
from typing import Any

from onevoice.journeys.entries import Entry
from onevoice.journeys.spans import Happening
from onevoice.journeys.steps import Step
from onevoice.segments.sentence import sentence
from onevoice.segments.tree import condition


def entry_said(entry: Entry) -> str:
    """Who comes in."""
    words = _ways(entry)
    if entry.who is not None:
        words += f", if: {_asked(entry.who)}"
    again = {"never": "each once", "always": "as often as it happens", "per key": "once for each key"}
    return f"{words}; {again.get(entry.rule, f'again after {entry.rule}')}."


def _ways(entry: Entry) -> str:
    if entry.segment is not None:
        return f"who is in the segment {entry.segment}"
    if entry.left is not None:
        return f"who leaves the segment {entry.left}"
    if entry.event is not None:
        key = f", for each {entry.event.key}" if entry.event.key else ""
        return f"who does {entry.event.name}{_where(entry.event.where)}{key}"
    if entry.schedule is not None:
        schedule = entry.schedule
        when = f"every {schedule.every}" if schedule.every else ", ".join(str(day) for day in schedule.dates)
        on = f" on {', '.join(str(one) for one in schedule.on)}" if schedule.on else ""
        return f"{when}{on} at {schedule.at} ({schedule.zone})"
    if entry.date is not None:
        date = entry.date
        shift = "" if date.offset.startswith("0") else f", {date.offset}"
        return (
            f"{'every year on' if date.every == 'year' else 'on'} the day that {date.trait} says{shift}, at {date.at}"
        )
    return "whom the API lets in" if entry.api else f"who follows a code to {entry.code.to if entry.code else ''}"


def happening_said(asked: Happening) -> str:
    """What ends a journey."""
    if asked.event is not None:
        key = f" with the same {asked.key}" if asked.key else ""
        return f"{asked.event}{_where(asked.where)}{key}."
    return f"when: {_asked(asked.when or {})}."


def said(step: Step) -> str:
    """One step."""
    tell = _KINDS.get(step.kind)
    return tell(step.asked) if tell is not None else f"{step.kind} {step.asked}."


def _send(asked: Any) -> str:
    wait = "" if asked.wait.startswith("0") else f", then wait {asked.wait}"
    return f"{asked.channel} with {asked.template}{wait}"


def _cascade(asked: Any) -> str:
    first = "the channel first that each answers best: " if asked.order == "best" else ""
    stops = " or ".join(one if isinstance(one, str) else one.event for one in asked.stop_on) or "nothing"
    return f"Send by {first}{'; '.join(_send(send) for send in asked.channels)}. It stops on {stops}."


def _wait(asked: Any) -> str:
    if isinstance(asked, str):
        return f"Wait {asked}."
    if asked.event or asked.when or asked.reply:
        reply = f"a reply{f' by {asked.reply}' if isinstance(asked.reply, str) else ''}"
        what = f"{asked.event}{_where(asked.where)}" if asked.event else reply if asked.reply else _asked(asked.when)
        return f"Wait until {what}, {asked.timeout} at most."
    at = f" at {asked.at}" if asked.at else ""
    if asked.date is not None:
        return f"Wait until the day that {asked.date} says{f', {asked.offset}' if asked.offset else ''}{at}."
    return f"Wait until{at}{_days(asked.on)}."


def _days(days: list[str]) -> str:
    return f" on {', '.join(days)}" if days else ""


def _branch(asked: Any) -> str:
    names = [path.title or f"path {number + 1}" for number, path in enumerate(asked.paths)]
    paths = [f"{name}, if {_asked(path.condition)}" for name, path in zip(names, asked.paths, strict=True)]
    return f"Branch: {'; '.join(paths)}; else the others."


def _split(asked: Any) -> str:
    total = sum(variant.weight for variant in asked.variants)
    parts = ", ".join(f"{variant.name} {variant.weight / total:.0%}" for variant in asked.variants)
    if asked.winner:
        after = f"{asked.winner.people:,} people" if asked.winner.people else asked.winner.after
        return f"Split: {parts}; after {after} all go the way most {asked.winner.by}."
    return f"Split: {parts}{f'; dealt by what is most {asked.bandit.by}' if asked.bandit else ''}."


def _where(where: Any) -> str:
    return f" where {', '.join(f'{name} is {value}' for name, value in where.items())}" if where else ""


def _asked(tree: dict[str, Any]) -> str:
    return sentence(condition(tree), "en").rstrip(".")


_KINDS: dict[str, Callable[[Any], str]] = {
    "send": lambda asked: f"Send by {_send(asked)}.",
    "cascade": _cascade,
    "wait": _wait,
    "branch": _branch,
    "split": _split,
    "update": lambda asked: f"Set {', '.join(f'{name} to {value}' for name, value in asked.items())}.",
    "event": lambda asked: f"Tell the event {asked.name}.",
    "webhook": lambda asked: f"Call {asked.url}.",
    "call": lambda asked: f"A person calls, with {asked.template}.",
    "audience": lambda asked: f"{f'Onto the list {asked.add}' if asked.add else f'Off the list {asked.remove}'}.",
    "coupon": lambda asked: f"Give a coupon of {asked.pool}{f', valid {asked.valid}' if asked.valid else ''}.",
    "points": lambda asked: f"Give {asked.amount:,} points.",
    "note": lambda asked: f"Note: {asked}",
    "jump": lambda asked: f"Go on at {asked.to}, {asked.times} times at most.",
    "exit": lambda asked: f"Leave ({asked.reason}).",
}
