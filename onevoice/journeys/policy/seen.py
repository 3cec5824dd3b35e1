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
    known = ibis.cases(
        (rows.address.isnull(), 'false,"suppressed":""'),
        (rows.suppressed_as.isnull(), 'true,"suppressed":""'),
        else_=ibis.literal('true,"suppressed":') + warehouse.json_string(rows.suppressed_as),
    )
    pieces: list[ir.StringValue | str] = ['{"objections":"', rows.objections, '","address":', known]
    pieces += [',"consent":"', rows.consent]
    for number, cap in enumerate(ask.caps):
        name = msgspec.json.encode(cap.told).decode()
        pieces += [f",{name}:" if number else f'","caps":{{{name}:', rows[f"sent_{number}"].cast("string")]
    close = "}" if ask.caps else '"'
    if ask.windows:
        pieces += [f'{close},"time_zone":"', ibis.coalesce(rows.time_zone, "UTC")]
        close = '"'
    return ibis.literal("").join([*pieces, close, _where_seen(warehouse, rows), "}"])


SOMETIMES = ("cap_until", "gap_until", "quiet_until", "until", "put_off_at", "winner")
"""What there is nothing to say of for most."""


def _where_seen(warehouse: Warehouse, rows: ir.Table) -> ir.StringValue:
    """The members that are left out where there is nothing to see; most rows have none of them."""
    known = {name: rows[name].notnull() for name in SOMETIMES}
    members = [_member(name, known[name], ibis.literal('"') + _instant(rows[name]) + '"') for name in SOMETIMES[:-1]]
    is_put_off = known["until"] | known["put_off_at"]
    members.append(_member("expires_at", is_put_off, ibis.literal('"') + _instant(rows.expires_at) + '"'))
    is_full = known["cap_until"] & rows.last_journey.notnull()
    members.append(_member("last_journey", is_full, warehouse.json_string(rows.last_journey)))
    members.append(_member("winner", known["winner"], warehouse.json_string(rows.winner)))
    return ibis.ifelse(ibis.or_(*known.values()), ibis.literal("").join(members), "")


def _member(name: str, is_known: ir.BooleanValue, value: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(is_known, ibis.literal(f',"{name}":') + value, "")


def _instant(value: ir.TimestampValue) -> ir.StringValue:
    return value.cast("string").substr(0, 19)
