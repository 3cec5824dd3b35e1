"""`onevoice why`: the decisions about a customer with every rule, and what would be decided at a moment."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer

from onevoice import database
from onevoice.engine.client import EngineClient
from onevoice.journeys import versions
from onevoice.journeys.why import case
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings


@dataclass(frozen=True)
class Wish:
    """What is asked."""

    customer_id: int
    journey: str | None
    message: str | None
    at: str
    locale: str


def run(settings: Settings, wish: Wish, as_json: bool) -> None:
    """Asks the running engine and prints."""
    at = _moment(wish.at)
    engine = EngineClient(settings)
    about: dict[str, Any] = {"customer_id": wish.customer_id, "at": at, "locale": wish.locale}
    told: dict[str, Any] = {
        "decisions": engine.ask("reasons", journey=wish.journey, message=wish.message, **about),
        "standing": None,
    }
    if wish.journey is not None:
        with database.opened(settings) as pool, pool.connect() as connection:
            asked = case(connection, wish.journey)
        told["standing"] = engine.ask("standing", **about, **asked)
    if as_json:
        typer.echo(json.dumps(told, indent=1, default=str, ensure_ascii=False))
        return
    places = _places(settings, {one["journey"] for one in told["decisions"]}, wish.locale)
    if told["standing"]:
        typer.echo(f"{wish.journey}: {told['standing']['sentence']}")
        _print_rules((told["standing"]["would"] or {}).get("rules", []))
    for one in told["decisions"]:
        place = places[one["journey"]].get(one["step"], one["step"])
        typer.echo(f"{one['decided_at']}  {one['journey']}, {place}: {one['sentence']}")
        _print_rules(one["rules"])
    if not told["decisions"]:
        typer.echo("Nothing has been decided about this customer.")


def _places(settings: Settings, journeys: set[str], locale: str) -> dict[str, dict[str, str]]:
    """By journey and the keys of its places, what a person calls them."""
    with database.opened(settings) as pool, pool.connect() as connection:
        return {name: versions.places(connection, name, locale) for name in journeys}


def _print_rules(rules: list[dict[str, Any]]) -> None:
    marks = {"passes": "✓", "objects": "✗", "not asked": "·"}
    for rule in rules:
        saw = ", ".join(f"{name} {value}" for name, value in rule["seen"].items() if value != "")
        typer.echo(f"    {marks[rule['verdict']]} {rule['rule']}{': ' + saw if saw else ''}")


def _moment(text: str) -> str | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no moment; write it like 2026-03-02T10:00:00+01:00") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
