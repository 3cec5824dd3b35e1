"""The made-up people are always the same, reach nobody, and are called synthetic."""

from collections import Counter

import phonenumbers
import pytest

from onevoice.customers.profiles import normalised
from onevoice.demo import retailer, synthetic
from onevoice.demo.retailer import Household
from onevoice.demo.synthetic import Event, Person
from onevoice.kernel.locales import LOCALES


@pytest.fixture(scope="module")
def households() -> list[Household]:
    return retailer.households()


@pytest.fixture(scope="module")
def people(households: list[Household]) -> dict[int, Person]:
    return {household.id: synthetic.person(household) for household in households}


@pytest.fixture(scope="module")
def events(households: list[Household], people: dict[int, Person]) -> list[Event]:
    return list(synthetic.events(households, people))


def test_the_same_seed_makes_the_same_people_and_another_seed_others(households: list[Household]) -> None:
    some = households[:50]

    first = [synthetic.person(household) for household in some]

    assert first == [synthetic.person(household) for household in some]
    assert first != [synthetic.person(household, seed=1) for household in some]
    assert list(synthetic.events(some, {p.household: p for p in first})) == list(
        synthetic.events(some, {p.household: p for p in first})
    )


def test_every_address_is_fictitious_well_formed_and_of_one_person(people: dict[int, Person]) -> None:
    for channel in synthetic.CHANNELS:
        addresses = [who.addresses[channel] for who in people.values() if channel in who.addresses]
        assert len(addresses) == len(set(addresses)) > 1_000
        assert [normalised(channel, address) for address in addresses] == addresses
        if channel == "email":
            assert all(address.endswith("@example.com") for address in addresses)
        if channel == "sms":
            assert all(phonenumbers.is_possible_number(phonenumbers.parse(number)) for number in addresses)
            assert all(number[5:].startswith("55501") or number.startswith("+3363998") for number in addresses)


def test_languages_time_zones_and_consents_are_mixed(people: dict[int, Person]) -> None:
    locales = Counter(who.locale for who in people.values())
    assert set(locales) == {"en", "it"} <= set(LOCALES)
    assert locales["en"] / len(people) == pytest.approx(0.6, abs=0.05)
    assert len({who.time_zone for who in people.values()}) >= 5
    for channel, (granted, denied) in synthetic.CONSENTS.items():
        states = Counter(who.consents.get(channel, "") for who in people.values())
        assert states["granted"] / len(people) == pytest.approx(granted, abs=0.04)
        assert states["denied"] / len(people) == pytest.approx(denied, abs=0.03)
        # Some consent without an address: the platform must find them unreachable.
        assert any(channel in who.consents and channel not in who.addresses for who in people.values())


def test_every_profile_says_that_it_is_synthetic(events: list[Event]) -> None:
    contacts = [event for event in events if event.message_id.startswith("contact-")]
    assert len(contacts) == 2_469
    assert all(event.call["traits"]["synthetic"] is True for event in contacts)


def test_events_are_unique_and_lie_before_the_simulation(events: list[Event]) -> None:
    assert len({(event.source, event.message_id) for event in events}) == len(events)
    assert max(event.occurred_at for event in events) < retailer.END
    assert all(event.source in synthetic.SOURCES for event in events)


def test_some_devices_are_identified_later_and_some_never(events: list[Event]) -> None:
    visits = [event for event in events if event.call.get("anonymousId")]
    known = {event.call["anonymousId"] for event in visits if event.call.get("userId")}
    anonymous = {event.call["anonymousId"] for event in visits if not event.call.get("userId")}

    assert len(known & anonymous) > 500  # seen without a name first
    assert len(anonymous - known) > 500  # never named


def test_an_account_ties_the_user_id_to_the_loyalty_card(events: list[Event], people: dict[int, Person]) -> None:
    accounts = [event for event in events if event.message_id.startswith("account-")]

    assert len(accounts) == sum(1 for who in people.values() if who.user_id)
    event = accounts[0]
    (card,) = event.call["context"]["externalIds"]
    assert event.call["userId"] == people[int(card["id"])].user_id
    assert card["type"] == "loyalty_card"


def test_some_addresses_bounced_in_the_past(people: dict[int, Person]) -> None:
    listed = list(synthetic.suppressed(people.values()))

    assert len(listed) / len(people) == pytest.approx(synthetic.BOUNCED * synthetic.HAS_ADDRESS["email"], abs=0.012)
    assert {one.address for one in listed} <= {who.addresses.get("email") for who in people.values()}
