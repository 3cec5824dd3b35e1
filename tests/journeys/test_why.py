"""Why somebody did or did not get a message, in plain words, and how a journey stands."""

from datetime import timedelta

from onevoice.journeys.figures import figures
from onevoice.journeys.tick import tick
from onevoice.journeys.why import why
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.journeys.builders import customer, journey, merge, order, react, sent, suppress

DAY = timedelta(days=1)


def sentences(store: Warehouse, number: int) -> list[str]:
    return [told["sentence"] for told in why(store, number)]


def test_every_reason_has_its_sentence_with_what_was_seen(store: Warehouse) -> None:
    customer(store, 1, channels=("push", "sms"), consents=("sms",))
    customer(store, 2, zone="America/Los_Angeles")
    customer(store, 3, 4, 5)
    customer(store, 6, channels=("email",))
    suppress(store, 6, "email")
    tick(store, [journey()], NOW)
    react(store, 3, "email", "opened", NOW + DAY)
    order(store, 4, NOW + DAY)
    merge(store, 5, into=2)
    tick(store, [journey(policy={"cap": {"messages": 1, "days": 7}})], NOW + 3 * DAY)
    assert sentences(store, 1) == [
        "Planned on sms: there is an address, consent is granted and no rule objected.",
        "Not sent on push: consent is none.",
        "Not sent on email: the customer has no address there.",
    ]
    assert "Deferred on email: quiet hours in America/Los_Angeles, until 2026-03-02 16:00:00 UTC." in sentences(
        store, 2
    )
    assert "A cap on push is full: of {'1/7 days': 1} so many were sent." in sentences(store, 2)
    assert any(told.startswith("The journey ended here: the customer was in it twice") for told in sentences(store, 2))
    assert sentences(store, 3)[0].startswith("Not sent on push: the customer had opened or clicked")
    assert sentences(store, 4)[0] == "The journey ended: the customer did what it was for."
    assert "Not sent on push: the customer has no address there." in sentences(store, 6)
    assert "Not sent on email: the address is on the suppression list (bounced)." in sentences(store, 6)


def test_decisions_are_told_newest_first_and_by_journey(store: Warehouse) -> None:
    customer(store, 1)
    tick(store, [journey(), journey(name="other")], NOW)
    tick(store, [journey()], NOW + 3 * DAY)
    told = why(store, 1, "win-back")
    assert [(one["channel"], one["outcome"], one["journey"]) for one in told] == [
        ("push", "send", "win-back"),
        ("email", "send", "win-back"),
    ]
    assert told[0]["seen"]["caps"] == {"3/7 days": 2}
    assert len(why(store, 1)) == 3 and why(store, 2) == []


def test_the_figures_say_who_is_where_and_what_was_decided(store: Warehouse) -> None:
    customer(store, *(number * 7_919_000_003 for number in range(1, 41)), channels=("email", "push"))
    customer(store, 7, channels=("sms",))
    live = journey(holdout=0.3)
    tick(store, [live], NOW)
    treated = len(sent(store)) - 1
    found = figures(store, "win-back")
    assert (found["enrolled"], found["treated"], found["holdout"]) == (41, treated + 1, 40 - treated)
    assert found["active"] == {"cascade/1": treated}
    assert found["ended"] == {"completed": 1, "holdout": 40 - treated}
    decided = {(row["step"], row["channel"], row["reason"]): row["n"] for row in found["steps"]}
    assert decided == {
        ("cascade/0", "", "holdout"): 40 - treated,
        ("cascade/0", "email", "allowed"): treated,
        ("cascade/0", "email", "unreachable"): 1,
        ("cascade/1", "push", "unreachable"): 1,
        ("cascade/2", "sms", "allowed"): 1,
    }
    assert figures(store, "nothing")["enrolled"] == 0
