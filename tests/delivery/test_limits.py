"""Limits that people change while workers run: all go by them within seconds, and the settings can hold again."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.channels.providers import providers
from onevoice.delivery import leasing, limits, queue
from onevoice.delivery.breakers import Tally, new
from onevoice.delivery.leasing import Desk
from onevoice.delivery.throttles import Throttles
from onevoice.kernel.errors import InvalidInput, NotFound
from tests.conftest import NOW
from tests.delivery.builders import queued

SETTINGS: dict[str, Any] = {"installation": "2/second", "domain": {"*": "1/second"}}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(leasing, "KNOWN_SECONDS", 0.0)
    return Desk(providers({"email": {"adapter": "smtp"}}), Throttles(SETTINGS), SETTINGS)


def leased(db: Engine, desk: Desk, seconds: float) -> int:
    with db.begin() as connection:
        return len(leasing.lease(connection, "w", desk, {"email": 99}, 99, NOW + timedelta(seconds=seconds)))


def change(db: Engine, key: str, value: str) -> None:
    with db.begin() as connection:
        limits.change(connection, key, value, "eva", NOW)


def test_a_worker_goes_by_a_change_and_by_the_settings_when_it_is_taken_back(db: Engine, desk: Desk) -> None:
    with db.begin() as connection:
        queue.add(connection, [queued(number, address=f"a@d{number}.example") for number in range(60)])
    assert leased(db, desk, 10) == 1  # what nobody has used yet begins with one
    assert leased(db, desk, 20) == 2
    change(db, "installation", "10/second")
    assert leased(db, desk, 30) == 10
    change(db, "installation", "none")
    change(db, "domain:*", "none")
    assert leased(db, desk, 31) == 47
    with db.begin() as connection:
        for key in ("installation", "domain:*"):
            limits.reset(connection, key)
        queue.add(connection, [queued(number, address=f"a@d{number}.example") for number in range(60, 70)])
    assert leased(db, desk, 60) == 2


def test_one_domain_may_be_let_free_of_what_holds_for_the_others(db: Engine, desk: Desk) -> None:
    change(db, "domain:Free.example", "none")
    change(db, "installation", "none")
    with db.begin() as connection:
        queue.add(connection, [queued(n, address=f"c{n}@{'free' if n % 2 else 'slow'}.example") for n in range(20)])
    assert leased(db, desk, 10) == 10 + 1


def test_what_holds_says_who_changed_it(db: Engine) -> None:
    change(db, "provider:email", "5/minute")
    change(db, "breaker:ill_share", "0.25")
    with db.connect() as connection:
        held = {row["key"]: row for row in limits.listed(connection, SETTINGS)}
        bounds = limits.found(connection, SETTINGS).breakers
    assert held["installation"] == {"key": "installation", "value": "2/second", "set_by": "", "set_at": ""}
    assert (held["provider:email"]["value"], held["provider:email"]["set_by"]) == ("5/minute", "eva")
    assert (held["breaker:least_ill"]["value"], bounds.ill_share) == ("5", 0.25)
    third = Tally(well=6, ill=5)
    assert new("p", NOW).after(third, NOW).state == "closed"
    assert new("p", NOW).after(third, NOW, bounds).state == "open"


@pytest.mark.parametrize(
    ("key", "value"), [("gmail", "5"), ("domain:", "5"), ("installation", "fast"), ("breaker:ill_share", "2")]
)
def test_what_cannot_be_set_is_refused_with_what_can(db: Engine, key: str, value: str) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput):
        limits.change(connection, key, value, "eva", NOW)
    with db.begin() as connection, pytest.raises(NotFound):
        limits.reset(connection, key)
