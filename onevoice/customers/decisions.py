"""What people decide about who is who: two are one customer, two are not, a value names nobody; and the undo.

A decision is kept in the database and enters by the inbox in the same transaction, so the engine takes it in order,
once. It counts whatever links come later; an undo leaves exactly what would be without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, select, tuple_
from sqlalchemy.exc import IntegrityError

from onevoice.customers import identity, profiles
from onevoice.customers.evidence import BLOCK, MERGE, PART, REBUILD, UNDO
from onevoice.customers.facts import IDENTITY_DECISIONS
from onevoice.customers.identifiers import RULES, Identifier, Rules, identifier
from onevoice.customers.models import identifier as published
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
    _keep(connection, entry(decision))
    return decision.id


def undo(connection: Connection, decision_id: UUID, person: str, note: str, now: datetime) -> UUID:
    """Takes a decision back, as if it had never been; returns the undo's id.

    Raises NotFound, Conflict where it was undone before, InvalidInput for an undo, which is mended by deciding anew.
    """
    decided = get(connection, decision_id)
    if decided.action == UNDO:
        raise InvalidInput("An undo cannot be undone; decide anew instead")
    if not person.strip():
        raise InvalidInput("Say who decides: an undo is kept with its person")
    made = undoing(decided, person, note, now)
    try:
        with connection.begin_nested():
            _keep(connection, made)
    except IntegrityError as error:  # one undo a decision
        raise Conflict(f"The decision {decision_id} was undone before") from error
    return UUID(made.decision_id)


def named(connection: Connection, text: str, rules: Rules = RULES) -> Identifier:
    """The identifier that `namespace:value` or `customer:ID` (as published) names. Raises InvalidInput, NotFound."""
    namespace, colon, value = text.partition(":")
    if namespace == "customer" and value.isdecimal() and int(value) < 2**63:
        return of_customer(connection, int(value))
    found = identifier(namespace, value, rules) if colon and namespace else None
    if found is None:
        raise InvalidInput(f"{text!r} names nobody; write namespace:value, such as loyalty_card:900, or customer:ID")
    return found


def of_customer(connection: Connection, customer_id: int) -> Identifier:
    """The identifier that gives a customer its id. Raises NotFound."""
    columns = (published.c.namespace, published.c.value)
    row = connection.execute(select(*columns).where(published.c.identifier_id == customer_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no customer {customer_id}; search by an identifier")
    return Identifier(row.namespace, row.value)


def get(connection: Connection, decision_id: UUID) -> DecisionEntry:
    """A decision as it was made. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.id == decision_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no decision {decision_id}; list them with `onevoice identity decisions`")
    return DecisionEntry(
        row.id.hex,
        row.action,
        row.person,
        row.note,
        row.decided_at,
        row.namespace,
        row.value,
        row.other_namespace,
        row.other_value,
        row.undoes.hex if row.undoes else "",
    )


def entry(decision: Decision) -> DecisionEntry:
    """A decision in the shape in which it travels."""
    other = decision.other or Identifier("", "")
    return DecisionEntry(
        decision.id.hex,
        decision.action,
        decision.person,
        decision.note,
        decision.decided_at,
        decision.one.namespace,
        decision.one.value,
        other.namespace,
        other.value,
    )


def undoing(decision: DecisionEntry, person: str, note: str, now: datetime) -> DecisionEntry:
    """The undo of a decision."""
    made = fact_id("undo", decision.decision_id).hex
    return msgspec.structs.replace(
        decision,
        decision_id=made,
        action=UNDO,
        person=person,
        note=note,
        decided_at=now,
        undoes=decision.decision_id,
    )


def listed(
    connection: Connection, identifiers: Sequence[tuple[str, str]] = (), limit: int = 100
) -> list[dict[str, Any]]:
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
    return [dict(row) for row in connection.execute(query).mappings()]


def ask_rebuild(connection: Connection, person: str, now: datetime) -> None:
    """Has the engine group everybody anew by the rules it was started with."""
    told = DecisionEntry(decision_id="", action=REBUILD, person=person, note="", decided_at=now)
    inbox.append(connection, [Entry(INTERNAL_SOURCE, Kind.IDENTITY, now, msgspec.json.encode(told))])


def _keep(connection: Connection, entry: DecisionEntry) -> None:
    one, other = Identifier(entry.namespace, entry.value), Identifier(entry.other_namespace, entry.other_value)
    connection.execute(
        table.insert().values(
            id=UUID(entry.decision_id),
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
    told = [_decision.decode(entry.payload) for entry in entries]
    moved: set[int] = set()
    if decided := [one for one in told if one.action != REBUILD]:
        _, moved = identity.resolve(warehouse, {}, [], revision, projected, rules, rows(decided))
    if len(decided) < len(told):
        moved |= identity.rebuild(warehouse, revision, projected, rules)
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
