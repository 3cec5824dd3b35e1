"""What the rules saw, as the JSON that is kept with a decision."""

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.journeys.policy.ask import Ask
from onevoice.warehouse import Warehouse


def seen(warehouse: Warehouse, rows: ir.Table, ask: Ask) -> ir.StringValue:
    """Of each decision: `objections` (every rule that objects, in order), `address`, `suppressed`, `consent`, and where
    there is something to see `caps` (messages counted by each), `cap_until`, `gap_until`, `time_zone`, `quiet_until`,
    `put_off_at`, `until`, `expires_at`, `last_journey`, `winner`. Instants are UTC, to the second."""
    pieces: list[ir.StringValue | str] = [
        '{"objections":"',
        rows.objections,
        '","address":',
        ibis.ifelse(rows.address.notnull(), "true", "false"),
        ',"suppressed":',
        ibis.ifelse(rows.suppressed_as.isnull(), '""', warehouse.json_string(rows.suppressed_as)),
        ',"consent":"',
        rows.consent,
        '"',
    ]
    for number, cap in enumerate(ask.caps):
        name = msgspec.json.encode(cap.told).decode()
        pieces += [f"{',' if number else ''}{name}:" if number else f',"caps":{{{name}:', _text(rows, number)]
    if ask.caps:
        pieces.append("}")
    if ask.windows:
        pieces += [',"time_zone":"', ibis.coalesce(rows.time_zone, "UTC"), '"']
    for name in ("cap_until", "gap_until", "quiet_until", "until", "put_off_at"):
        pieces.append(_member(name, _instant(rows[name]), '"'))
    is_put_off = rows.until.notnull() | rows.put_off_at.notnull()
    expires_at = ibis.ifelse(is_put_off, rows.expires_at, ibis.null("timestamp(6)"))
    pieces.append(_member("expires_at", _instant(expires_at), '"'))
    is_full = rows.cap_until.notnull()
    last = ibis.ifelse(is_full, rows.last_journey, ibis.null("string"))
    for name, journey in (("last_journey", last), ("winner", rows.winner)):
        text = ibis.ifelse(journey.isnull(), ibis.null("string"), warehouse.json_string(journey))
        pieces.append(_member(name, text))
    return ibis.literal("").join([*pieces, "}"])


def _text(rows: ir.Table, number: int) -> ir.StringValue:
    return rows[f"sent_{number}"].cast("string")


def _member(name: str, value: ir.StringValue, quote: str = "") -> ir.StringValue:
    """A member that is left out where there is no value."""
    return ibis.ifelse(value.isnull(), "", ibis.literal(f',"{name}":{quote}') + value + quote)


def _instant(value: ir.TimestampValue) -> ir.StringValue:
    return value.cast("string").substr(0, 19)
