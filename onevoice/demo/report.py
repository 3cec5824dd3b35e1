"""The demo's figures, as JSON and as tables. Every figure is asked of `onevoice.insights`; none is computed here.

Only what is counted outside the platform is counted here: what the providers' doubles received, against the queue.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import text

from onevoice.demo.behaviour import ASSUMED
from onevoice.demo.retailer import CITATION, CURRENCY, END
from onevoice.demo.synthetic import TOPIC
from onevoice.engine.engine import Engine
from onevoice.engine.questions import segment_sizes
from onevoice.insights import cascades, experiments, metrics
from onevoice.journeys.figures import figures as journey_figures

JOURNEY = "win-back"
STEP = "reach"
CASCADE = ["email", "push", "sms"]


def history(engine: Engine, now: datetime) -> dict[str, Any]:
    """The figures of the retailer's year, and the segments as they stand before the journey begins."""
    overview = metrics.overview(engine.warehouse, metrics.ALWAYS[0], END)
    identities = metrics.identities(engine.warehouse)
    return {
        "customers": identities["known"],
        "identities": identities,
        **{name: overview[name] for name in ("orders", "order_lines", "sales", "aov", "repeat_purchase_rate")},
        "segments": segment_sizes(engine.warehouse, now),
    }


def results(engine: Engine, now: datetime) -> dict[str, Any]:
    """The figures of the journey."""
    warehouse = engine.warehouse
    lift = experiments.lift(warehouse, JOURNEY, now)
    cascade = cascades.saving(warehouse, JOURNEY, STEP, CASCADE, TOPIC, now)
    simulated = metrics.overview(warehouse, END, metrics.ALWAYS[1])
    return {
        "messages": metrics.channels(warehouse, *metrics.ALWAYS, journey=JOURNEY),
        "decisions": metrics.decisions(warehouse, JOURNEY),
        "holdout": lift["holdout"],
        "treated": lift["treated"],
        "lift": lift["lift"],
        "revenue_lift": lift["revenue_lift"],
        "horizon": {"days": lift["horizon_days"], "complete": lift["complete"]},
        "cascade_saving": cascade["saved"],
        "cascade": cascade,
        "journey": journey_figures(warehouse, JOURNEY),
        "cac": metrics.overview(warehouse, *metrics.ALWAYS)["cac"],
        "simulated": {name: simulated[name] for name in ("orders", "sales", "aov", "message_cost")},
    }


def delivery(engine: Engine, received: Mapping[str, int]) -> dict[str, Any]:
    """What the doubles received (how often, by message id), against what the queue says was accepted."""
    with engine.database.connect() as connection:
        rows = connection.execute(text("SELECT id::text, state FROM message")).all()
    total = sum(received.values())
    return {
        "sink": {"received": total, "distinct": len(received), "duplicates": total - len(received)},
        "lost": sum(1 for id, state in rows if state == "accepted" and id not in received),
        "in_doubt": sum(1 for _, state in rows if state == "in_doubt"),
        "queue": {name: sum(1 for _, state in rows if state == name) for name in sorted({row.state for row in rows})},
    }


def show(console: Console, found: Mapping[str, Any]) -> None:
    """All of it as tables."""
    for table in (_customers, _segments, _decisions, _messages, _earned, _effect):
        console.print(table(found))
        console.print()
    console.print(_notes(found), style="dim")


def _customers(found: Mapping[str, Any]) -> Table:
    identities = found["identities"]
    table = Table("", "", title="The retailer's year, customers and identities unified", show_header=False)
    spaces = ", ".join(f"{count:,} {name.replace('_', ' ')}s" for name, count in identities["by_namespace"].items())
    return _rows(
        table,
        ("customers", f"{found['customers']:,}"),
        ("identifiers", f"{identities['identifiers']:,} ({spaces})"),
        ("identity links", f"{identities['links']:,}"),
        ("customers of more than one identifier", f"{identities['unified']:,}"),
        ("orders (baskets)", f"{found['orders']:,}"),
        ("order lines", f"{found['order_lines']:,}"),
        ("sales", _money(found["sales"])),
        ("average order value", _money(found["aov"])),
        ("repeat purchase rate", _share(found["repeat_purchase_rate"])),
        ("customer acquisition cost (messages only)", _money(found["cac"], 4)),
    )


def _segments(found: Mapping[str, Any]) -> Table:
    table = Table("segment", _number("customers"), title="Segments, on the morning after the data ends")
    return _rows(table, *((name, f"{size:,}") for name, size in found["segments"].items()))


def _decisions(found: Mapping[str, Any]) -> Table:
    table = Table("step", "channel", "decision", "reason", _number("times"), title="Decisions and their reasons")
    for row in found["journey"]["steps"]:
        table.add_row(row["step"], row["channel"] or "–", row["outcome"], row["reason"], f"{row['n']:,}")
    return table


def _messages(found: Mapping[str, Any]) -> Table:
    heads = ("planned", "sent", "delivered", "opened", "clicked", "unsubscribed")
    table = Table("channel", *(_number(head) for head in heads), title="Messages per channel")
    for channel, row in _channels(found):
        table.add_row(channel, *(f"{row[name]:,}" for name in heads))
    return table


def _earned(found: Mapping[str, Any]) -> Table:
    heads = ("contacted", "ordered", "conversion", "revenue", "cost", "CPA")
    table = Table(
        "channel",
        *(_number(head) for head in heads),
        title=f"What each channel earned, by click, else last touch, {CURRENCY}",
    )
    for channel, row in _channels(found):
        amounts = (_amount(row["revenue"]), _amount(row["cost"], 4), _amount(row["cpa"], 4))
        table.add_row(channel, f"{row['sent']:,}", f"{row['orders']:,}", _share(row["conversion"]), *amounts)
    return table


def _channels(found: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, found["messages"][name]) for name in CASCADE if name in found["messages"]]


def _effect(found: Mapping[str, Any]) -> Table:
    treated, holdout, cascade, sink = found["treated"], found["holdout"], found["cascade"], found["sink"]
    table = Table("", "", title="What it brought", show_header=False)
    return _rows(
        table,
        ("treated", f"{treated['n']:,} customers, {_share(treated['conversion'])} ordered"),
        ("hold-out", f"{holdout['n']:,} customers, {_share(holdout['conversion'])} ordered"),
        ("lift (difference of the two, 95 %)", _interval(found["lift"], _points)),
        ("revenue per customer, difference (95 %)", _interval(found["revenue_lift"], _money)),
        ("cascade: spent", _money(cascade["spent"], 4)),
        ("the same people on all three channels", _money(cascade["all_channels"], 4)),
        ("saved by the cascade", _money(cascade["saved"], 4)),
        ("received by the providers' doubles", f"{sink['received']:,}, of them twice: {sink['duplicates']}"),
        ("accepted but not received (lost)", str(found["lost"])),
        ("in doubt", str(found["in_doubt"])),
    )


def _notes(found: Mapping[str, Any]) -> str:
    return "\n".join(
        (
            f"Purchases, products, demographics, campaigns and coupons: {CITATION}.",
            "Names, addresses, consents, visits and past reactions are synthetic; nobody real was written to.",
            f"Customers are simulated, and so is the lift. Assumed: {ASSUMED.sentence()}.",
            f"Orders count for {found['horizon']['days']} days after entering, for both arms alike.",
            f"{found['played']['proxies']} e-mails had their pictures fetched on arrival by mail programs: no opening.",
            "CPA is the channel's cost by its orders; conversion its orders by the messages delivered.",
            "Acquisition cost is what messages cost by the customers ever won; nobody new was won here.",
        )
    )


def _rows(table: Table, *rows: Iterable[str]) -> Table:
    for row in rows:
        table.add_row(*row)
    return table


def _number(head: str) -> Any:

    return Column(head, justify="right")


def _amount(amount: float | None, digits: int = 2) -> str:
    return "–" if amount is None else f"{amount:,.{digits}f}"


def _money(amount: float | None, digits: int = 2) -> str:
    return "–" if amount is None else f"{_amount(amount, digits)} {CURRENCY}"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _points(difference: float) -> str:
    return f"{difference * 100:+.1f} points"


def _interval(found: Mapping[str, float] | None, written: Any) -> str:
    if found is None:
        return "– (an arm is too small)"
    return f"{written(found['value'])}, from {written(found['low'])} to {written(found['high'])}"
