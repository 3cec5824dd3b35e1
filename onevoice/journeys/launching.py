"""Before a journey is launched: what it sends and whom it asks for are checked, and an error holds it back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from onevoice.content.checks import Circumstances, Finding, check_saved
from onevoice.journeys.document import Document, all_steps
from onevoice.journeys.entries import BY_EVENT
from onevoice.journeys.steps.call import CHANNEL, Call
from onevoice.journeys.steps.cascade import Cascade
from onevoice.journeys.steps.send import Send
from onevoice.kernel.errors import Conflict
from onevoice.segments import service as segments


def findings(connection: Connection, document: Document, told: Circumstances) -> list[Finding]:
    """The doubts about what a journey would send and the segments it asks about, errors first."""
    told = replace(told, event=document.entry.way in BY_EVENT)
    there = {one.name for one in segments.all_segments(connection)}
    found = [
        Finding("error", "no_segment", template=f"segment {name}") for name in sorted(document.segments - there)
    ] + check_saved(connection, sorted(set(used(document))), told)
    return sorted(found, key=lambda one: one.severity != "error")


def used(document: Document) -> Iterator[tuple[str, str]]:
    """The templates a journey sends, each with a channel it is sent on."""
    for _, step in all_steps(document.steps):
        if isinstance(step.asked, Send):
            yield step.asked.template, step.asked.channel
        elif isinstance(step.asked, Cascade):
            yield from ((send.template, send.channel) for send in step.asked.channels)
        elif isinstance(step.asked, Call):
            yield step.asked.template, CHANNEL


def hold_back(name: str, found: Sequence[Finding]) -> None:
    """Raises Conflict where there are errors, naming them."""
    refuse(name, [f"{one.template}: {one.said()}" for one in found if one.severity == "error"])


def refuse(name: str, errors: Sequence[str]) -> None:
    """Raises Conflict where there are errors, given as sentences."""
    if errors:
        listed = "; ".join(errors[:5]) + (f"; and {len(errors) - 5} more" if len(errors) > 5 else "")
        raise Conflict(f"Journey {name} cannot be launched as it is. {listed}. Mend it, or launch it `anyway`")
