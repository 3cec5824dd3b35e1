"""The list of calls: messages on the channel `call` that people carry out. Taken by one agent, ended by a result."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine

from onevoice.channels.adapter import MessageNews, News
from onevoice.customers.identifiers import Identifier
from onevoice.database import driver, inbox
from onevoice.delivery import consequences, opt_outs
from onevoice.delivery.composing import Composer
from onevoice.delivery.consequences import About
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.queue import Leased, store_links
from onevoice.delivery.schemas import MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from onevoice.kernel.ids import fact_id

CHANNEL = "call"

RESULTS: Mapping[str, str] = {
    "talked": "They talked; counts as a reply",
    "voicemail": "A message was left; counts as delivered",
    "no_answer": "Nobody answered: the call goes back on the list",
    "wrong_number": "Somebody else's number: it is called no more",
    "no_more_calls": "The customer wants no more calls: consent to calls is withdrawn",
}
"""What can come of a call."""

_NEWS = {
    "talked": News.REPLIED,
    "voicemail": News.DELIVERED,
    "wrong_number": News.FAILED,
    "no_more_calls": News.REPLIED,
}

_OPEN = (
    "message.channel = 'call' AND message.state = 'accepted' AND message.expires_at > %(now)s "
    "AND NOT EXISTS (SELECT FROM call_task WHERE call_task.message_id = message.id AND call_task.result IS NOT NULL)"
)


def listed(pool: Engine, links: LinkMaker, now: datetime, limit: int = 50, agent: str = "") -> list[dict[str, Any]]:
    """Open calls with what to say, the oldest first; with `agent` those that nobody else has taken."""
    composer = Composer(pool, links)
    columns = ", ".join(f"message.{name}" for name in Leased._fields)
    with pool.begin() as connection:
        with driver(connection) as raw, raw.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                f"SELECT {columns}, coalesce(taken_by, '') AS taken_by, coalesce(tries, 0) AS tries "  # noqa: S608
                f"FROM message LEFT JOIN call_task ON message_id = message.id WHERE {_OPEN} "
                "AND (%(agent)s = '' OR coalesce(taken_by, '') IN ('', %(agent)s)) "
                "ORDER BY message.settled_at, message.number LIMIT %(limit)s",
                {"now": now, "agent": agent, "limit": limit},
            ).fetchall()
        found = [_shown(composer, row) for row in rows]
        store_links(connection, links.fresh)
    return found


def _shown(composer: Composer, row: dict[str, Any]) -> dict[str, Any]:
    message = Leased(**{name: row[name] for name in Leased._fields})
    said = composer.compose(message).content
    return {
        "message_id": str(message.id),
        "number": message.address,
        "title": said.get("title", ""),
        "script": said.get("script", ""),
        "locale": message.locale,
        "journey": message.journey,
        "call_before": message.expires_at,
        "taken_by": row["taken_by"],
        "tries": row["tries"],
    }


def take(connection: Connection, message_id: UUID, agent: str, now: datetime) -> None:
    """Gives the call to the agent. Raises NotFound where it is not open, Conflict where somebody else has it."""
    if not agent:
        raise InvalidInput("Say who takes the call")
    with driver(connection) as raw:
        owner = raw.execute(
            f"SELECT identifier_id FROM message WHERE id = %(id)s AND {_OPEN} FOR UPDATE",  # noqa: S608
            {"id": message_id, "now": now},
        ).fetchone()
        if owner is None:
            raise NotFound(f"There is no open call {message_id}")
        taken = raw.execute(
            "INSERT INTO call_task (message_id, identifier_id, taken_by, taken_at) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (message_id) DO UPDATE SET taken_by = excluded.taken_by, taken_at = excluded.taken_at "
            "WHERE call_task.taken_by IN ('', excluded.taken_by) RETURNING taken_by",
            (message_id, owner[0], agent, now),
        ).fetchone()
    if taken is None:
        raise Conflict("Somebody else has taken this call; see `onevoice call list`")


def end(
    connection: Connection, secret: bytes, message_id: UUID, agent: str, result: str, note: str, now: datetime
) -> None:
    """Writes down what came of a call that the agent has taken. Raises as `take` does, InvalidInput for the result."""
    if result not in RESULTS:
        raise InvalidInput(f"A call's result is {result!r}; use one of {', '.join(RESULTS)}")
    take(connection, message_id, agent, now)
    about = About.find(connection, message_id)
    assert about is not None
    news = _NEWS.get(result)
    with driver(connection) as raw:
        raw.execute(
            "UPDATE call_task SET tries = tries + 1, note = %s, result = %s, ended_at = %s, taken_by = %s "
            "WHERE message_id = %s",
            (note[:2_000], result if news else None, now if news else None, agent if news else "", message_id),
        )
        who = raw.execute(
            "SELECT namespace, value FROM identifier WHERE identifier_id = %s", (about.identifier_id,)
        ).fetchone()
    if news is None:
        return
    dead = result == "wrong_number"
    event_id = fact_id("call", message_id, result).hex
    told = MessageEntry(str(message_id), event_id, news, now, error_code=result if dead else "", detail={"by": agent})
    inbox.append(connection, [entry(told, now)])
    following = MessageNews(str(message_id), news, now, event_id, address_is_dead=dead)
    consequences.act(connection, secret, [following], now, "agent")
    if result == "no_more_calls" and who is not None:
        proof = {"call": str(message_id), "note": note[:2_000], "by": agent}
        opt_outs.stop(connection, secret, CHANNEL, about.address, Identifier(*who), about, proof, now, silent=True)
