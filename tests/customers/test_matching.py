"""Records of one person at the till and online are suggested as one, with the reasons; strangers are not."""

import random
from datetime import datetime

import pytest

from onevoice.customers import matching
from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, PROFILES
from onevoice.warehouse import Warehouse

AT = datetime(2026, 3, 2)
SYLLABLES = [consonant + vowel for consonant in "bcdfglmnprstv" for vowel in "aeiou"]


def person(number: int, **fields: str | None) -> dict[str, str | int | None]:
    """A record with a name, a postal code and an address of its own."""
    dice = random.Random(number)
    made: dict[str, str | int | None] = {
        "id": number,
        "first_name": "".join(dice.choices(SYLLABLES[:30], k=2)).title(),
        "last_name": "".join(dice.choices(SYLLABLES, k=3)).title(),
        "email": f"person-{number}@example.com",
        "phone": None,
        "postal_code": str(dice.randrange(10_000, 10_400)),
        "city": dice.choice(["Roma", "Cluj", "Jakarta"]),
    }
    return made | fields


def fill(store: Warehouse, people: list[dict[str, str | int | None]]) -> None:
    def rows(**columns: list[object]) -> dict[str, list[object]]:
        return columns

    ids = [one["id"] for one in people]
    traits = [f'{{"postal_code":"{one["postal_code"]}","city":"{one["city"]}"}}' for one in people]
    count = len(people)
    profiles = rows(
        customer_id=ids,
        first_name=[one["first_name"] for one in people],
        last_name=[one["last_name"] for one in people],
        locale=["it"] * count,
        time_zone=["Europe/Rome"] * count,
        country=[None] * count,
        traits=traits,
        first_seen_at=[AT] * count,
    )
    store.append(PROFILES, PROFILES.arrow(profiles))
    identifiers = rows(
        identifier_id=ids,
        namespace=["loyalty_card"] * count,
        value=[str(one) for one in ids],
        customer_id=ids,
        first_seen_at=[AT] * count,
        revision=[1] * count,
        cluster_id=ids,
        same_id=ids,
        is_shared=[False] * count,
    )
    store.append(IDENTIFIERS, IDENTIFIERS.arrow(identifiers))
    for name, channel in (("email", "email"), ("phone", "sms")):
        known = [one for one in people if one[name]]
        addresses = rows(
            customer_id=[one["id"] for one in known],
            channel=[channel] * len(known),
            address=[one[name] for one in known],
            address_hash=["h"] * len(known),
            updated_at=[AT] * len(known),
        )
        store.append(ADDRESSES, ADDRESSES.arrow(addresses))


def shop() -> list[dict[str, str | int | None]]:
    """Six hundred people; some have a second record: 1001 the same e-mail, 1002 a typing error, 1003 only a name."""
    people = [person(number) for number in range(1, 601)]
    people.append(person(1, id=1001, postal_code="99999"))
    second = people[1]
    people.append({**second, "id": 1002, "first_name": str(second["first_name"])[:-1] + "k", "email": None})
    people.append({**people[2], "id": 1003, "email": None, "postal_code": None, "city": None})
    return people


def test_one_persons_records_are_suggested_with_what_speaks_for_and_against(store: Warehouse) -> None:
    fill(store, shop())

    found = {(pair.left, pair.right): pair for pair in matching.found(store)}

    assert {(1, 1001), (2, 1002)} <= set(found)
    assert len(found) <= 6
    pair = found[1, 1001]
    said = {one.field: one for one in pair.evidence}
    assert said["email"].weight > 5 > 0 > said["postal_code"].weight
    assert (said["postal_code"].left, said["postal_code"].right) == (str(person(1)["postal_code"]), "99999")
    assert said["phone"].weight == 0
    assert pair.weight == pytest.approx(pair.prior + sum(one.weight for one in pair.evidence))
    assert pair.probability == pytest.approx(2**pair.weight / (1 + 2**pair.weight))


def test_a_refused_pair_is_not_suggested_again_even_when_one_of_them_has_another_id_since(duck: Warehouse) -> None:
    fill(duck, shop())
    duck.execute("UPDATE identifiers SET customer_id = 1001 WHERE identifier_id = 700")
    duck.execute("INSERT INTO identifiers VALUES (700, 'anonymous_id', 'a', 1001, '2026-03-02', 1, 700, 700, false)")

    found = {(pair.left, pair.right) for pair in matching.found(duck, refused=[(1, 700)])}

    assert (1, 1001) not in found and (2, 1002) in found


def test_nobody_and_a_single_record_have_no_suggestion(duck: Warehouse) -> None:
    assert matching.found(duck) == []
    fill(duck, [person(1)])
    assert matching.found(duck) == []


def test_two_records_are_enough_to_ask(duck: Warehouse) -> None:
    fill(duck, [person(1), person(1, id=2)])

    assert [(pair.left, pair.right) for pair in matching.found(duck, least_weight=0)] == [(1, 2)]
