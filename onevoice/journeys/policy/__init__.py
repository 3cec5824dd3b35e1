"""The contact policy: the one place where it is decided whether somebody is contacted, on this channel, now.

Rules in the order in which they are asked; the first that objects is the reason:

1. `already_reached`: they reacted to an earlier message of the cascade
2. `unreachable`: no address on the channel
3. `suppressed`: the address is on the suppression list
4. `no_consent`: customers.consent.rule does not permit (channel, topic); silence is not a consent
5. `over_cap`: as many messages as the cap allows were planned in its window
6. `quiet_hours`: it is night where the customer lives; deferred until it is over

Who passes is `allowed`. Every decision keeps what the rules saw. A worker asks 3 and 4 once more before it sends.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from onevoice.customers import consent
from onevoice.customers.facts import ADDRESSES, PROFILES, SUPPRESSIONS
from onevoice.delivery.facts import MESSAGES
from onevoice.journeys.document import Policy, clock_time
from onevoice.kernel.clock import naive
from onevoice.warehouse import Warehouse

SEEN = ("address", "suppressed_as", "consent", "contacts", "time_zone", "quiet_until", "quiet_text")
"""Columns of a decision that tell what the rules saw."""


def decide(
    warehouse: Warehouse,
    candidates: ir.Table,
    reactions: ir.Table | None,
    channel: str,
    topic: str,
    policy: Policy,
    now: datetime,
) -> ir.Table:
    """Candidates (with enrolment_id and customer_id), and for each outcome, reason, address, locale and what was seen.

    `reactions` holds the enrolment_id of those who have reacted, each once. What was seen (`SEEN`) is kept as columns,
    because most of a tick does not need it as text: see `seen`. `outcome` is send, skip or defer. Every candidate comes
    out exactly once.
    """
    customers = candidates.select("customer_id")
    rows = candidates.mutate(reacted=ibis.literal(False))
    if reactions is not None:
        known = reactions.mutate(found=ibis.literal(True))
        rows = candidates.left_join(known, "enrolment_id").drop("enrolment_id_right")
        rows = rows.mutate(reacted=rows.found.notnull()).drop("found")
    for facts in (
        _reach(warehouse, channel),
        _consent(warehouse, customers, channel, topic, now),
        _contacts(warehouse, customers, policy, now),
        _profiles(warehouse, policy, now),
    ):
        rows = rows.left_join(facts, "customer_id").drop("customer_id_right")
    contacts = ibis.coalesce(rows.contacts, 0)
    permitted = ibis.coalesce(rows.permitted, 0) == 1
    over = contacts >= policy.cap.messages if policy.cap else ibis.literal(False)
    reason = ibis.cases(
        (rows.reacted, "already_reached"),
        (rows.address.isnull(), "unreachable"),
        (rows.suppressed_as.notnull(), "suppressed"),
        (~permitted, "no_consent"),
        (over, "over_cap"),
        (rows.quiet_until.notnull(), "quiet_hours"),
        else_="allowed",
    )
    rows = rows.mutate(reason=reason, contacts=contacts, consent=ibis.coalesce(rows.consent, "none"))
    outcome = ibis.cases((rows.reason == "allowed", "send"), (rows.reason == "quiet_hours", "defer"), else_="skip")
    return rows.select(*candidates.columns, *SEEN, "reason", outcome=outcome, locale=ibis.coalesce(rows.locale, "en"))


def _reach(warehouse: Warehouse, channel: str) -> ir.Table:
    """The customers' addresses on the channel, each with the reason it is suppressed for, if it is."""
    addresses, suppressed = warehouse.table(ADDRESSES), warehouse.table(SUPPRESSIONS)
    here = addresses.filter(addresses.channel == channel).select("customer_id", "address", "address_hash")
    listed = suppressed.filter(suppressed.channel == channel).select("address_hash", suppressed_as=suppressed.reason)
    return here.left_join(listed, "address_hash").select("customer_id", "address", "suppressed_as")


def _consent(warehouse: Warehouse, customers: ir.Table, channel: str, topic: str, now: datetime) -> ir.Table:
    """Whether each customer who has said something may be contacted, and the state of their consent."""
    rows = consent.permission(warehouse, channel, topic, now, among=customers)
    return rows.select("customer_id", "permitted", consent=rows.state)


def _contacts(warehouse: Warehouse, customers: ir.Table, policy: Policy, now: datetime) -> ir.Table:
    """How many messages each customer was planned in the cap's window, those of all journeys and channels."""
    messages = warehouse.table(MESSAGES)
    days = policy.cap.days if policy.cap else 0
    recent = messages.filter(
        messages.planned_at > ibis.timestamp(naive(now - timedelta(days=days))), messages.status != "skipped"
    ).semi_join(customers, "customer_id")
    return recent.group_by("customer_id").aggregate(contacts=recent.count())


def _profiles(warehouse: Warehouse, policy: Policy, now: datetime) -> ir.Table:
    """Each customer's locale, the time zone they count to, and until when it is quiet there (null: it is not)."""
    profiles = warehouse.table(PROFILES).select("customer_id", "locale", "time_zone")
    names = warehouse.read(profiles.select("time_zone").distinct())["time_zone"].to_pylist()
    zones = warehouse.stage("zones", _zones(names, policy, now))
    return profiles.join(zones, profiles.time_zone == zones.name).select(
        "customer_id", "locale", zones.time_zone, "quiet_until", "quiet_text"
    )


def _zones(names: Iterable[str], policy: Policy, now: datetime) -> pa.Table:
    """One row per zone, not per customer: its name in the profiles, what it counts as, until when it is quiet."""
    until = {name: quiet_until(name, policy, now) for name in sorted(set(names))}
    # As text too, because every store writes an instant in its own way.
    texts = [f"{at:%Y-%m-%d %H:%M}" if at else None for at in until.values()]
    return pa.table(
        {
            "name": pa.array(list(until), pa.string()),
            "time_zone": pa.array([str(_zone(name)) for name in until], pa.string()),
            "quiet_until": pa.array([naive(at) if at else None for at in until.values()], pa.timestamp("us")),
            "quiet_text": pa.array(texts, pa.string()),
        }
    )


def quiet_until(zone: str, policy: Policy, now: datetime) -> datetime | None:
    """When the quiet hours that hold at `now` in the zone are over, in UTC; None where they do not hold.

    A zone that nobody knows counts as UTC. The end is a time on the wall there, whatever the clocks do that night:
    the second one where the wall shows it twice and the first is over, the hour after where it is skipped.
    """
    if policy.quiet_hours is None:
        return None
    start, end = clock_time(policy.quiet_hours.start), clock_time(policy.quiet_hours.end)
    there = now.astimezone(_zone(zone))
    wall = there.time()
    if not _within(wall, start, end):
        return None
    day = there.date() + timedelta(days=1) if start > end and wall >= start else there.date()
    until = datetime.combine(day, end, there.tzinfo)
    if until.astimezone(UTC) <= now:
        until = until.replace(fold=1)
    return until.astimezone(UTC)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, or too long for a file
        return UTC


def _within(wall: time, start: time, end: time) -> bool:
    return start <= wall < end if start <= end else wall >= start or wall < end


def seen(rows: ir.Table, policy: Policy) -> ir.StringValue:
    """What the rules saw (the columns `SEEN`), as JSON text."""
    return (
        ibis.literal('{"address":')
        + ibis.ifelse(rows.address.notnull(), "true", "false")
        + ibis.literal(',"suppressed":"')
        + ibis.coalesce(rows.suppressed_as, "")
        + ibis.literal('","consent":"')
        + rows.consent
        + ibis.literal('","messages_in_window":')
        + rows.contacts.cast("string")
        + ibis.literal(f',"cap":{policy.cap.messages if policy.cap else "null"},"time_zone":"')
        + ibis.coalesce(rows.time_zone, "UTC")
        + ibis.literal('","quiet_until":"')
        + ibis.coalesce(rows.quiet_text, "")
        + ibis.literal('"}')
    )
