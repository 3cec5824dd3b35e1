"""What people decide about who is who: two are one customer, two are not, a value names nobody; and the undo.

A decision is kept in the database and enters by the inbox in the same transaction, so the engine takes it in order,
once. It counts whatever links come later; an undo leaves exactly what would be without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, Row, select, tuple_

from onevoice.customers import identity, profiles
from onevoice.customers.facts import IDENTITY_DECISIONS
from onevoice.customers.identifiers import Identifier, Rules
from onevoice.customers.identity import BLOCK, MERGE, PART, UNDO
from onevoice.customers.models import identity_decision as table
from onevoice.customers.schemas import DecisionEntry
from onevoice.database import inbox
from onevoice.database.inbox import INTERNAL_SOURCE, Entry, Kind
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from onevoice.kernel.ids import fact_id
from onevoice.warehouse import Facts, Warehouse

ACTIONS = (MERGE, PART, BLOCK)
"""merge: one customer; part: never one customer; block: an identifier that joins nobody."""


@dataclass(frozen=True)
class Decision:
    """A person's word about two identifiers, or about one (block)."""

    action: str  # one of ACTIONS
    one: Identifier
    other: Identifier | None
    person: str
    note: str
    decided_at: datetime

    @property
    def id(self) -> UUID:
        """The same decision told twice is one."""
        return fact_id("decision", self.action, self.one, self.other, self.person, self.decided_at.isoformat())


def decide(connection: Connection, decision: Decision) -> UUID:
    """Keeps a decision and hands it to the engine, in the connection's transaction; returns its id.

    Raises InvalidInput for one that says nothing.
    """
    if decision.action not in ACTIONS:
        raise InvalidInput(f"A decision is one of {', '.join(ACTIONS)}; got {decision.action!r}")
    if (decision.other is None) != (decision.action == BLOCK):
        raise InvalidInput("merge and part take two identifiers, block takes one")
    if decision.one == decision.other:
        raise InvalidInput(f"{decision.one} is given twice; name two different identifiers")
    if not decision.person.strip():
        raise InvalidInput("Say who decides: a decision is kept with its person")
    other = decision.other or Identifier("", "")
    _keep(
        connection,
        decision.id,
        DecisionEntry(
            decision.id.hex,
            decision.action,
            decision.person,
            decision.note,
            decision.decided_at,
            decision.one.namespace,
            decision.one.value,
            other.namespace,
            other.value,
        ),
    )
    return decision.id


def undo(connection: Connection, decision_id: UUID, person: str, note: str, now: datetime) -> UUID:
    """Takes a decision back, as if it had never been; returns the undo's id.

    Raises NotFound, Conflict where it was undone before, InvalidInput for an undo, which is mended by deciding anew.
    """
    row = connection.execute(select(table).where(table.c.id == decision_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is no decision {decision_id}; list them with `onevoice identity decisions`")
    if row.action == UNDO:
        raise InvalidInput("An undo cannot be undone; decide anew instead")
    if not person.strip():
        raise InvalidInput("Say who decides: an undo is kept with its person")
    if connection.scalar(select(table.c.id).where(table.c.undoes == decision_id)):
        raise Conflict(f"The decision {decision_id} was undone before")
    made = fact_id("undo", decision_id)
    _keep(
        connection,
        made,
        DecisionEntry(
            made.hex,
            UNDO,
            person,
            note,
            now,
            row.namespace,
            row.value,
            row.other_namespace,
            row.other_value,
            decision_id.hex,
        ),
    )
    return made


def listed(connection: Connection, identifiers: Sequence[tuple[str, str]] = (), limit: int = 100) -> list[Row[tuple]]:  # type: ignore[type-arg]  # a row's columns are told by the table
    """Decisions, the newest first, each with `undone_by`; only those about the identifiers, where some are given."""
    undos = table.alias()
    query = (
        select(table, undos.c.id.label("undone_by"))
        .outerjoin(undos, undos.c.undoes == table.c.id)
        .where(table.c.action != UNDO)
        .order_by(table.c.decided_at.desc(), table.c.id)
        .limit(limit)
    )
    if identifiers:
        ends = (tuple_(table.c.namespace, table.c.value), tuple_(table.c.other_namespace, table.c.other_value))
        query = query.where(ends[0].in_(identifiers) | ends[1].in_(identifiers))
    return list(connection.execute(query))


def _keep(connection: Connection, decision_id: UUID, entry: DecisionEntry) -> None:
    one, other = Identifier(entry.namespace, entry.value), Identifier(entry.other_namespace, entry.other_value)
    connection.execute(
        table.insert().values(
            id=decision_id,
            action=entry.action,
            identifier_id=one.id,
            other_id=other.id if entry.other_namespace else 0,
            namespace=entry.namespace,
            value=entry.value,
            other_namespace=entry.other_namespace,
            other_value=entry.other_value,
            undoes=UUID(entry.undoes) if entry.undoes else None,
            person=entry.person,
            note=entry.note,
            decided_at=entry.decided_at,
        )
    )
    payload = msgspec.json.encode(entry)
    inbox.append(connection, [Entry(INTERNAL_SOURCE, Kind.IDENTITY, entry.decided_at, payload)])


# -- in the engine

_decision = msgspec.json.Decoder(DecisionEntry)


def load(
    warehouse: Warehouse,
    entries: Sequence[Entry],
    secret: bytes,
    revision: int,
    projected: Sequence[Facts],
    rules: Rules,
) -> None:
    """Takes decisions in. An identifier never seen does not come into being by being decided about."""
    if entries:
        told = [_decision.decode(entry.payload) for entry in entries]
        _, moved = identity.resolve(warehouse, {}, [], revision, projected, rules, rows(told))
        profiles.rebuild(warehouse, moved, secret)


def rows(told: Sequence[DecisionEntry]) -> pa.Table:
    """Decisions as rows of the warehouse, each once."""
    unique = list({one.decision_id: one for one in told}.values())
    ends = [
        (
            Identifier(one.namespace, one.value).id,
            Identifier(one.other_namespace, one.other_value).id if one.other_namespace else 0,
        )
        for one in unique
    ]
    return IDENTITY_DECISIONS.arrow(
        {
            "decision_id": [one.decision_id for one in unique],
            "action": [one.action for one in unique],
            "identifier_id": [one for one, _ in ends],
            "other_id": [other for _, other in ends],
            "undoes": [one.undoes for one in unique],
            "person": [one.person for one in unique],
            "note": [one.note for one in unique],
            "decided_at": [naive(one.decided_at) for one in unique],
        }
    )
