"""How people would react to messages that were never sent: drawn by chance, at the rates of the past. An estimate.

Rates are by channel and by how long ago the person ordered, each shrunk to its channel's, from the messages of the year
before the window. Whether and when somebody reacts is read from a digest of the message's id, so every run draws the
same. Where a channel has no past, nobody reacts on it: no figure is made up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.journeys.backtest.scratch import Scratch
from onevoice.kernel.clock import naive
from onevoice.warehouse import remembered

BANDS = {"30 days": 30, "90 days": 90, "365 days": 365}
"""How long ago somebody ordered at most, in days; who did not in the longest is in the band `longer`."""

LONGER = "longer"

PAST = timedelta(days=365)
"""Messages older than this tell nothing of today's readers."""

RIPE = timedelta(days=7)
"""What was sent later than this before the window may yet be reacted to, and is not counted."""

ORDERED_WITHIN = timedelta(days=7)
"""An order so soon after a message is counted as following it."""

WEIGHT = 100
"""How many messages the channel's rate weighs, as seen by one of its bands."""

SAMPLE = 500_000
"""More messages than about so many are not counted: every n-th customer's tell the rates as well."""

TENTHS = tuple((place + 0.5) / 10 for place in range(10))


@dataclass(frozen=True)
class Rate:
    """What became of messages on a channel to people of a band: how many there were, and the shares, shrunk."""

    channel: str
    band: str
    messages: int
    failed: float
    delivered: float  # of those that did not fail, as are the others
    opened: float
    clicked: float
    ordered: float  # that were followed by an order; nobody says that they caused it


@dataclass(frozen=True)
class Chances:
    """The rates, and as rows of a table which digests mean what."""

    rates: tuple[Rate, ...]
    drawn: pa.Table


def learned(scratch: Scratch) -> Chances:
    """From the messages before the window, those of the journey itself too, as they stood when it began."""
    past = _past(scratch)
    counted = past.group_by("channel", "band").aggregate(
        messages=past.count(),
        failed=past.count(where=past.failed_at.notnull()),
        **{word: past.count(where=past[f"{word}_at"].notnull()) for word in ("delivered", "opened", "clicked")},
        ordered=past.count(where=past.followed),
    )
    rows = scratch.rows(counted.order_by("channel", "band"))
    rates = tuple(_rates(rows))
    return Chances(rates, _slots(rates, _delays(scratch, past)))


def react(scratch: Scratch, chances: Chances, fresh: ir.Table) -> None:
    """Writes down what will become of messages just planned; it is seen when its time has come."""
    drawn = scratch.stage("reaction_chances", chances.drawn)
    readers = scratch.stage("reaction_readers", banded(fresh, scratch.table(ORDERS)))
    told = scratch.stage("reactions_told", _told(_drawn(_drawn(readers, drawn, "delivery"), drawn, "reaction")))
    scratch.replace(MESSAGES, ["message_id"], told)
    scratch.append(MESSAGE_EVENTS, _all_news(told))


@remembered
def banded(messages: ir.Table, orders: ir.Table) -> ir.Table:
    """The messages with the band of each one's reader when it was planned, and the digests that decide."""
    theirs = made(orders).semi_join(messages, "customer_id")
    last = theirs.group_by("customer_id").aggregate(last_order_at=theirs.ordered_at.max())
    rows = messages.left_join(last, "customer_id").drop("customer_id_right")
    return rows.mutate(
        band=_band(rows.last_order_at, rows.planned_at),
        delivery=(rows.message_id + ibis.literal("|delivery")).hexdigest("md5"),
        reaction=(rows.message_id + ibis.literal("|reaction")).hexdigest("md5"),
    ).drop("last_order_at")


def _drawn(rows: ir.Table, drawn: ir.Table, kind: str) -> ir.Table:
    """The rows with what happens (`KIND_word`) and when (`KIND_at`); nothing where the digest is of no slot."""
    slots = drawn.filter(drawn.kind == kind).drop("kind").rename(slot_channel="channel", slot_band="band")
    on = [rows.channel == slots.slot_channel, rows.band == slots.slot_band]
    found = rows.left_join(slots, [*on, rows[kind] >= slots.low, rows[kind] < slots.high])
    at = (found.planned_at + found.seconds.as_interval("s")).cast("timestamp(6)")
    told = found.mutate(**{f"{kind}_word": found.word, f"{kind}_at": at})
    return told.drop("slot_channel", "slot_band", "low", "high", "word", "seconds")


@remembered
def _told(rows: ir.Table) -> ir.Table:
    """The messages with the times at which each thing will happen to them."""
    nothing = ibis.null("timestamp(6)")
    failed = ibis.coalesce(rows.delivery_word == "failed", False)
    reacted = ~failed & rows.reaction_word.notnull()
    # Whoever opens a message has it, whatever was heard of its delivery.
    arrived = ibis.ifelse(reacted, rows.reaction_at, nothing)
    return rows.mutate(
        accepted_at=rows.planned_at,
        failed_at=ibis.ifelse(failed, rows.delivery_at, nothing),
        delivered_at=ibis.ifelse(failed, nothing, ibis.coalesce(rows.delivery_at, arrived)),
        opened_at=ibis.ifelse(reacted, rows.reaction_at, nothing),
        clicked_at=ibis.ifelse(reacted & (rows.reaction_word == "clicked"), rows.reaction_at, nothing),
    ).select(*MESSAGES.columns)


def _band(ordered_at: ir.TimestampValue, at: ir.TimestampValue) -> ir.StringValue:
    cases = [(at - ibis.interval(days=days) < ordered_at, name) for name, days in BANDS.items()]
    return ibis.cases(*cases, else_=LONGER)


@remembered
def _all_news(told: ir.Table) -> ir.Table:
    return ibis.union(*(_news(told, word) for word in ("failed", "delivered", "opened", "clicked")))


def _news(told: ir.Table, word: str) -> ir.Table:
    at = told[f"{word}_at"]
    rows = told.filter(at.notnull())
    known = {
        "event_id": rows.message_id + ibis.literal(f"|{word}"),
        "message_id": rows.message_id,
        "news": ibis.literal(word),
        "occurred_at": rows[f"{word}_at"],
        "received_at": rows[f"{word}_at"],
        "machine": ibis.literal(False),
        "detail": ibis.literal("{}"),
    }
    empty = {name: ibis.null(ibis.dtype(kind)) for name, kind in MESSAGE_EVENTS.columns.items() if name not in known}
    return rows.select(**known, **empty).select(*MESSAGE_EVENTS.columns)


def _past(scratch: Scratch) -> ir.Table:
    """The messages of the year before the window, each with its reader's band when it was planned."""
    start = scratch.window.start
    messages = scratch.table(scratch.history)
    lasting = (messages.planned_at > ibis.timestamp(naive(start - PAST))) & (
        messages.planned_at <= ibis.timestamp(naive(start - RIPE))
    )
    past = messages.filter(lasting, messages.status != "skipped")
    every = scratch.count(past) // SAMPLE + 1
    past = past.filter(past.customer_id % every == 0) if every > 1 else past
    past = scratch.stage("messages_past", past)
    orders = made(scratch.table(ORDERS)).semi_join(past, "customer_id").select("customer_id", "ordered_at")
    orders = scratch.stage("orders_past", orders)
    before = orders.select(reader=orders.customer_id, ordered_before=orders.ordered_at)
    after = orders.select(buyer=orders.customer_id, ordered_after=orders.ordered_at)
    rows = past.asof_join(before, past.planned_at >= before.ordered_before, past.customer_id == before.reader)
    rows = rows.asof_join(after, rows.planned_at < after.ordered_after, rows.customer_id == after.buyer)
    soon = rows.ordered_after <= rows.planned_at + ibis.interval(seconds=int(ORDERED_WITHIN.total_seconds()))
    told = rows.mutate(band=_band(rows.ordered_before, rows.planned_at), followed=ibis.coalesce(soon, False))
    return scratch.stage("messages_told", told.drop("reader", "buyer"))


def _rates(rows: Iterable[dict[str, int]]) -> Iterable[Rate]:
    by_channel: dict[str, list[dict[str, int]]] = {}
    for row in rows:
        by_channel.setdefault(str(row["channel"]), []).append(row)
    for channel, bands in by_channel.items():
        found = {str(row["band"]): row for row in bands}
        for band in (*BANDS, LONGER):
            mine = found.get(band, {})
            sent = mine.get("messages", 0)
            arrived = sent - mine.get("failed", 0)
            shares = {"failed": _shrunk(mine.get("failed", 0), sent, *_sums(bands, "failed"))}
            for word in ("delivered", "opened", "clicked", "ordered"):
                shares[word] = _shrunk(mine.get(word, 0), arrived, *_sums(bands, word))
            yield Rate(channel, band, sent, **shares)


def _sums(bands: list[dict[str, int]], word: str) -> tuple[int, int]:
    """How often it happened on the channel, and to how many messages it could have."""
    sent, failed = sum(row["messages"] for row in bands), sum(row["failed"] for row in bands)
    return sum(row[word] for row in bands), sent if word == "failed" else sent - failed


def _shrunk(happened: int, among: int, on_channel: int, among_channel: int) -> float:
    rate = on_channel / among_channel if among_channel else 0.0
    return min(1.0, (happened + WEIGHT * rate) / (among + WEIGHT))


def _delays(scratch: Scratch, past: ir.Table) -> dict[tuple[str, str], list[float]]:
    """By channel and word, after how many seconds it was heard: ten of equal weight."""
    found: dict[tuple[str, str], list[float]] = {}
    for word in ("failed", "delivered", "opened", "clicked"):
        heard = past.filter(past[f"{word}_at"].notnull())
        seconds = heard[f"{word}_at"].delta(heard.planned_at, unit="second").cast("float64")
        timed = heard.select("channel", seconds=ibis.greatest(seconds, 0.0))
        tenths = {f"t{number}": timed.seconds.quantile(share) for number, share in enumerate(TENTHS)}
        for row in scratch.rows(timed.group_by("channel").aggregate(**tenths)):
            found[str(row["channel"]), word] = [float(row[name]) for name in tenths]
    return found


def _slots(rates: tuple[Rate, ...], delays: dict[tuple[str, str], list[float]]) -> pa.Table:
    """Which digests mean that a message fails, arrives, is opened or clicked, and after how long."""
    rows: list[tuple[str, str, str, str, str, str, int]] = []
    for rate in rates:
        shares = {
            "delivery": (("failed", rate.failed), ("delivered", (1 - rate.failed) * rate.delivered)),
            "reaction": (("clicked", rate.clicked), ("opened", max(0.0, rate.opened - rate.clicked))),
        }
        for kind, words in shares.items():
            low = 0.0
            for word, share in words:
                for tenth, seconds in enumerate(delays.get((rate.channel, word), ())):
                    low_edge, high_edge = (_digest_at(low + share * (tenth + side) / 10) for side in (0, 1))
                    if low_edge < high_edge:
                        rows.append((rate.channel, rate.band, kind, word, low_edge, high_edge, round(seconds)))
                low += share
    names = ("channel", "band", "kind", "word", "low", "high", "seconds")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    kinds = [pa.string()] * 6 + [pa.int64()]
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)})


def _digest_at(share: float) -> str:
    """Where a share of all digests ends, which are spread evenly, as 32 hexadecimal digits; `g` follows them all."""
    place = round(min(share, 1.0) * 2**64)
    return "g" if place >= 2**64 else f"{place:016x}{'0' * 16}"
