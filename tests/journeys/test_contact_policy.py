"""The contact policy of the house as a document: checked, lossless, kept in versions."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine
from typer.testing import CliRunner

from onevoice.cli.main import app
from onevoice.customers.contact import Cap, ContactPolicy, Place, Quiet, parse, quiet_until, store, written
from onevoice.customers.contact.document import SENSIBLE
from onevoice.customers.contact.laws import LAWS
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.settings import Settings
from tests.conftest import NOW

STRICT = {
    "kind": "contact_policy",
    "name": "default",
    "caps": [{"messages": 1, "per": "day"}, {"messages": 3, "per": "10 days", "channel": "sms"}],
    "quiet_hours": [{"from": "20:00", "to": "24:00", "country": "IT", "on": ["sunday"]}],
    "gaps": {"sms": "2 days"},
    "control_group": {"share": 0.05, "salt": "2026"},
}


def test_a_document_is_read_and_written_without_loss() -> None:
    policy = parse(STRICT)
    assert policy.caps == (Cap(1, "day"), Cap(3, "10 days", "sms"))
    assert written(policy) == STRICT and parse(written(SENSIBLE)) == SENSIBLE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"caps": [{"messages": 1, "per": "fortnight"}]}, r"a length of time .* 'fortnight' - at `\$.caps\[0\].per`"),
        ({"caps": [{"messages": 0, "per": "day"}]}, r"`int` >= 1 - at `\$.caps\[0\].messages`"),
        ({"gap": "soon"}, r"not 'soon' - at `\$.gap`"),
        ({"quiet_hours": [{"from": "25:00", "to": "08:00"}]}, r"not '25:00' - at `\$.quiet_hours\[0\].from`"),
        ({"quiet_hours": [{"from": "08:00", "to": "08:00"}]}, "end when they begin"),
        ({"quiet_hours": [{"from": "08:00", "to": "21:00", "region": "TX"}]}, "a region needs its country"),
        ({"quiet_hours": [{"from": "08:00", "to": "20:00"}, {"from": "20:00", "to": "08:00"}]}, "leave no hour"),
        ({"control_group": {"share": 1}}, "control_group.share"),
        ({"limits": []}, "unknown field `limits`"),
    ],
)
def test_what_cannot_hold_is_refused_with_its_place(change: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        parse({**STRICT, **change})


def test_until_something_is_decided_the_default_holds_and_every_change_is_a_version(db: Engine) -> None:
    with db.begin() as connection:
        assert store.current(connection) == store.Saved(0, SENSIBLE)
        assert store.save(connection, STRICT, NOW, "anna") == (1, True)
        assert store.save(connection, STRICT, NOW, "anna") == (1, False)
        assert store.save(connection, {**STRICT, "gap": "1 hour"}, NOW, "bob") == (2, True)
        assert [(row["version"], row["saved_by"]) for row in store.versions(connection)] == [(2, "bob"), (1, "anna")]
        assert store.version(connection, 1).policy == parse(STRICT)
        changes = store.difference(store.version(connection, 1).policy, store.current(connection).policy)
        assert changes == [{"field": "gap", "before": None, "after": "1 hour"}]
        with pytest.raises(NotFound):
            store.version(connection, 3)


def test_the_command_shows_what_it_takes(
    settings: Settings, db: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    run = CliRunner().invoke
    place = ["--data-dir", str(settings.data_dir)]
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(STRICT))
    changes = json.loads(run(app, ["policy", "diff", str(file), "--json", *place]).stdout)
    assert "caps" in [row["field"] for row in changes]
    assert json.loads(run(app, ["policy", "apply", str(file), "--json", *place]).stdout)["version"] == 1
    shown = run(app, ["policy", "show", *place]).stdout
    assert shown.startswith("# version 1\n") and yaml.safe_load(shown) == STRICT
    assert json.loads(run(app, ["policy", "diff", str(file), "--json", *place]).stdout) == []


ROME, DALLAS = Place("Europe/Rome", "IT"), Place("America/Chicago", "US", "TX")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("place", "now", "until"),
    [
        # Saturday 22:30 in Rome: its night, then all Sunday, then Sunday's night.
        (ROME, at("2026-03-07T21:30"), at("2026-03-09T07:00")),
        (ROME, at("2026-03-09T08:00"), None),
        # Sunday 08:30 in Texas: not before noon.
        (DALLAS, at("2026-03-15T13:30"), at("2026-03-15T17:00")),
        (Place("America/Chicago", "US", "IL"), at("2026-03-15T13:30"), None),
        # Sunday of the change to summer time, in Rome: the night of Saturday, and the Sunday, an hour shorter.
        (ROME, at("2026-03-28T21:30"), at("2026-03-30T06:00")),
    ],
)
def test_the_laws_hold_by_country_region_and_weekday_and_a_window_that_follows_another_goes_on(
    place: Place, now: datetime, until: datetime | None
) -> None:
    policy = ContactPolicy(laws=True)
    assert quiet_until(policy.quiet_on("sms"), place, now) == until
    assert policy.quiet_on("email") == () and all(law.source for law in LAWS)


def test_an_exempt_channel_is_quiet_only_where_a_window_names_it() -> None:
    policy = ContactPolicy(quiet_hours=(Quiet("21:00", "08:00"), Quiet("00:00", "01:00", channels=("email",))))
    exempt = ContactPolicy(quiet_hours=policy.quiet_hours, exempt=("email",))
    assert len(policy.quiet_on("email")) == 2 and len(exempt.quiet_on("email")) == len(exempt.quiet_on("push")) == 1
    night = datetime(2026, 3, 2, 22, tzinfo=UTC)
    assert quiet_until(exempt.quiet_on("email"), Place("UTC"), night) is None
    assert quiet_until(exempt.quiet_on("push"), Place("UTC"), night) == night + timedelta(hours=10)
