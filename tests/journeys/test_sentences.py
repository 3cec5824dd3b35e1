"""Every step, entry, assertion and move said in five languages, as people who speak them read it."""

from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import pytest
import yaml

from onevoice.journeys import verdicts
from onevoice.journeys.assertions import KINDS as ASSERTED
from onevoice.journeys.assertions import Assertion
from onevoice.journeys.document import Document, parse
from onevoice.journeys.entries import WAYS
from onevoice.journeys.sentences import Telling, said
from onevoice.journeys.steps import KINDS, Node
from onevoice.journeys.versions import Fate, changes
from onevoice.journeys.wording import COUNTS, PHRASES, TERMS
from onevoice.kernel.locales import LOCALES
from onevoice.segments.sentence import plural

GOLDEN: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "sentences.yaml").read_text())
FIRST = [{"id": "x", "send": {"channel": "email", "template": "t", "wait": "1 day"}}, {"id": "w", "wait": "1 day"}]
REACH = {"channels": [{"channel": "email", "template": "a"}, {"channel": "sms", "template": "b"}]}


def document(entry: Any = None, *steps: Any, **changed: Any) -> Document:
    first = {"kind": "journey", "name": "n", "topic": "offers", "entry": entry or {"segment": "vip"}}
    return parse({**first, "steps": [*FIRST, *steps], **changed})


def told(one: dict[str, Any], locale: str) -> str:
    if "entry" in one:
        return Telling(locale).entry(document(one["entry"]).entry)
    if "step" in one:
        return said(document(None, {"id": "s", **one["step"]}).steps[-1], locale)
    if "assert" in one:
        assertion = msgspec.convert(one["assert"], Assertion)
        return f"{verdicts.asserted(assertion, locale)} {verdicts.found(assertion, one['figures'], locale)}"
    cascade = document(None, {"id": "c", "cascade": REACH}).steps[-1].asked
    at, to = Node("w/held", "w", "wait", "1 day", {}, "held"), Node("c/1", "c", "cascade", cascade, {}, "1")
    return Fate(3, at.key, one["people"], one["fate"], to.key, at, to).said(locale)


@pytest.mark.parametrize("locale", LOCALES)
def test_everything_is_said_as_agreed(locale: str) -> None:
    for one in GOLDEN:
        assert told(one, locale) == one[locale]


def test_no_kind_of_step_entry_or_assertion_is_without_an_agreed_sentence() -> None:
    agreed = {name for one in GOLDEN for part in ("entry", "step", "assert") for name in one.get(part, ())}
    assert {*KINDS, *WAYS, *ASSERTED} <= agreed


def test_every_language_has_every_word_with_the_same_parts_and_all_its_plurals() -> None:
    for tongue in LOCALES:
        assert PHRASES[tongue].keys() == PHRASES["en"].keys() and TERMS[tongue].keys() == TERMS["en"].keys()
        assert COUNTS[tongue].keys() == COUNTS["en"].keys()
        for key, phrase in PHRASES[tongue].items():
            parts = {part for _, part, _, _ in Formatter().parse(phrase) if part}
            assert parts == {part for _, part, _, _ in Formatter().parse(PHRASES["en"][key]) if part} or key in UNLIKE
        needed = {plural(tongue, number) for number in range(200)}
        assert all(needed <= forms.keys() for forms in COUNTS[tongue].values())


UNLIKE = ("step_points",)
"""Arabic says the number alone there, whose noun would change its case."""


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en", ["Hold-out: 20 %. Before: 10 %.", "Contact policy: at most 1 message in 7 days."]),
        ("it", ["Gruppo escluso: 20 %. Prima: 10 %.", "Regole di contatto: al massimo 1 messaggio in 7 giorni."]),
        ("ar", ["المجموعة المستبعدة: 20 %. من قبل: 10 %.", "سياسة التواصل: رسالة واحدة على الأكثر خلال 7 أيام."]),
    ],
)
def test_a_change_is_said_part_by_part(locale: str, expected: list[str]) -> None:
    changed = document(holdout=0.2, policy={"cap": {"messages": 1, "days": 7}})
    assert changes(document(), changed, locale) == expected


def test_a_step_is_found_by_the_branches_that_lead_to_it() -> None:
    inner = {"wait": {"event": "Paid", "timeout": "1 day", "else": [{"id": "late", "update": {"a": 1}}]}}
    path = {"if": {"orders": {"at_least": 3}}, "title": "loyal", "steps": [{"id": "pay", **inner}]}
    branch = {"id": "b", "branch": {"paths": [path], "else": [{"id": "bye", "exit": {}}]}}
    trails = Telling("en").trails(document(None, branch))
    assert (trails["x"], trails["bye"]) == ("", "“b” › the others › ")
    assert trails["late"] == "“b” › “loyal” › “pay” › it did not happen in time › "
