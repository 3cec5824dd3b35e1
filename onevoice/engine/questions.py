"""The questions the api may ask the engine: each a function of a warehouse, the time, and plain arguments."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import ibis
import msgspec
import pyarrow as pa

from onevoice.catalog import factorised, recommendations
from onevoice.catalog.facts import ORDER_LINES, ORDERS, REFUNDS
from onevoice.customers import contact, views
from onevoice.customers.facts import PROFILES
from onevoice.customers.identifiers import Identifier, rules
from onevoice.customers.schemas import DecisionEntry, Suggestion
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.engine import merging
from onevoice.engine.load import TABLES
from onevoice.events.facts import EVENTS
from onevoice.insights import cascades, experiments, metrics
from onevoice.insights import power as powers
from onevoice.journeys import best, dealing, leaving, why
from onevoice.journeys.begun import came
from onevoice.journeys.entries import BY_EVENT
from onevoice.journeys.figures import figures
from onevoice.journeys.steps.split import Split
from onevoice.journeys.variables import variables_for
from onevoice.kernel.clock import aware, naive
from onevoice.kernel.errors import ConfigurationError
from onevoice.privacy import retention
from onevoice.privacy.access import collected
from onevoice.segments import explain, preview
from onevoice.segments.facts import SEGMENT_MEMBERS, SEGMENT_STATES
from onevoice.segments.tree import condition
from onevoice.warehouse import Facts, Warehouse

Question = Callable[..., Any]


def search_customers(warehouse: Warehouse, now: datetime, text: str = "", limit: int = 20) -> dict[str, Any]:
    """See customers.views.search."""
    return views.search(warehouse, text, limit)


def customer(warehouse: Warehouse, now: datetime, customer_id: int) -> dict[str, Any]:
    """See customers.views.customer."""
    return views.customer(warehouse, customer_id, now)


def customer_of(warehouse: Warehouse, now: datetime, namespace: str, value: str) -> dict[str, Any]:
    """See customers.views.customer_of."""
    return views.customer_of(warehouse, Identifier(namespace, value), now)


def identity_warnings(
    warehouse: Warehouse, now: datetime, customer_id: int | None = None, rule: str = "", limit: int = 100
) -> list[dict[str, Any]]:
    """See customers.views.warnings."""
    return views.warnings(warehouse, customer_id, rule, limit)


def identity_preview(
    warehouse: Warehouse, now: datetime, told: dict[str, Any], identity: dict[str, Any]
) -> dict[str, Any]:
    """See engine.merging.preview."""
    return merging.preview(warehouse, msgspec.convert(told, DecisionEntry), rules(identity, {}))


def identity_rebuild(warehouse: Warehouse, now: datetime, identity: dict[str, Any], ids: dict[str, int]) -> Any:
    """See engine.merging.rebuilt; `ids` of the sources by name, which the rules name."""
    return merging.rebuilt(warehouse, rules(identity, ids))


def timeline(warehouse: Warehouse, now: datetime, customer_id: int, limit: int = 100) -> list[dict[str, Any]]:
    """What the customer did and what was sent to them, the newest first: events, orders, messages with their news."""
    views.customer(warehouse, customer_id, now)
    refunds = _refunds(warehouse, customer_id, limit)
    told: list[dict[str, Any]] = list(refunds.values())
    for row in _newest(warehouse, EVENTS, customer_id, "occurred_at", limit):
        if row["event_id"] in refunds:
            continue
        told.append(
            {
                "at": row["occurred_at"],
                "what": "event",
                "type": row["type"],
                "name": row["name"],
                "channel": row["channel"],
                "properties": msgspec.json.decode(row["properties"]),
            }
        )
    messages = {row["message_id"]: row for row in _newest(warehouse, MESSAGES, customer_id, "planned_at", limit)}
    news = warehouse.table(MESSAGE_EVENTS)
    for row in warehouse.rows(news.filter(news.message_id.isin(list(messages) or [""]))):
        message = messages[row["message_id"]]
        told.append(
            {
                "at": row["occurred_at"],
                "what": "message",
                "type": row["news"],
                "name": f"{message['journey']} / {message['template']}",
                "channel": message["channel"],
                "properties": {"message_id": row["message_id"], "machine": row["machine"]},
            }
        )
    return sorted(told, key=lambda item: item["at"], reverse=True)[:limit]


def _refunds(warehouse: Warehouse, customer_id: int, limit: int) -> dict[str, dict[str, Any]]:
    """By event, the refunds that the customer asked for or that were of their orders, with what each amounted to."""
    refunds, orders = warehouse.table(REFUNDS), warehouse.table(ORDERS)
    theirs = orders.filter(orders.customer_id == customer_id).select(order_source_id="source_id", order_id="order_id")
    of_orders = refunds.semi_join(theirs, ("order_source_id", "order_id"))
    found = of_orders.union(refunds.filter(refunds.customer_id == customer_id), distinct=True)
    rows = warehouse.rows(found.order_by(ibis.desc("refunded_at")).limit(limit))
    names = ("order_id", "amount", "currency", "quantity", "store_id", "till_id", "receipt", "cashier", "sale_known")
    return {
        row["event_id"]: {
            "at": row["refunded_at"],
            "what": "event",
            "type": "track",
            "name": "Order Refunded",
            "channel": row["channel"],
            "properties": {
                name: float(row[name]) if name == "amount" else row[name] for name in names if row[name] is not None
            },
        }
        for row in rows
    }


def reasons(
    warehouse: Warehouse,
    now: datetime,
    customer_id: int,
    journey: str | None = None,
    message: str | None = None,
    at: str | None = None,
    locale: str = "en",
) -> list[dict[str, Any]]:
    """See journeys.why.why."""
    views.customer(warehouse, customer_id, now)
    until = datetime.fromisoformat(at) if at else None
    return why.why(warehouse, customer_id, journey, message, until, locale)


def standing(
    warehouse: Warehouse,
    now: datetime,
    customer_id: int,
    journey: dict[str, Any],
    live: list[dict[str, Any]],
    policy: dict[str, Any],
    segments: dict[str, Any],
    at: str | None = None,
    locale: str = "en",
) -> dict[str, Any]:
    """See journeys.why.standing."""
    views.customer(warehouse, customer_id, now)
    case = why.Case(
        why.version_of(journey), tuple(why.version_of(one) for one in live), contact.parse(policy), segments
    )
    return why.standing(warehouse, customer_id, case, datetime.fromisoformat(at) if at else now, locale)


def variables(
    warehouse: Warehouse, now: datetime, customer_ids: list[int], journey: dict[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """By customer, what a message of a journey planned now would be personalised with, see journeys.variables."""
    laid = why.version_of(journey) if journey else None
    return {str(one): found for one, found in variables_for(warehouse, customer_ids, now, laid).items()}


def audience(
    warehouse: Warehouse, now: datetime, segment: str = "", journey: dict[str, Any] | None = None, sample: int = 50
) -> dict[str, Any]:
    """Customers by locale and the variables of some of them, for checks before launch: of a segment, of whoever does
    what lets people into a journey, or of all."""
    profiles = warehouse.table(PROFILES)
    laid = why.version_of(journey) if journey else None
    segment = segment or (laid.document.entry.segment or "" if laid else "")
    if laid and laid.document.entry.way in BY_EVENT:
        profiles = profiles.semi_join(came(warehouse, laid), "customer_id")
    if segment:
        members = warehouse.table(SEGMENT_MEMBERS)
        profiles = profiles.semi_join(members.filter(members.segment == segment), "customer_id")
    locales = warehouse.rows(profiles.group_by("locale").aggregate(customers=profiles.count()))
    # By a hash, so that those who came first are not all there is; and the same ones each time.
    some = warehouse.rows(
        profiles.order_by(profiles.customer_id.hash(), "customer_id").select("customer_id").limit(sample)
    )
    return {
        "locales": {row["locale"]: row["customers"] for row in locales},
        "customers": list(variables_for(warehouse, [row["customer_id"] for row in some], now, laid).values()),
    }


def matches(warehouse: Warehouse, now: datetime, refused: list[list[int]]) -> list[Suggestion]:
    """Customers that may be one, see customers.matching."""
    from onevoice.customers import matching  # splink is large, and seldom asked

    return matching.found(warehouse, [(left, right) for left, right in refused])


def access(warehouse: Warehouse, now: datetime, customer_id: int) -> dict[str, Any]:
    """All that the warehouse keeps of a customer, see privacy.access."""
    return collected(warehouse, TABLES, customer_id)


def retention_tried(warehouse: Warehouse, now: datetime, rules: list[dict[str, Any]]) -> list[dict[str, int]]:
    """What retention's rules would remove from the warehouse, see privacy.retention."""
    return retention.aged_rows(warehouse, msgspec.convert(rules, list[retention.Rule]), now)


def segment(warehouse: Warehouse, now: datetime, name: str, sample: int = 10) -> dict[str, Any]:
    """How many are in a segment, and some of them."""
    members = warehouse.table(SEGMENT_MEMBERS)
    inside = members.filter(members.segment == name)
    found = warehouse.rows(inside.order_by("customer_id").limit(sample).select("customer_id", "entered_at"))
    return {
        "size": warehouse.count(inside),
        "sample": [{**row, "customer_id": str(row["customer_id"])} for row in found],
    }


def segment_sizes(warehouse: Warehouse, now: datetime) -> dict[str, int]:
    """Each segment's size."""
    members = warehouse.table(SEGMENT_MEMBERS)
    rows = warehouse.rows(members.group_by("segment").aggregate(size=members.count()))
    return {row["segment"]: row["size"] for row in sorted(rows, key=lambda row: row["segment"])}


def segment_states(warehouse: Warehouse, now: datetime) -> dict[str, dict[str, Any]]:
    """By segment: when it was last computed whole, how long that took, what kept it from being computed."""
    rows = warehouse.rows(warehouse.table(SEGMENT_STATES))
    return {row["segment"]: {**row, "computed_at": aware(row["computed_at"])} for row in rows}


def segment_preview(
    warehouse: Warehouse, now: datetime, where: dict[str, Any], sample: int = 10, overlap: bool = False
) -> Any:
    """How many would be in a segment with this condition, and some of them; nothing is saved."""
    return preview.preview(warehouse, condition(where), now, sample, overlap)


def segment_explain(
    warehouse: Warehouse, now: datetime, where: dict[str, Any], customer_id: int, locale: str = "en"
) -> Any:
    """Which parts of a condition hold for a customer, with the values seen."""
    views.customer(warehouse, customer_id, now)
    return explain.explain(condition(where), warehouse, now, customer_id, locale)


def journey(warehouse: Warehouse, now: datetime, name: str) -> dict[str, Any]:
    """A journey's figures: per step and channel, decisions by reason, lift over the hold-out."""
    return {
        "figures": figures(warehouse, name),
        "channels": metrics.channels(warehouse, *metrics.ALWAYS, journey=name),
        "decisions": metrics.decisions(warehouse, name),
        "lift": experiments.lift(warehouse, name, now),
    }


def lift(warehouse: Warehouse, now: datetime, name: str, days: int = experiments.HORIZON.days) -> dict[str, Any]:
    """See insights.experiments.lift."""
    return experiments.lift(warehouse, name, now, timedelta(days=days))


def variants(
    warehouse: Warehouse,
    now: datetime,
    name: str,
    step: str,
    split: dict[str, Any],
    days: int = experiments.HORIZON.days,
) -> dict[str, Any]:
    """See insights.experiments.variants; the first variant is what the others are held against. `dealt` is
    journeys.dealing.standing, `adaptive` whether people are dealt by what earlier ones did."""
    asked = msgspec.convert(split, Split)
    compared = experiments.variants(warehouse, name, step, asked.variants[0].name, now, timedelta(days=days))
    dealt = dealing.standing(warehouse, name, step, asked, now)
    return {**compared, "dealt": dealt, "adaptive": dealt["by"] is not None}


def cascade(
    warehouse: Warehouse,
    now: datetime,
    name: str,
    step: str,
    channels: list[str],
    topic: str,
    prices: dict[str, float] | None = None,
) -> dict[str, Any]:
    """See insights.cascades.report."""
    return cascades.report(warehouse, name, step, channels, topic, now, prices)


def habits(warehouse: Warehouse, now: datetime, customer_id: int, channels: list[str]) -> dict[str, Any]:
    """See journeys.best: the customer's channels, the best first, and their best hour, with the figures."""
    one = warehouse.stage("asked_for", pa.table({"customer_id": pa.array([customer_id], pa.int64())}))
    ranks = warehouse.rows(best.ranked(warehouse, one, channels, now).order_by("rank"))
    hour = warehouse.rows(best.best_hours(warehouse, one, ibis.timestamp(naive(now))))
    return {"channels": ranks, "hour": hour[0] if hour else None}


def power(
    warehouse: Warehouse,
    now: datetime,
    holdout: float,
    segment: str | None = None,
    event: str | None = None,
    days: int = experiments.HORIZON.days,
) -> dict[str, Any]:
    """See insights.power.power."""
    return powers.power(warehouse, now, holdout, segment, event, timedelta(days=days))


def recommended(warehouse: Warehouse, now: datetime, shown: int = recommendations.SHOWN) -> dict[str, Any]:
    """Each method's score on the last baskets; `missing` says what has to be installed for the models."""
    methods: dict[str, recommendations.Recommend] = {
        "frequent": recommendations.frequent,
        "popular": recommendations.popular,
    }
    missing = ""
    try:
        methods |= factorised.methods()
    except ConfigurationError as error:
        missing = error.message
    scores = recommendations.evaluation(warehouse, warehouse.table(ORDER_LINES), methods, shown)
    return {"shown": shown, "default": "frequent", "methods": scores, "missing": missing}


def journey_standing(warehouse: Warehouse, now: datetime, names: list[str]) -> list[dict[str, Any]]:
    """How many people are in flight in the journeys, by version and node."""
    return [
        {"journey": name, "version": version, "step": step, "people": people}
        for (name, version, step), people in sorted(leaving.standing(warehouse, names).items())
    ]


def overview(warehouse: Warehouse, now: datetime, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    """The KPIs of a period (ISO dates, the end excluded; all of history by default)."""
    first, last = metrics.ALWAYS
    first = aware(datetime.fromisoformat(start)) if start else first
    last = aware(datetime.fromisoformat(end)) if end else last
    return {
        "overview": metrics.overview(warehouse, first, last),
        "identities": metrics.identities(warehouse),
        "channels": metrics.channels(warehouse, first, last),
    }


def health(warehouse: Warehouse, now: datetime) -> dict[str, int]:
    """Rows in the big tables; that an answer comes at all says the engine is up."""
    return {facts.name: warehouse.count(warehouse.table(facts)) for facts in (EVENTS, ORDERS, MESSAGES)}


def _newest(warehouse: Warehouse, facts: Facts, customer_id: int, by: str, limit: int) -> list[dict[str, Any]]:
    rows = warehouse.table(facts)
    return warehouse.rows(rows.filter(rows.customer_id == customer_id).order_by(ibis.desc(by)).limit(limit))


QUESTIONS: dict[str, Question] = {
    question.__name__: question
    for question in (
        search_customers,
        customer,
        customer_of,
        identity_warnings,
        identity_preview,
        identity_rebuild,
        timeline,
        reasons,
        variables,
        audience,
        standing,
        matches,
        access,
        retention_tried,
        segment,
        segment_sizes,
        segment_states,
        segment_preview,
        segment_explain,
        journey,
        journey_standing,
        lift,
        variants,
        cascade,
        habits,
        power,
        recommended,
        overview,
        health,
    )
}
