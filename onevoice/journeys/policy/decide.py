"""The decision: every candidate once, with the outcome, the reason, and what each rule saw."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from onevoice.customers.consent import everybody
from onevoice.customers.facts import ADDRESSES, PROFILES, SUPPRESSIONS
from onevoice.customers.suppression import DEAD_REASONS
from onevoice.journeys.facts import DECISIONS
from onevoice.journeys.hashing import in_control
from onevoice.journeys.policy import arbiter, places
from onevoice.journeys.policy.ask import TOLD, Ask, House
from onevoice.journeys.policy.recent import contacts, frees, recent
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse
from onevoice.warehouse.moving import Moving, moving

RULES = (
    "already_reached",
    "control_group",
    "unreachable",
    "suppressed",
    "no_consent",
    "expired",
    "over_cap",
    "too_soon",
    "quiet_hours",
    "outranked",
)
"""In the order in which they are asked."""

_CONSENT = ibis.table({"customer_id": "int64", "permitted": "int64", "consent": "string"}, name="policy_consent")
_FULL = ibis.table({"customer_id": "int64", "last_journey": "string", "cap_until": "timestamp(6)"}, name="policy_full")
_PUT_OFF = ibis.table({"enrolment_id": "string", "put_off_at": "timestamp(6)"}, name="policy_put_off")

REMEMBERED = 1_000
"""Compiled queries that are remembered."""

_QUERIES: dict[tuple[object, ...], tuple[Moving | None, ibis.Schema]] = {}

ALLOWED = "allowed"


def decide(
    warehouse: Warehouse,
    rows: ir.Table,
    ask: Ask,
    now: datetime,
    name: str = "policy_decided",
    reacted: ir.Table | None = None,
) -> ir.Table:
    """The candidates (some of CANDIDATE, staged) in a scratch table `name`, with outcome (send, defer, skip), reason,
    until, address, locale, counted, and what the rules saw (see seen.py).

    `reacted` holds the enrolments that need no message any more. Every candidate comes out exactly once. `until` is
    when a deferred one is to be asked again.
    """
    places.stage(warehouse, rows, ask.windows, now)
    among = None if _are_most(warehouse, rows) else rows
    is_counted = bool(ask.caps or any(ask.gaps))
    if is_counted:
        _count(warehouse, among, ask, now)
    if not ask.transactional:
        _permit(warehouse, among, ask, now)
    here = (ask.journey, ask.step, ask.channel, ask.patience, rows.op())
    _stage(warehouse, "policy_put_off", here, now, lambda at: _put_off(warehouse, rows, ask, at))
    rivals = arbiter.stage(warehouse, rows, ask)
    better = tuple(sorted({one.journey for one in ask.rivals if one.priority > ask.priority}))
    is_contested = rivals is not None or (is_counted and not ask.once and arbiter.siblings(warehouse, rows))
    # Where nobody competes, messages of the same kind are decided by the same query, whatever journey they are of.
    common = replace(ask, step="", house=House(ask.house.policy))
    if not is_contested:
        common = replace(common, journey="", priority=0)
    known = rows.select(*(column for column in rows.columns if column in CANDIDATE or (ask.several and _own(column))))
    known = known.mutate(reacted=ibis.literal(False) if reacted is None else known.enrolment_id.isin(reacted[0]))
    key = (common, better, known.op(), rivals is not None, is_contested)
    return _stage(
        warehouse, name, key, now, lambda at: _decided(warehouse, known, common, rivals, better, is_contested, at)
    )


CANDIDATE = (
    "enrolment_id",
    "identifier_id",
    "customer_id",
    "entered_at",
    "due_at",
    "key",
    "reached_at",
    "passes",
)
"""What a decision keeps of an enrolment; the first and customer_id must be known."""


def _own(column: str) -> bool:
    """Whether a column says what is one journey's own, of several that ask alike."""
    return column in ("journey", "journey_version", "step") or column.startswith(TOLD)


FEW = 10_000
"""So few candidates are not most of all, whatever all are."""


def _are_most(warehouse: Warehouse, rows: ir.Table) -> bool:
    """Whether the candidates are most customers; then it costs less to look at everybody than to sort them out."""
    count = warehouse.count(rows)
    return count > FEW and 2 * count > warehouse.count(warehouse.table(PROFILES))


def _permit(warehouse: Warehouse, among: ir.Table | None, ask: Ask, now: datetime) -> None:
    """Stages what the consents of these customers permit; of everybody, where none are named."""
    rules = everybody.expiries(warehouse)
    some = None if among is None else among.select("customer_id")

    def build(at: datetime) -> ir.Table:
        found = everybody.permission(warehouse, ask.channel, ask.topic, at, some, rules)
        return found.select("customer_id", "permitted", consent="state")

    key = (ask.channel, ask.topic, rules, None if among is None else among.op())
    _stage(warehouse, "policy_consent", key, now, build)


def _count(warehouse: Warehouse, among: ir.Table | None, ask: Ask, now: datetime) -> None:
    """Stages what these customers (or all) were sent lately and, of those with a full cap, when it is free again."""
    key = (ask.caps, ask.gaps, ask.channel, None if among is None else among.op())

    def sent(at: datetime) -> ir.Table:
        return recent(warehouse, among, ask.caps, ask.gaps, at)

    counts = _stage(
        warehouse, "policy_contacts", key, now, lambda at: contacts(sent(at), ask.channel, ask.caps, ask.gaps, at)
    )
    if ask.caps:
        full = counts.filter(counts.is_full)
        _stage(
            warehouse, "policy_full", key, now, lambda at: frees(sent(at).semi_join(full, "customer_id"), ask.caps, at)
        )


def _stage(
    warehouse: Warehouse, name: str, key: tuple[object, ...], now: datetime, build: Callable[[datetime], ir.Table]
) -> ir.Table:
    """Puts what `build` gives for an instant into a scratch table. Its query is compiled once for the same key."""
    key = (name, warehouse.is_duckdb, *key)
    if key not in _QUERIES:
        if len(_QUERIES) >= REMEMBERED:
            _QUERIES.clear()
        query = moving(lambda at: str(warehouse.backend.compile(build(at))), warehouse.is_duckdb)
        _QUERIES[key] = query, build(now).schema()
    query, schema = _QUERIES[key]
    sql = query.at(now) if query else str(warehouse.backend.compile(build(now)))
    return warehouse.collect(name, sql, dict(schema.items()))


def _decided(
    warehouse: Warehouse,
    given: ir.Table,
    ask: Ask,
    rivals: ir.Table | None,
    better: tuple[str, ...],
    is_contested: bool,
    now: datetime,
) -> ir.Table:
    at = ibis.timestamp(naive(now)).cast("timestamp(6)")
    rows = given
    for facts, on in _facts(warehouse, ask):
        rows = rows.left_join(facts, on).drop(f"{on}_right")
    rows = _completed(rows, ask, at)
    objections = _objections(rows, ask, at)
    rows = rows.mutate(
        reason=ibis.cases(*((objects, reason) for reason, objects in objections.items()), else_=ALLOWED),
        objections=ibis.literal("").join(
            [ibis.ifelse(objects, f"{reason},", "") for reason, objects in objections.items()]
        ),
    )
    if is_contested:
        lost = arbiter.outranked(rows.mutate(passing=rows.reason == ALLOWED), ask, rivals, at)
        rows = rows.left_join(lost, "enrolment_id").drop("enrolment_id_right")
        gives_way = rows.winner.notnull()
        rows = rows.mutate(
            reason=ibis.ifelse(gives_way, "outranked", rows.reason),
            objections=ibis.ifelse(gives_way, "outranked,", rows.objections),
        )
    else:
        rows = rows.mutate(winner=ibis.null("string"), outranked_until=ibis.null("timestamp(6)"))
    rows = _taken(rows, better) if ask.caps and better else rows
    until = ibis.cases(
        (rows.reason == "over_cap", rows.cap_until),
        (rows.reason == "too_soon", rows.gap_until),
        (rows.reason == "quiet_hours", rows.quiet_until),
        (rows.reason == "outranked", ibis.coalesce(rows.outranked_until, rows.cap_until)),
        else_=ibis.null("timestamp(6)"),
    )
    rows = rows.mutate(until=until)
    outcome = ibis.cases(
        (rows.reason == ALLOWED, "send"), (ibis.coalesce(rows.until <= rows.expires_at, False), "defer"), else_="skip"
    )
    rows = rows.mutate(outcome=outcome, counted=ibis.literal(not ask.transactional))
    columns = dict.fromkeys((*given.columns, *OUTCOME, *seen_columns(ask)))
    return rows.select(*columns)


OUTCOME = ("outcome", "reason", "until", "address", "locale", "counted")
"""What every decision says."""


def seen_columns(ask: Ask) -> tuple[str, ...]:
    """Columns of a decision that tell what the rules saw."""
    sent = (f"sent_{number}" for number in range(len(ask.caps)))
    ends = ("cap_until", "gap_until", "quiet_until", "expires_at")
    return ("objections", "suppressed_as", "consent", *sent, *ends, "put_off_at", "time_zone", "last_journey", "winner")


def _facts(warehouse: Warehouse, ask: Ask) -> list[tuple[ir.Table, str]]:
    """What the rules ask about, each by customer or enrolment."""
    found = [(_reach(warehouse, ask.channel), "customer_id"), (_lives(warehouse, ask), "customer_id")]
    if not ask.transactional:
        found.append((_CONSENT, "customer_id"))
    if ask.caps or any(ask.gaps):
        sums = {f"sent_{number}": "int64" for number in range(len(ask.caps))}
        ends = {"last_at": "timestamp(6)", "gap_until": "timestamp(6)"}
        found.append((ibis.table({"customer_id": "int64", **sums, **ends}, name="policy_contacts"), "customer_id"))
    if ask.caps:
        found.append((_FULL, "customer_id"))
    found.append((_PUT_OFF, "enrolment_id"))
    return found


def _reach(warehouse: Warehouse, channel: str) -> ir.Table:
    """The customers' addresses on the channel, each with the reason it is suppressed for, if it is."""
    addresses, suppressed = warehouse.table(ADDRESSES), warehouse.table(SUPPRESSIONS)
    here = addresses.filter(addresses.channel == channel).select("customer_id", "address", "address_hash")
    listed = suppressed.filter(suppressed.channel == channel).select("address_hash", suppressed_as=suppressed.reason)
    return here.left_join(listed, "address_hash").select("customer_id", "address", "suppressed_as")


def _lives(warehouse: Warehouse, ask: Ask) -> ir.Table:
    """Each customer's locale, the time zone they count to, until when it is quiet there, when their day is over."""
    people = places.people(warehouse, places.by_region(ask.windows))
    known = places.STAGED
    here = people.join(
        known, [people.zone == known.zone, people.country == known.country, people.region == known.region]
    )
    return here.select("customer_id", "locale", "time_zone", "quiet_until", "day_begins", "day_ends")


def _put_off(warehouse: Warehouse, rows: ir.Table, ask: Ask, now: datetime) -> ir.Table:
    """Since when each enrolment has been put off here."""
    decisions = warehouse.table(DECISIONS)
    mine = decisions.filter(
        decisions.channel == ask.channel,
        decisions.outcome == "defer",
        decisions.decided_at > ibis.timestamp(naive(now - ask.patience - MEMORY)),
    )
    place = ["step"] if ask.several else []
    if not ask.several:
        mine = mine.filter(mine.journey == ask.journey, mine.step == ask.step)
    if "reached_at" in rows.columns:  # an earlier passing of the step does not count
        here = rows.select("enrolment_id", *place, since=ibis.coalesce(rows.reached_at, rows.entered_at))
        mine = mine.select("enrolment_id", *place, "decided_at").join(here, ["enrolment_id", *place])
        mine = mine.filter(mine.decided_at >= mine.since)
    return mine.group_by("enrolment_id").aggregate(put_off_at=mine.decided_at.min())


MEMORY = timedelta(days=7)
"""So long after its expiry a deferral is still known to have been; the tick gives up earlier what is late."""


def _completed(rows: ir.Table, ask: Ask, at: ir.TimestampScalar) -> ir.Table:
    """The rows with a value in each column that the rules ask about."""
    given = set(rows.columns)
    nothing = {
        "permitted": ibis.literal(1, "int64"),
        "consent": ibis.literal(CONTRACT),
        "cap_until": ibis.null("timestamp(6)"),
        "gap_until": ibis.null("timestamp(6)"),
        "last_at": ibis.null("timestamp(6)"),
        "last_journey": ibis.null("string"),
    }
    rows = rows.mutate(**{name: value for name, value in nothing.items() if name not in given})
    return rows.mutate(
        reacted=ibis.coalesce(rows.reacted, False),
        permitted=ibis.coalesce(rows.permitted, 0),
        consent=ibis.coalesce(rows.consent, "none"),
        locale=ibis.coalesce(rows.locale, "en"),
        asked_at=ibis.coalesce(rows.put_off_at, at),
        expires_at=ibis.coalesce(rows.put_off_at, at) + ibis.interval(seconds=int(ask.patience.total_seconds())),
        **{f"sent_{number}": ibis.coalesce(rows[f"sent_{number}"], 0) for number in range(len(ask.caps))},
    )


CONTRACT = "contract"
"""The basis on which a transactional message is sent."""


def _objections(rows: ir.Table, ask: Ask, at: ir.TimestampScalar) -> dict[str, ir.BooleanValue]:
    """By rule whether it objects, but for the last: that one weighs those to whom none of these does."""
    suppressed = rows.suppressed_as.notnull()
    if ask.transactional:
        suppressed = ibis.coalesce(rows.suppressed_as.isin(sorted(DEAD_REASONS)), False)
    found: dict[str, ir.BooleanValue] = {"already_reached": rows.reacted}
    if ask.held_out:
        found["control_group"] = in_control(rows.customer_id, ask.house.policy.control_group.salt, ask.held_out)
    found |= {
        "unreachable": rows.address.isnull(),
        "suppressed": suppressed,
        "no_consent": rows.permitted != 1,
        "expired": rows.put_off_at.notnull() & (rows.expires_at < at),
    }
    if ask.caps:
        found["over_cap"] = ibis.or_(*(rows[f"sent_{n}"] >= cap.messages for n, cap in enumerate(ask.caps)))
    if any(ask.gaps):
        found["too_soon"] = ibis.coalesce(rows.gap_until > at, False)
    if ask.windows:
        found["quiet_hours"] = ibis.coalesce(rows.quiet_until > at, False)
    return found


def _taken(rows: ir.Table, better: tuple[str, ...]) -> ir.Table:
    """Where a cap is full because a better journey's message came on the same day, that one has outranked this."""
    taken = (
        (rows.reason == "over_cap")
        & ibis.coalesce(rows.last_journey.isin(better), False)
        & ibis.coalesce(rows.last_at >= rows.day_begins, False)
    )
    return rows.mutate(
        reason=ibis.ifelse(taken, "outranked", rows.reason), winner=ibis.ifelse(taken, rows.last_journey, rows.winner)
    )
