"""The win-back's documents are valid, and its messages fit their channels for every customer of the demo."""

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import duckdb
import pytest
import smsutil
import yaml

from onevoice.content import checks, templates
from onevoice.content.parts import Kit
from onevoice.content.rendering import Template, render
from onevoice.delivery.links import LinkMaker
from onevoice.demo import reading, retailer, synthetic
from onevoice.demo.script import WINBACK
from onevoice.journeys import document as journeys
from onevoice.segments.tree import condition

BASE = "http://127.0.0.1:65535"
CUSTOMER = {"first_name": "Maria", "favourite_category": "Soft drinks", "products": [{"name": "Bananas"}]}


def documents(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(WINBACK.glob("*.yaml")):
        yield from (found for found in yaml.safe_load_all(file.read_text()) if found["kind"] == kind)


def template(channel: str, locale: str) -> Template:
    (found,) = [one for one in documents("template") if one["channel"] == channel]
    return templates.draft(found, WINBACK, Kit({}, {})).prepared(channel, locale)


def rendered(channel: str, locale: str, customer: dict[str, Any] = CUSTOMER) -> dict[str, str]:
    links = LinkMaker(b"s" * 32, BASE).of_message(2**40)
    return {k: str(v) for k, v in render(template(channel, locale), {"customer": customer}, links).items()}


@pytest.fixture(scope="module")
def categories(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    history = retailer.prepare(tmp_path_factory.mktemp("history"))
    return [row[0] for row in duckdb.sql(f"SELECT DISTINCT category FROM '{history.products}'").fetchall()]


def test_every_document_is_valid_and_gives_no_cause_for_a_warning() -> None:
    assert {one["name"] for one in documents("segment")} >= {"loyal", "dormant", "coffee-lovers", "prefers-email"}
    for one in documents("segment"):
        condition(one["where"])
    for one in documents("template"):
        draft = templates.draft(one, WINBACK, Kit({}, {}))
        assert [found for found in checks.check(draft) if found.severity == "error"] == []


def test_the_journey_is_the_cascade_of_the_specification() -> None:
    (found,) = documents("journey")
    journey = journeys.parse(found)
    (step,) = journey.steps
    channels, stops = step.asked.channels, set(step.asked.stop_on)

    assert journey.holdout == 0.10
    assert [(one.channel, one.wait) for one in channels] == [("email", "3 days"), ("push", "2 days"), ("sms", "2 days")]
    assert stops == {"opened", "clicked"}
    assert journey.status == "live"


@pytest.mark.parametrize("locale", ["en", "it"])
def test_an_sms_is_one_segment_with_its_opt_out_whoever_it_is_for(locale: str, categories: list[str]) -> None:
    names = synthetic._PEOPLE[locale][0].split()
    longest = max(names, key=len)
    for category in [None, *categories]:
        text = rendered("sms", locale, {"first_name": longest, "favourite_category": category})["text"]
        parts = smsutil.split(text)
        assert (len(parts.parts), parts.encoding) == (1, "gsm0338"), text
        assert f"{BASE}/u/" in text


@pytest.mark.parametrize("locale", ["en", "it"])
def test_a_push_is_two_lines_and_a_link(locale: str) -> None:
    content = rendered("push", locale)
    assert "Maria" in content["title"]
    assert "Bananas" in content["body"]
    assert all("\n" not in content[line] and 0 < len(content[line]) <= 110 for line in ("title", "body"))
    assert content["link"].startswith(f"{BASE}/c/")


@pytest.mark.parametrize("locale", ["en", "it"])
def test_an_email_names_the_customer_their_category_and_products_and_the_way_out(locale: str) -> None:
    content = rendered("email", locale)
    assert "Maria" in content["subject"]
    assert "soft drinks" in content["html"]
    assert "Bananas" in content["html"]
    assert f"{BASE}/u/" in content["html"]
    assert "COMEBACK20" in content["text"]
    assert "{{" not in content["html"] + content["text"]


def test_an_email_without_purchases_still_reads_well() -> None:
    content = rendered("email", "en", {"first_name": None, "favourite_category": None, "products": []})
    assert content["subject"].startswith("Hello, ")
    assert "BUY MOST OFTEN" not in content["html"]


def test_a_reader_finds_pixel_links_and_way_out_in_what_arrived() -> None:
    content = rendered("email", "it")
    message = EmailMessage()
    message["List-Unsubscribe"] = f"<{BASE}/u/one-click>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(content["text"])
    message.add_alternative(content["html"], subtype="html")

    found = reading.email("m1", "maria@example.com", message, BASE)

    assert found.pixel.startswith(f"{BASE}/o/")
    assert len(found.links) >= 2
    assert all(link.startswith(f"{BASE}/c/") for link in found.links)
    assert found.unsubscribe == f"{BASE}/u/one-click"
    assert found.one_click
    sms = reading.text("m2", "sms", "+12015550100", rendered("sms", "en")["text"], BASE)
    assert len(sms.links) == 1
    assert sms.unsubscribe.startswith(f"{BASE}/u/")
    assert "Stop" not in sms.unsubscribe


def test_the_folder_holds_only_documents_that_are_used() -> None:
    used = {
        fields["mjml_file"]
        for one in documents("template")
        for fields in one["locales"].values()
        if "mjml_file" in fields
    }
    assert {file.name for file in Path(WINBACK).glob("*.mjml")} == used
