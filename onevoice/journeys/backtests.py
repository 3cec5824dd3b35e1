"""Back-tests as they are asked for and kept: a row each, which the engine takes up one at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Row, select, update

from onevoice.customers.contact import store as contact
from onevoice.journeys.assertions import Assertion
from onevoice.journeys.backtest.checks import Verdict
from onevoice.journeys.backtest.replay import Plan, fineness
from onevoice.journeys.backtest.scratch import Known, Window
from onevoice.journeys.backtest.trial import Trial
from onevoice.journeys.document import parse, written
from onevoice.journeys.models import backtest, backtest_example
from onevoice.journeys.service import SavedJourney
from onevoice.journeys.verdicts import asserted, found
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.segments import service as segments
from onevoice.segments.service import SavedSegment
from onevoice.segments.tree import condition

State = Literal["waiting", "running", "done", "failed", "cancelling", "cancelled"]

OVER = ("done", "failed", "cancelled")

WINDOW = timedelta(days=90)
"""What is looked back at where nobody says."""

LONGEST = timedelta(days=731)


class Asked(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}
):
    """The window and how it is seen. `segments`: documents to be used in place of those saved, or beside them."""

    start: datetime
    end: datetime
    every_seconds: Annotated[int, Meta(ge=900, le=86_400)]
    known: Known = "then"
    reacting: bool = True
    segments: list[dict[str, Any]] = msgspec.field(default_factory=list)
    version: int = 0  # of the saved journey; 0 where the document is not saved


def ask(
    connection: Connection,
    document: Mapping[str, Any],
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    every: timedelta | None = None,
    known: Known = "then",
    reacting: bool = True,
    with_segments: Sequence[Mapping[str, Any]] = (),
    version: int = 0,
) -> UUID:
    """Puts a back-test in line; the engine runs it. Raises InvalidInput for what cannot be run."""
    journey = parse(dict(document))
    end = end or now
    start = start or end - WINDOW
    if end > now:
        raise InvalidInput("A back-test looks back: let it end now or before")
    if not timedelta(0) < end - start <= LONGEST:
        raise InvalidInput(f"A back-test runs from one instant to a later one, {LONGEST.days} days at most")
    asked = Asked(
        start,
        end,
        int((every or fineness(journey)).total_seconds()),
        known,
        reacting,
        [dict(one) for one in with_segments],
        version,
    )
    try:
        asked = msgspec.convert(msgspec.to_builtins(asked), Asked)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"every: between 15 minutes and a day ({error})") from error
    there = {segment.name for segment in _segments(connection, asked)}
    if missing := journey.segments - there:
        raise InvalidInput(f"There is no segment {', '.join(sorted(missing))}; save it, or hand it in too")
    number = uuid4()
    connection.execute(
        backtest.insert().values(
            id=number,
            journey=journey.name,
            definition=written(journey),
            asked=msgspec.to_builtins(asked),
            state="waiting",
            asked_at=now,
        )
    )
    return number


def plan_of(connection: Connection, row: Row[Any]) -> Plan:
    """What a row asks to be played."""
    asked = msgspec.convert(row.asked, Asked)
    journey = SavedJourney(row.journey, asked.version, "live", row.asked_at, row.definition)
    window = Window(asked.start, asked.end, asked.known)
    every = timedelta(seconds=asked.every_seconds)
    policy = contact.current(connection).policy
    return Plan(journey, _segments(connection, asked), window, every, asked.reacting, policy)


def _segments(connection: Connection, asked: Asked) -> list[SavedSegment]:
    """Those saved, with those handed in, in their place or beside them."""
    known = {segment.name: segment for segment in segments.all_segments(connection)}
    for document in asked.segments:
        name = document.get("name")
        if not isinstance(name, str):
            raise InvalidInput("A segment needs a `name`, a text")
        condition(document.get("where"), f"Segment {name}, where")
        known[name] = SavedSegment(name, 0, document)
    return [known[name] for name in sorted(known)]


def one(connection: Connection, number: UUID, locale: str = "en") -> dict[str, Any]:
    """A back-test with its result, what it asserts said in the language of the locale. Raises NotFound."""
    row = connection.execute(select(backtest).where(backtest.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"There is no back-test {number}")
    told = _listed(row)
    examples = connection.execute(select(backtest_example).where(backtest_example.c.backtest_id == number))
    by_assertion = {
        example.assertion: {"customer_id": str(example.customer_id), "timeline": example.timeline}
        for example in examples
    }
    if row.result is not None:
        asserts = parse(row.definition).asserts
        checks = [
            {
                **_in_words(asserts[check["assertion"]], check, locale),
                "example": by_assertion.get(check["assertion"]),
            }
            for check in row.result["checks"]
        ]
        told["result"] = {**row.result, "checks": checks}
    return {**told, "definition": row.definition}


def listed(connection: Connection, journey: str, limit: int = 20) -> list[dict[str, Any]]:
    """A journey's back-tests, the newest first, without their results."""
    newest = select(backtest).where(backtest.c.journey == journey).order_by(backtest.c.asked_at.desc()).limit(limit)
    return [_listed(row) for row in connection.execute(newest)]


def _listed(row: Row[Any]) -> dict[str, Any]:
    names = ("id", "journey", "asked", "state", "progress", "error", "asked_at", "begun_at", "ended_at")
    return {**{name: getattr(row, name) for name in names}, "id": str(row.id)}


def cancel(connection: Connection, number: UUID, now: datetime) -> None:
    """Lets a back-test end: at once where it has not begun, else before its next instant. Raises NotFound."""
    row = connection.execute(select(backtest.c.state).where(backtest.c.id == number).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is no back-test {number}")
    if row.state == "waiting":
        _set(connection, number, state="cancelled", ended_at=now)
    elif row.state == "running":
        _set(connection, number, state="cancelling")


# -- the engine's side


def resume(connection: Connection) -> None:
    """Puts those in line again that an engine had begun which is no more; to be called by the only engine there is."""
    connection.execute(update(backtest).where(backtest.c.state == "running").values(state="waiting", progress=0))
    connection.execute(update(backtest).where(backtest.c.state == "cancelling").values(state="cancelled"))


def take(connection: Connection, now: datetime, number: UUID | None = None) -> Row[Any] | None:
    """The one that has waited longest (or this one, if it waits), now running."""
    waits = select(backtest.c.id).where(backtest.c.state == "waiting").order_by(backtest.c.asked_at).limit(1)
    if number is not None:
        waits = waits.where(backtest.c.id == number)
    return connection.execute(
        update(backtest)
        .where(backtest.c.id.in_(waits.with_for_update(skip_locked=True)))
        .values(state="running", begun_at=now)
        .returning(backtest)
    ).one_or_none()


def come(connection: Connection, number: UUID, share: float) -> bool:
    """Notes how far it has come; says whether to go on."""
    state: str | None = connection.scalar(
        update(backtest).where(backtest.c.id == number).values(progress=share).returning(backtest.c.state)
    )
    return state == "running"


def finish(connection: Connection, number: UUID, trial: Trial, now: datetime) -> None:
    """Keeps what it found."""
    checks = [_check(verdict) for verdict in trial.verdicts]
    result = {**trial.report, "holds": trial.holds, "checks": checks}
    plain = msgspec.json.decode(msgspec.json.encode(result))
    _set(connection, number, state="done", progress=1.0, result=plain, ended_at=now)
    for verdict in trial.verdicts:
        if verdict.customer_id is not None:
            connection.execute(
                backtest_example.insert().values(
                    backtest_id=number,
                    assertion=verdict.assertion,
                    customer_id=verdict.customer_id,
                    timeline=verdict.timeline,
                )
            )


def _check(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in ("assertion", "holds", "figures")}


def _in_words(assertion: Assertion, check: Mapping[str, Any], locale: str) -> dict[str, Any]:
    """With `said` and `found`; one kept before there were figures has both already, in English."""
    if "figures" not in check:
        return dict(check)
    said = {"said": asserted(assertion, locale), "found": found(assertion, check["figures"], locale)}
    return {**check, **said}


def end(connection: Connection, number: UUID, state: State, now: datetime, error: str | None = None) -> None:
    """Ends it without a result."""
    _set(connection, number, state=state, ended_at=now, error=error)


def _set(connection: Connection, number: UUID, **values: Any) -> None:
    connection.execute(update(backtest).where(backtest.c.id == number).values(**values))
