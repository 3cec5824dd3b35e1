"""A journey whose templates are wrong is held back, and says which; whoever knows better launches it anyway."""

from datetime import timedelta
from typing import Any

import pytest

from onevoice.content import templates
from onevoice.journeys import service as journeys
from onevoice.journeys.facts import ENROLMENTS
from tests.api.test_api import Shop, shop, step
from tests.api.test_results import typed
from tests.conftest import NOW
from tests.journeys.builders import journey

__all__ = ["shop", "typed"]

GOOD = {
    "kind": "template",
    "name": "hello",
    "channel": "sms",
    "locales": {"en": {"text": "Hello {{ customer.first_name | default: 'there' }}, reply STOP to opt out"}},
}


@pytest.fixture
def drafts(shop: Shop) -> Shop:
    """A journey whose template is there, and one whose template is not."""
    with shop.engine.database.begin() as connection:
        templates.save(connection, GOOD, NOW, shop.engine.settings.data_dir)
        for name, template in (("good", "hello"), ("bad", "missing")):
            steps = [{"id": "say", "send": {"channel": "sms", "template": template}}]
            journeys.save(connection, journey(name=name, steps=steps, status="draft").definition, NOW)
    return shop


def launch(shop: Shop, name: str, query: str = "") -> Any:
    return shop.http.post(f"/v1/journeys/{name}/launch{query}", headers={"authorization": f"Bearer {shop.key}"})


def test_a_journey_without_its_template_is_held_back_over_http(drafts: Shop) -> None:
    answer = launch(drafts, "bad")
    assert answer.status_code == 409 and "missing" in answer.json()["message"]
    assert drafts.get("/v1/journeys/bad")["status"] == "draft"
    anyway = launch(drafts, "bad", "?anyway=true").json()
    assert anyway["status"] == "live" and [one["rule"] for one in anyway["findings"]] == ["no_template"]
    assert launch(drafts, "good").json()["status"] == "live"


def test_a_live_journey_without_its_template_is_not_saved_and_its_plan_speaks_the_callers_language(shop: Shop) -> None:
    headers = {"authorization": f"Bearer {shop.key}", "accept-language": "it-IT, en;q=0.5"}
    steps = [{"id": "say", "send": {"channel": "sms", "template": "missing"}}]
    body = {"definition": journey(name="win-back", steps=steps).definition}
    changes = shop.http.post("/v1/journeys/win-back/plan", headers=headers, json=body).json()["changes"]
    assert "Il passo «say» è nuovo: Invia via SMS con «missing»." in changes
    answer = shop.http.put("/v1/journeys/win-back", headers=headers, json=body)
    assert answer.status_code == 409 and "missing" in answer.json()["message"]
    assert shop.get("/v1/journeys/win-back")["version"] == 1
    assert shop.http.put("/v1/journeys/win-back?anyway=true", headers=headers, json=body).json()["version"] == 2


def test_a_journey_without_its_template_is_held_back_in_the_terminal(drafts: Shop, typed: Any) -> None:
    status, out = typed("journey", "launch", "bad")
    assert status != 0 and "missing" in out
    assert typed("journey", "launch", "bad", "--anyway", "--json")[0] == 0
    assert typed("journey", "launch", "good", "--json")[0] == 0


def test_a_link_in_a_code_lets_in_who_follows_it_and_no_machine_that_looks_at_it(shop: Shop) -> None:
    entry = {"code": {"to": "https://shop.example/thanks"}}
    steps = [{"id": "u", "update": {"tier": "gold"}}]
    with shop.engine.database.begin() as connection:
        journeys.save(connection, journey(name="scan", entry=entry, steps=steps).definition, NOW)
    for user in ("anna", "bea"):
        shop.send("identify", userId=user, traits={"firstName": user})
    step(shop)
    shop.clock.move(NOW + timedelta(minutes=1))
    for user, agent in (("anna", "Mozilla/5.0 (Linux; Android 15) Chrome/140"), ("bea", "WhatsApp/2.23.20.0 A")):
        path = shop.get(f"/v1/journeys/scan/codes?namespace=user_id&value={user}")["url"].partition("/e/")[2]
        answer = shop.http.get(f"/e/{path}", headers={"user-agent": agent}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/thanks")
    step(shop)
    rows = shop.engine.warehouse.rows(shop.engine.warehouse.table(ENROLMENTS))
    assert [row["journey"] for row in rows] == ["scan"]


def test_a_journey_that_asks_about_a_segment_that_is_not_there_is_held_back_and_names_it(drafts: Shop) -> None:
    steps = [{"id": "say", "send": {"channel": "sms", "template": "hello"}}]
    entry = {"left": "nobody-saved-it"}
    with drafts.engine.database.begin() as connection:
        journeys.save(connection, journey(name="left", entry=entry, steps=steps, status="draft").definition, NOW)
    answer = launch(drafts, "left")
    assert answer.status_code == 409
    assert "segment nobody-saved-it: There is no segment of this name; save it first" in answer.json()["message"]
    assert drafts.get("/v1/journeys/left")["status"] == "draft"
