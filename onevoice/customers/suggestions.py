"""Suggested merges kept: found by `matching`, accepted or refused by a person; a refusal is remembered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.customers import decisions
from onevoice.customers.decisions import Decision
from onevoice.customers.evidence import MERGE
from onevoice.customers.identifiers import Identifier
from onevoice.customers.models import identifier
from onevoice.customers.models import match_suggestion as table
from onevoice.customers.schemas import Suggestion
from onevoice.kernel.errors import Conflict, NotFound

OPEN, ACCEPTED, REFUSED = "open", "accepted", "refused"


def keep(connection: Connection, found: Sequence[Suggestion], now: datetime) -> int:
    """Puts what a run found in the place of what was open; decisions stay. Returns how many are open now."""
    connection.execute(table.delete().where(table.c.state == OPEN))
    if found:
        rows = [
            {
                "left_customer_id": pair.left,
                "right_customer_id": pair.right,
                "weight": pair.weight,
                "probability": pair.probability,
                "prior": pair.prior,
                "evidence": msgspec.to_builtins(pair.evidence),
                "found_at": now,
            }
            for pair in found
        ]
        connection.execute(insert(table).on_conflict_do_nothing(), rows)
    return connection.scalar(select(func.count()).select_from(table).where(table.c.state == OPEN)) or 0


def refused(connection: Connection) -> list[tuple[int, int]]:
    """The pairs that somebody said are two people."""
    rows = connection.execute(
        select(table.c.left_customer_id, table.c.right_customer_id).where(table.c.state == REFUSED)
    )
    return [(row[0], row[1]) for row in rows]


def listed(connection: Connection, state: str = OPEN, limit: int = 100) -> list[dict[str, Any]]:
    """Suggestions of a state, the likeliest first. Ids are text: they exceed JavaScript's integers."""
    query = select(table).where(table.c.state == state).order_by(table.c.weight.desc(), table.c.left_customer_id)
    return [_plain(row) for row in connection.execute(query.limit(limit))]


def get(connection: Connection, left: int, right: int) -> dict[str, Any]:
    """One suggestion, whichever of the two is named first. Raises NotFound."""
    return _plain(_row(connection, left, right))


def decide(
    connection: Connection, left: int, right: int, state: str, by: str, note: str, now: datetime
) -> dict[str, Any]:
    """Accepts or refuses a suggestion, or opens it again, in the connection's transaction.

    An acceptance is a decision to merge (decisions.py), which opening it again undoes.
    Raises NotFound, and Conflict where it is so already.
    """
    row = _row(connection, left, right)
    if row.state == state:
        raise Conflict(f"This suggestion is {state} already")
    decided: dict[str, Any] = {"state": state, "decided_at": now, "decided_by": by, "note": note or None}
    if state == OPEN:
        decided |= {"decided_at": None, "decided_by": None, "note": None}
    if row.decision_id is not None:
        decisions.undo(connection, row.decision_id, by, note, now)
    decided["decision_id"] = None
    if state == ACCEPTED:
        one, other = (_named(connection, number) for number in (row.left_customer_id, row.right_customer_id))
        said = note or f"suggested with a match weight of {row.weight:.1f}"
        decided["decision_id"] = decisions.decide(connection, Decision(MERGE, one, other, by, said, now))
    changed = table.update().where(
        table.c.left_customer_id == row.left_customer_id, table.c.right_customer_id == row.right_customer_id
    )
    return _plain(connection.execute(changed.values(**decided).returning(table)).one())


def _named(connection: Connection, identifier_id: int) -> Identifier:
    found = connection.execute(
        select(identifier.c.namespace, identifier.c.value).where(identifier.c.identifier_id == identifier_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no customer {identifier_id} any more; run `onevoice match run` again")
    return Identifier(found.namespace, found.value)


def _row(connection: Connection, left: int, right: int) -> Row[Any]:
    found = connection.execute(
        select(table)
        .where(table.c.left_customer_id == min(left, right), table.c.right_customer_id == max(left, right))
        .with_for_update()
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no suggestion that {left} and {right} are one; `onevoice match list` shows them")
    return found


def _plain(row: Row[Any]) -> dict[str, Any]:
    plain = dict(row._mapping)
    return {**plain, **{name: str(plain[name]) for name in ("left_customer_id", "right_customer_id")}}
