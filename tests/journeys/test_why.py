"""Why somebody did or did not get a message, in plain words, and how a journey stands."""

from datetime import UTC, datetime, timedelta
from typing import Any

from onevoice.customers.contact import OPEN
from onevoice.journeys.facts import DECISIONS
from onevoice.journeys.figures import figures
from onevoice.journeys.policy import RULES
from onevoice.journeys.tick import tick
from onevoice.journeys.why import Case, standing, version_of, why
from onevoice.journeys.wording import WORDS, sentence
from onevoice.kernel.locales import LOCALES
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
        "Planned on sms: there is an address, the basis is granted, and no rule objected.",
        "Not sent on push: consent is none.",
        "Not sent on email: the customer has no address there.",
    ]
    night = "it is quiet in America/Los_Angeles until 2026-03-02 16:00:00 UTC"
    assert f"Put off on email until 2026-03-02 16:00:00 UTC: {night}." in sentences(store, 2)
    assert any("a cap is full until" in told and "(sent: 1/7 days: 1)" in told for told in sentences(store, 2))
    assert any(told.startswith("No message: the customer was in it twice") for told in sentences(store, 2))
    assert sentences(store, 3)[0] == "Not sent on push: the customer had reacted to it already."
    assert sentences(store, 4)[0] == "No message: the customer did what the journey was for."
    assert "Not sent on push: the customer has no address there." in sentences(store, 6)
    assert "Not sent on email: the address is on the suppression list (bounced)." in sentences(store, 6)


def test_every_reason_has_words_in_every_locale() -> None:
    ended = {"holdout", "goal", "exit", "merged", "step_removed", "stopped", "too_late", "completed", "reacted"}
    known = {*RULES, *ended, "allowed", *WORDS["en"]}
    for locale in LOCALES:
        assert set(WORDS[locale]) == known
        for reason in known - {"send", "defer", "skip", "none"}:
            for outcome, channel in (("send", "email"), ("defer", "email"), ("skip", "email"), ("skip", "")):
                told = sentence(locale, outcome, reason, channel, {})
                assert told and "{" not in told


def test_each_rule_is_told_with_its_verdict_and_what_it_saw(store: Warehouse) -> None:
    customer(store, 1, zone="America/Los_Angeles", channels=("email",))
    tick(store, [journey()], NOW)
    (told,) = why(store, 1)
    assert [(rule["rule"], rule["verdict"]) for rule in told["rules"]] == [
        (rule, "objects" if rule == "quiet_hours" else "not asked" if rule == "outranked" else "passes")
        for rule in RULES
    ]
    saw = {rule["rule"]: rule["seen"] for rule in told["rules"]}
    assert saw["no_consent"] == {"consent": "granted"} and saw["over_cap"] == {"caps": {"3/7 days": 0}}
    assert saw["quiet_hours"] == {"time_zone": "America/Los_Angeles", "quiet_until": "2026-03-02 16:00:00"}


def standing_of(store: Warehouse, number: int, at: datetime) -> dict[str, Any]:
    laid = version_of({"name": "win-back", "version": 1, "definition": journey().definition})
    where = {"trait": {"name": "email", "exists": True}}
    return standing(store, number, Case(laid, (laid,), OPEN, {"dormant": where}), at)


def test_what_would_be_decided_is_told_at_any_moment_and_nothing_is_written(store: Warehouse) -> None:
    customer(store, 1, zone="America/Los_Angeles")
    customer(store, 2, segment="others")
    tick(store, [journey()], NOW)
    held = len(store.rows(store.table(DECISIONS)))
    now, then = standing_of(store, 1, NOW), standing_of(store, 1, datetime(2026, 3, 2, 16, tzinfo=UTC))
    assert (now["would"]["outcome"], now["would"]["reason"]) == ("defer", "quiet_hours")
    assert now["would"]["until"] == now["would"]["due_at"] == datetime(2026, 3, 2, 16, tzinfo=UTC)
    assert then["would"]["outcome"] == "send" and then["sentence"].startswith("Planned on email")
    stranger = standing_of(store, 2, NOW)
    assert stranger["enrolment"] is None and not stranger["entry"][0]["holds"]
    assert stranger["sentence"] == "No message: the customer does not meet the conditions of the entry."
    assert len(store.rows(store.table(DECISIONS))) == held and sent(store) == []


def test_of_a_moment_past_it_is_told_whether_they_had_come_in_and_gone_on(store: Warehouse) -> None:
    customer(store, 1)
    for days in (0, 3, 5):
        tick(store, [journey()], NOW + days * DAY)
    before, within, after = (standing_of(store, 1, NOW + days * DAY) for days in (-1, 1, 6))
    assert before["enrolment"] is None and within["enrolment"]["state"] == "done"
    assert within["would"] is None and "has gone on since" in within["sentence"]
    assert "has been through the journey" in after["sentence"]


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
