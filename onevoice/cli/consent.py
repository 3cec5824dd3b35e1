"""`onevoice consent`: what a customer has agreed to, why we may or may not contact them, and the proof."""

import json
from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

app = group("What customers have agreed to, with the proof.")


@app.command("show", help="Show whether a customer may be contacted and why, and every word with its text.")
def show_command(
    customer: Annotated[
        str, typer.Argument(help="The customer's id, or NAMESPACE:VALUE such as email:anna@example.com")
    ],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """First what holds now, then the ledger, the newest first."""
    from onevoice import database
    from onevoice.customers.consent import ledger
    from onevoice.customers.consent.asking import identifiers_of, standing
    from onevoice.customers.consent.rule import REASONS

    found = settings(data_dir)
    number, (namespace, _, value) = customer.isdecimal(), customer.partition(":")
    with database.opened(found) as pool, pool.connect() as connection:
        ids = identifiers_of(connection, int(customer) if number else None, namespace, value)
        held = [
            {
                "channel": channel,
                "topic": topic,
                "state": one.state,
                "since": one.since,
                "reason": REASONS[one.reason],
            }
            for channel, topic, one in standing(connection, ids, found.clock().now())
        ]
        words = ledger.history(connection, ids)
    if as_json:
        typer.echo(json.dumps({"now": held, "history": words}, indent=1, default=str, ensure_ascii=False))
        return
    show(held, ("channel", "topic", "state", "since", "reason"), "What holds now", False)
    columns = ("occurred_at", "channel", "topic", "state", "origin", "actor", "country", "locale", "text", "evidence")
    show(words, columns, "What was said", False)
