"""What is made of a file's rows, as SQL over the view `part`: entries for the inbox, each with the id it is known by.

An entry has a payload (vocabulary.EventEntry, or a product), its message id (empty for what is no event), the line it
begins on, and how many rows it was made of. Ids are made of the rows' own keys: a row imported twice is one event.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from onevoice.events.imports.checks import amount, field, instant, key
from onevoice.events.imports.fields import FIELDS, NAMES, named_by
from onevoice.events.imports.files import LINE, literal, quoted
from onevoice.events.tracking import MAX_MESSAGE_ID

EVERYTHING, UNSAID = "'*'", "'imported'"
"""What a consent is about, and why an address is suppressed, where the file does not say."""

Shape = Callable[[dict[str, str], Sequence[str], datetime], str]
"""SQL of a kind's entries from {our field: column}, the further columns, and the moment of the import."""


def _orders(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    """One `Order Completed` per order id, its lines in the file's order."""
    line = (
        f"{{'product_id': {key('product_id')}, 'quantity': {field(columns, 'quantity', '1.0')}, "
        f"'revenue': {amount(columns)}, 'discount': {field(columns, 'discount', '0')}::DOUBLE}}"
    )
    told = ("currency", "coupon", "store_id", "till_id", "receipt", "cashier", "loyalty_card")
    firsts = [name for name in (*NAMES, "ordered_at", *told) if name in columns]
    header = ", ".join(f"min_by({key(name)}, {LINE}) AS {key(name)}" for name in dict.fromkeys(firsts))
    members = "".join(f"'{name}': {key(name)}, " for name in told if name in columns)
    properties = (
        f"{{'order_id': {key('order_id')}, 'revenue': round(revenue, 4), 'discount': discount, {members}"
        "'products': products}"
    )
    call = f"{{'event': 'Order Completed', {_identity(columns)}, 'properties': {properties}}}"
    # An order that comes again as it was is the same event; one that was corrected is another, and replaces it.
    message_id = _bounded(f"'order-' || {key('order_id')} || '-' || left(md5(said || moment), 12)")
    payload = (
        f'\'{{"type":"track","message_id":\' || to_json({message_id})::VARCHAR || '
        "',\"occurred_at\":\"' || moment || '\",\"call\":' || said || '}'"
    )
    lines = (
        f"SELECT {key('order_id')}, {header}, list({line} ORDER BY {LINE}) AS products, min({LINE}) AS line, "
        f"sum({amount(columns)}) AS revenue, sum({field(columns, 'discount', '0')})::DOUBLE AS discount, "
        f"count(*) AS n FROM part GROUP BY {key('order_id')}"
    )
    moment = _moment(key("ordered_at"))
    said = f"SELECT to_json({call})::VARCHAR AS said, {moment} AS moment, {key('order_id')}, line, n FROM ({lines})"
    return f"SELECT {payload} AS payload, {message_id} AS message_id, line, n FROM ({said})"


def _customers(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    at = field(columns, "updated_at", instant(now))
    call = f"{{{_identity(columns)}, 'traits': {_object(further)}}}"
    message_id = f"'customer-' || md5({_names(columns)} || '|' || epoch_us({at}) || '|' || {_object(further)}::VARCHAR)"
    return _each(_envelope("identify", message_id, at, call), message_id)


def _events(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    made = (
        f"'event-' || md5({_names(columns)} || '|' || {key('event')} || '|' || epoch_us({key('occurred_at')}) || '|' "
        f"|| {_object(further)}::VARCHAR)"
    )
    call = f"{{'event': {key('event')}, {_identity(columns)}, 'properties': {_object(further)}}}"
    message_id = _bounded(field(columns, "event_id", made))
    return _each(_envelope("track", message_id, key("occurred_at"), call), message_id)


def _products(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    names = [name for name in FIELDS["products"] if name != "updated_at"]
    members = ", ".join(f"'{name}': {field(columns, name)}" for name in names)
    moment = _moment(field(columns, "updated_at", instant(now)))
    return _each(f"to_json({{{members}, 'occurred_at': {moment}}})::VARCHAR", "''")


def _refunds(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    """One `Order Refunded` a row; with a product, of that; with neither product nor amount, of the whole order."""
    product = field(columns, "product_id")
    line = (
        f"CASE WHEN {product} IS NULL THEN NULL ELSE [{{'product_id': {product}, "
        f"'quantity': {field(columns, 'quantity', '1.0')}, 'revenue': {field(columns, 'revenue')}::DOUBLE}}] END"
    )
    amount_of_all = f"CASE WHEN {product} IS NULL THEN {field(columns, 'revenue')}::DOUBLE END"
    told = f"concat_ws('|', {key('order_id')}, epoch_us({key('refunded_at')}), {', '.join(_told(columns))})"
    refund_id = field(columns, "refund_id", f"'refund-' || md5({told})")
    message_id = _bounded(f"'refund-' || {key('order_id')} || '-' || md5({told})")
    properties = (
        f"json_merge_patch('{{}}', to_json({{'order_id': {key('order_id')}, 'refund_id': {refund_id}, "
        f"'revenue': {amount_of_all}, 'currency': {field(columns, 'currency')}, 'products': {line}}}))"
    )
    call = f"{{'event': 'Order Refunded', {_identity(columns)}, 'properties': {properties}}}"
    return _each(_envelope("track", message_id, key("refunded_at"), call), message_id)


def _told(columns: dict[str, str]) -> list[str]:
    """What tells one refund of an order from another."""
    return [f"{field(columns, name)}::VARCHAR" for name in ("refund_id", "product_id", "quantity", "revenue")]


def _consents(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    """As `importing` reads it: a word of the ledger, named by the first identifier the row has."""
    named = named_by("consents", columns)
    namespace = "CASE " + " ".join(f"WHEN {key(name)} IS NOT NULL THEN '{name}'" for name in named) + " END"
    value = f"coalesce({', '.join(map(key, named))})"
    words = {
        name: field(columns, name, "''") for name in ("state", "channel", "text", "locale", "country", "ip", "proof")
    }
    members = ", ".join(f"'{name}': {value}" for name, value in words.items())
    payload = (
        f"to_json({{'namespace': {namespace}, 'value': {value}, 'topic': {field(columns, 'topic', EVERYTHING)}, "
        f"'occurred_at': {_moment(key('occurred_at'))}, {members}}})::VARCHAR"
    )
    return _each(payload, "''")


def _suppression(columns: dict[str, str], further: Sequence[str], now: datetime) -> str:
    at = _moment(field(columns, "occurred_at", instant(now)))
    payload = (
        f"to_json({{'channel': {key('channel')}, 'address': {key('address')}, "
        f"'reason': {field(columns, 'reason', UNSAID)}, 'occurred_at': {at}}})::VARCHAR"
    )
    return _each(payload, "''")


SHAPES: dict[str, Shape] = {
    "customers": _customers,
    "orders": _orders,
    "products": _products,
    "events": _events,
    "refunds": _refunds,
    "consents": _consents,
    "suppression": _suppression,
}
"""By the kind of file."""


def _identity(columns: dict[str, str]) -> str:
    """The call's identifiers as JSON members, absent ones left out."""
    card = field(columns, "loyalty_card")
    external = f"CASE WHEN {card} IS NULL THEN NULL ELSE [{{'id': {card}, 'type': 'loyalty_card'}}] END"
    return (
        f"'userId': {field(columns, 'user_id')}, 'anonymousId': {field(columns, 'anonymous_id')}, "
        f"'context': {{'externalIds': coalesce({external}, [])}}"
    )


def _envelope(call_type: str, message_id: str, at: str, call: str) -> str:
    """SQL for an event's payload."""
    members = f"'type': '{call_type}', 'message_id': {message_id}, 'occurred_at': {_moment(at)}, 'call': {call}"
    return f"to_json({{{members}}})::VARCHAR"


def _moment(at: str) -> str:
    return f"strftime({at} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _bounded(message_id: str) -> str:
    """A message id of at most the length there may be; a longer one by its hash."""
    return f"CASE WHEN length({message_id}) > {MAX_MESSAGE_ID} THEN md5({message_id}) ELSE {message_id} END"


def _each(payload: str, message_id: str) -> str:
    """An entry of every row."""
    return f"SELECT {payload} AS payload, {message_id} AS message_id, {LINE} AS line, 1 AS n FROM part"


def _names(columns: dict[str, str]) -> str:
    return "coalesce(" + ", ".join(key(name) for name in NAMES if name in columns) + ")"


def _object(names: Sequence[str]) -> str:
    """Further columns as a JSON object, without those that are empty: an empty cell says nothing, null would delete."""
    members = ", ".join(f"{literal(name)}: {quoted(name)}" for name in names)
    return f"json_merge_patch('{{}}', to_json({{{members}}}))" if names else "'{}'::JSON"
