"""Each kind of condition said in five languages, as people who speak them read it; every kind has its words."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from onevoice.kernel.locales import LOCALES
from onevoice.segments.compiler import leaves
from onevoice.segments.conditions import KINDS
from onevoice.segments.conditions.rfm import GROUPS
from onevoice.segments.conditions.sources import SOURCES
from onevoice.segments.conditions.windows import UNITS
from onevoice.segments.sentence import LANGUAGES, SAYINGS, plural, sentence
from onevoice.segments.tree import condition

GOLDEN: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "sentences.yaml").read_text())


@pytest.mark.parametrize("locale", LOCALES)
def test_every_kind_is_said_as_agreed(locale: str) -> None:
    for one in GOLDEN:
        assert sentence(condition(one["where"]), locale) == one[locale]


def test_no_kind_is_without_words_and_none_without_an_agreed_sentence() -> None:
    assert set(SAYINGS) == {kind.asked for kind in KINDS}
    agreed = {type(leaf) for one in GOLDEN for leaf in leaves(condition(one["where"]))}
    assert {kind.name for kind in KINDS if kind.asked not in agreed} == set()


def test_every_language_has_every_word() -> None:
    english = LANGUAGES["en"]
    things = {"event", "coupon", "points", *SOURCES}
    for tongue, words in LANGUAGES.items():
        assert words.phrases.keys() == english.phrases.keys() and words.values.keys() == english.values.keys()
        assert len(words.months) == 12 and words.units.keys() == words.lately.keys() == UNITS.keys()
        assert words.counts.keys() == things and set(GROUPS) <= words.values.keys()
        needed = {plural(tongue, number) for number in range(200)}
        for forms in (*words.units.values(), *words.lately.values(), *words.counts.values()):
            assert needed <= forms.keys(), (tongue, forms)


@pytest.mark.parametrize(
    ("tongue", "expected"),
    [
        ("en", {1: "one", 0: "other", 2: "other", 1.5: "other"}),
        ("ro", {1: "one", 0: "few", 2: "few", 19: "few", 20: "other", 101: "few", 120: "other"}),
        ("id", {1: "other", 2: "other"}),
        ("ar", {1: "one", 2: "two", 3: "few", 10: "few", 11: "many", 99: "many", 100: "other", 103: "few"}),
    ],
)
def test_plurals_are_those_of_unicode(tongue: str, expected: dict[float, str]) -> None:
    assert {number: plural(tongue, number) for number in expected} == expected


def test_a_not_over_several_is_said_of_each() -> None:
    where = {"not": {"any": [{"orders": {"at_least": 2}}, {"not": {"segment": {"name": "vip"}}}]}}
    said = "Customers who do not have at least 2 orders and have a place in the segment “vip”."
    assert sentence(condition(where), "en") == said


def test_a_language_we_do_not_speak_is_answered_in_english() -> None:
    assert sentence(condition({"orders": {"exactly": 0}}), "fi-FI") == "Customers who have no orders."
