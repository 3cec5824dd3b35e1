"""A test of a template: one message to a colleague, as a customer would get it, that no figure counts.

It goes by the queue and a real provider, as transactional, so consent and hold-outs do not stand in its way. Its `step`
is TEST: nothing of it enters the warehouse as a message, and its links work without noting anything or letting anybody
unsubscribe or see the customer's choices. The customer it was made for owns its row, so an erasure finds it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from onevoice.content.compiling import source_kinds
from onevoice.content.models import test_recipient
from onevoice.content.templates import SavedTemplate
from onevoice.delivery import queue
from onevoice.delivery.schemas import TEST, QueuedMessage
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.ids import fact_id

EXPIRES_AFTER = timedelta(hours=1)


def add_recipient(connection: Connection, channel: str, address: str, name: str, now: datetime) -> None:
    """Puts an address on the list of those that tests may go to. Raises InvalidInput."""
    if channel not in source_kinds():
        raise InvalidInput(f"channel is {channel!r}; use one of {', '.join(source_kinds())}")
    if not address or not address.isprintable() or len(address) > 2_000:
        raise InvalidInput("A test needs an address of one line")
    row = {"channel": channel, "address": address, "name": name, "added_at": now}
    statement = insert(test_recipient).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["channel", "address"], set_={"name": name}))


def remove_recipient(connection: Connection, channel: str, address: str) -> None:
    """Takes it off again. Raises NotFound."""
    which = (test_recipient.c.channel == channel) & (test_recipient.c.address == address)
    if not connection.execute(delete(test_recipient).where(which)).rowcount:
        raise NotFound(f"{address} is not on the test list of {channel}")


def recipients(connection: Connection) -> list[dict[str, Any]]:
    """The list."""
    rows = connection.execute(select(test_recipient).order_by(test_recipient.c.channel, test_recipient.c.address))
    return [dict(row._mapping) for row in rows]


def send_test(
    connection: Connection,
    template: SavedTemplate,
    channel: str,
    address: str,
    locale: str,
    variables: Mapping[str, Any],
    customer_id: int,
    now: datetime,
) -> str:
    """Queues the test and returns the message's id. `customer_id` is whose variables they are; 0: nobody's.

    Raises NotFound where the address is not on the list or the template has no such channel.
    """
    if all((one["channel"], one["address"]) != (channel, address) for one in recipients(connection)):
        raise NotFound(f"{address} is not on the test list of {channel}; add it first: onevoice template test-list add")
    chosen = template.prepared(channel, locale).locale
    message_id = str(fact_id(TEST, template.name, template.version, channel, address, now.isoformat()))
    message = QueuedMessage(
        message_id=message_id,
        journey="",
        step=TEST,
        channel=channel,
        identifier_id=customer_id,
        address=address,
        template=template.name,
        template_version=template.version,
        locale=chosen,
        topic=TEST,
        variables=dict(variables),
        not_before=now,
        expires_at=now + EXPIRES_AFTER,
        transactional=True,
    )
    queue.add(connection, [message])
    return message_id
