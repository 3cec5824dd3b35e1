"""The simulated customers do the same each time, and buy more only through messages."""

from datetime import UTC, datetime, timedelta

import pytest

from onevoice.demo import retailer, synthetic
from onevoice.demo.behaviour import ASSUMED, to_message, unprompted
from onevoice.demo.synthetic import Person

START = datetime(2018, 1, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [synthetic.person(household) for household in retailer.households()]


def test_the_same_message_gives_the_same_reactions(people: list[Person]) -> None:
    for who in people[:100]:
        assert to_message(who, "email", "m", START) == to_message(who, "email", "m", START)


def test_reactions_follow_the_message_and_a_click_follows_its_open(people: list[Person]) -> None:
    for channel in synthetic.CHANNELS:
        for who in people:
            reactions = to_message(who, channel, "m", START)
            assert all(reaction.at > START for reaction in reactions)
            assert reactions == sorted(reactions, key=lambda reaction: reaction.at)
            kinds = [reaction.kind for reaction in reactions]
            assert channel == "sms" or "click" not in kinds or kinds[0] == "open"
            assert channel != "sms" or "open" not in kinds


def test_people_come_back_by_themselves_as_often_as_assumed(people: list[Person]) -> None:
    back = [who for who in people if unprompted(who, START, timedelta(days=14))]
    assert len(back) / len(people) == pytest.approx(ASSUMED.returns_anyway, abs=0.02)


def test_who_clicks_buys_about_as_often_as_assumed(people: list[Person]) -> None:
    reactions = [[r.kind for r in to_message(who, "email", "m", START)] for who in people]
    clicked = [kinds for kinds in reactions if "click" in kinds]
    assert sum("buy" in kinds for kinds in clicked) / len(clicked) == pytest.approx(ASSUMED.buy_after_click, abs=0.07)
