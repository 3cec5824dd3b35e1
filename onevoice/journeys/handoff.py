"""The hand-off: planned messages from the warehouse into the delivery queue, exactly once.

The receiver keeps the watermark (the last tick queued) in the transaction that queues the messages. Rows are written
by the warehouse as PostgreSQL's COPY reads them, and pass through here by the thousand.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from sqlalchemy import Connection

from onevoice.content import templates
from onevoice.customers.contact import store
from onevoice.delivery import control, queue
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys import service
from onevoice.journeys.document import Policy
from onevoice.journeys.policy.places import by_region, people
from onevoice.journeys.variables import OPTIONAL, personalised
from onevoice.warehouse import Warehouse

EXPIRES_AFTER = timedelta(days=3)
"""A message that could not be sent for so long is not sent any more."""

ROWS = 20_000
"""Messages that pass at once."""


def hand_off(warehouse: Warehouse, connection: Connection, now: datetime) -> int:
    """Queues what has been planned since the receiver's watermark; returns how many messages."""
    position = queue.position(connection)
    messages = warehouse.table(MESSAGES)
    last = warehouse.rows(messages.aggregate(tick=messages.tick.max()))[0]["tick"] or 0
    if last <= position:
        return 0
    # With the instant as a column, so that what is made of them is compiled once.
    new = messages.filter(messages.tick > position, messages.tick <= last)
    planned = warehouse.stage("handed_off", new.mutate(handed_at=ibis.literal(now.isoformat())))
    here = {row["template"] for row in warehouse.rows(planned.select("template").distinct())}
    versions = {name: version for name, version in templates.newest_versions(connection).items() if name in here}
    asked = templates.mentioned(connection, versions, OPTIONAL)
    known = {
        "template": pa.array(list(versions), pa.string()),
        "template_version": pa.array(list(versions.values()), pa.int64()),
    }
    versioned = planned.left_join(warehouse.stage("template_versions", pa.table(known)), "template")
    journeys = service.all_journeys(connection)
    rows = personalised(warehouse, versioned.drop("template_right"), asked, [one.laid_out for one in journeys])
    rows = _placed(warehouse, connection, _ranked(warehouse, journeys, rows))
    queued = queue.enqueue(connection, _lines(warehouse, rows), last, partial(service.over, connection))
    control.tell_cancelled(connection, [(message_id, 0) for message_id in queued.cancelled], now)
    return queued.new


def _ranked(warehouse: Warehouse, journeys: Sequence[service.SavedJourney], rows: ir.Table) -> ir.Table:
    """Messages with their journey's priority, and whether they are what the customer has asked for."""
    known = {
        "journey": pa.array([one.name for one in journeys], pa.string()),
        "priority": pa.array([one.document.priority for one in journeys], pa.int64()),
        "transactional": pa.array([int(one.document.transactional) for one in journeys], pa.int64()),
        "quiet": pa.array([_own_hours(one.document.policy) for one in journeys], pa.string()),
    }
    return rows.left_join(warehouse.stage("journey_ranks", pa.table(known)), "journey").drop("journey_right")


def _own_hours(policy: Policy) -> str:
    hours = policy.quiet_hours
    return f'"{hours.start}","{hours.end}"' if hours else _NONE


_NONE = '"",""'


def _placed(warehouse: Warehouse, connection: Connection, rows: ir.Table) -> ir.Table:
    """Messages with their `place` (delivery.quiet.Home): where it must be day when a worker takes them."""
    regions = by_region(store.current(connection).policy.all_quiet)
    homes = people(warehouse, regions).drop("locale")
    there = rows.left_join(homes, "customer_id").drop("customer_id_right")
    names = [warehouse.json_string(ibis.coalesce(there[name], "")) for name in ("zone", "country", "region")]
    return there.mutate(
        place=ibis.literal("[") + ibis.literal(",").join([*names, ibis.coalesce(there.quiet, _NONE)]) + "]"
    )


def _lines(warehouse: Warehouse, rows: ir.Table) -> Iterator[bytes]:
    values: dict[str, ir.Value] = {
        "id": rows.message_id,
        "template_version": ibis.coalesce(rows.template_version, 0),  # 0: the worker says which is missing
        "not_before": rows.handed_at,
        "expires_at": (rows.planned_at + ibis.interval(seconds=int(EXPIRES_AFTER.total_seconds()))).cast("string")
        + "Z",
        "transactional": ibis.coalesce(rows.transactional, 0),
        "priority": ibis.coalesce(rows.priority, 0),
        "place": ibis.ifelse(rows.transactional == 1, "", rows.place),
        "content_key": ibis.coalesce(rows.content_key, ""),
    }
    left_out = {name: ibis.literal(str(value)) for name, value in queue.DEFAULTS.items()}
    values = left_out | {name: rows[name] for name in queue.COLUMNS if name in rows.columns} | values
    columns = [_escaped(values[name].cast("string")) for name in queue.COLUMNS]
    lines = rows.select(line=ibis.literal("\t").join(columns) + "\n")
    for batch in warehouse.batches(lines, ROWS):
        yield "".join(batch["line"].to_pylist()).encode()


def _escaped(value: ir.StringValue) -> ir.StringValue:
    """As queue.escaped has it."""
    for character, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(character, written)
    return value
