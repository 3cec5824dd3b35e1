"""`onevoice lift`, `power`, `recommendations`: what a journey caused, what could be seen of one, what to recommend.

All ask the running engine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from onevoice import database
from onevoice.cli.options import settings, show
from onevoice.engine.client import EngineClient
from onevoice.journeys import service
from onevoice.journeys.document import Document
from onevoice.journeys.sentences import Telling
from onevoice.kernel.errors import InvalidInput


def lift(data_dir: Path | None, name: str, days: int, as_json: bool) -> None:
    """Treated against the hold-out, one figure a row."""
    found = EngineClient(settings(data_dir)).ask("lift", name=name, days=days)
    if as_json:
        show([found], (), "", as_json=True)
        return
    arms = ("treated", "holdout")
    rows = [{"figure": "people", **{arm: found[arm]["n"] for arm in arms}}]
    rows.append(
        {"figure": "ordered", **{arm: _percent(found[arm]["conversion"]) for arm in arms}, **_points(found["lift"])}
    )
    for figure, key, compared in (
        ("orders per head", "orders_per_head", "orders_lift"),
        ("revenue per head", "revenue_per_head", "revenue_lift"),
        ("the same, spending before taken out", "", "revenue_lift_adjusted"),
    ):
        means = {arm: f"{found[arm][key]:.2f}" for arm in arms} if key else {}
        rows.append({"figure": figure, **means, **_money(found[compared])})
    rows.append({"figure": "ordered, however often one looks", **_points(found["anytime"]["lift"])})
    rows.append({"figure": "revenue, however often one looks", **_money(found["anytime"]["revenue"])})
    for figure in ("orders", "revenue", "orders_per_message", "revenue_per_message"):
        rows.append({"figure": f"{figure.replace('_', ' ')}, incremental", **_money(found["incremental"][figure])})
    show(
        rows,
        ("figure", *arms, "difference", "from", "to"),
        f"Lift of {name}, {days} days after entering",
        as_json=False,
    )
    said = {
        "better": "The journey brings more.",
        "worse": "The journey brings less.",
        "open": "No effect is shown yet.",
    }
    complete = found["complete"]
    typer.echo(said[found["verdict"]] + ("" if complete is None else f" The {days} days are over for {complete:.0%}."))


def variants(data_dir: Path | None, name: str, step: str, days: int, as_json: bool) -> None:
    """The variants of a split, each against the first."""
    found = settings(data_dir)
    with database.opened(found) as pool, pool.connect() as connection:
        about = service.split(connection, name, step)
    told = EngineClient(found).ask("variants", **about, days=days)
    if as_json:
        show([told], (), "", as_json=True)
        return
    rows = []
    for one in (told["against"], *told["variants"]):
        row = {"variant": one["variant"], "people": one["n"], "ordered": _percent(one["conversion"])}
        row |= {"revenue_per_head": f"{one['revenue_per_head']:.2f}"}
        if one is not told["against"]:
            row |= _points(one["lift"]) | {
                "shown": {"better": "more", "worse": "less", "open": "not yet"}[one["verdict"]]
            }
        rows.append(row)
    columns = ("variant", "people", "ordered", "revenue_per_head", "difference", "from", "to", "shown")
    against = told["against"]["variant"]
    show(rows, columns, f"Variants of {step}, against {against}, {days} days after the split", as_json=False)
    if told["adaptive"]:
        typer.echo("People were dealt by what earlier ones did, so a difference may be the time's.")
        _show_dealing(step, **told["dealt"])


def _show_dealing(step: str, by: str, variants: dict[str, dict[str, Any]]) -> None:
    """By what those are dealt who come to a split with a winner or a bandit."""
    rows = [
        {
            "variant": name,
            "people": one["people"],
            by: one["did"],
            "rate": _percent(one["did"] / one["people"] if one["people"] else None),
            "share of who comes now": _percent(one["share"]),
        }
        for name, one in variants.items()
    ]
    columns = ("variant", "people", by, "rate", "share of who comes now")
    show(rows, columns, f"How {step} deals people", as_json=False)


def power(
    data_dir: Path | None, holdout: float, segment: str | None, event: str | None, days: int, as_json: bool
) -> None:
    """The smallest effects that would be seen, by hold-out and days after launch."""
    if (segment is None) == (event is None):
        raise InvalidInput("Say who would enter: --segment NAME or --event NAME")
    found = EngineClient(settings(data_dir)).ask("power", holdout=holdout, segment=segment, event=event, days=days)
    if as_json:
        show([found], (), "", as_json=True)
        return
    rows = [
        {
            **row,
            "holdout": f"{row['holdout']:.0%}",
            "lift": "-" if row["lift"] is None else f"{100 * row['lift']:.2f} points",
            "relative_lift": "-" if row["relative_lift"] is None else f"{row['relative_lift']:.0%}",
            "revenue_lift": "-" if row["revenue_lift"] is None else f"{row['revenue_lift']:.2f}",
        }
        for row in found["rows"]
    ]
    columns = ("holdout", "days", "treated", "held_out", "lift", "relative_lift", "revenue_lift")
    show(rows, columns, f"Smallest effect seen {found['power']:.0%} of the time", as_json=False)
    typer.echo(
        f"{found['at_launch']:,} enter at launch and {found['a_day']:.1f} a day; of their like "
        f"{_percent(found['baseline']['conversion'])} order within {days} days without it."
    )


def foreseen(engine: EngineClient, journey: Document, locale: str) -> str:
    """With the journey's hold-out, the smallest effect that would be seen, and when; nothing where it has no hold-out,
    or where it is not known who would come in."""
    event = journey.entry.event.name if journey.entry.event else None
    if not journey.holdout or not (journey.entry.segment or event):
        return ""
    rows = engine.ask("power", holdout=journey.holdout, segment=journey.entry.segment, event=event)["rows"]
    tell = Telling(locale)
    effects = [
        tell.phrase(
            "power_effect",
            points=tell.say.number(round(100 * row["lift"], 2)),
            length=tell.say.length(f"{row['days']} days"),
        )
        for row in rows
        if row["holdout"] == journey.holdout and row["lift"] is not None
    ]
    share = tell.say.number(round(100 * journey.holdout, 2))
    return tell.phrase("power", share=share, effects=tell.listed(effects)) if effects else ""


def recommendations(data_dir: Path | None, shown: int, as_json: bool) -> None:
    """How well each method foresees the last basket."""
    found = EngineClient(settings(data_dir)).ask("recommended", patience=600.0, shown=shown)
    if as_json:
        show([found], (), "", as_json=True)
        return
    rows = [
        {
            "method": name + (" (default)" if name == found["default"] else ""),
            **{k: _share(v) for k, v in score.items()},
        }
        for name, score in found["methods"].items()
    ]
    show(
        rows,
        ("method", "hit_rate", "recall", "ndcg", "customers"),
        f"The last basket, from {shown} products",
        as_json=False,
    )
    if found["missing"]:
        typer.echo(found["missing"])


def _points(interval: Mapping[str, float] | None) -> dict[str, Any]:
    return _written(interval, 100, " points")


def _money(interval: Mapping[str, float] | None) -> dict[str, Any]:
    return _written(interval, 1, "")


def _written(interval: Mapping[str, float] | None, factor: float, unit: str) -> dict[str, Any]:
    if interval is None:
        return {"difference": "too few people"}
    named = {"difference": "value", "from": "low", "to": "high"}
    return {name: f"{factor * interval[key]:+.2f}{unit}" for name, key in named.items()}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _share(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
