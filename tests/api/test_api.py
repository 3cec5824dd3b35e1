"""The API as a client meets it: keys, customers, why, segments, journeys, KPIs, the page, a document for all of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from onevoice.api import keys
from onevoice.api.app import application
from onevoice.engine import answers
from onevoice.engine.engine import Engine
from onevoice.events import sources
from onevoice.journeys import service as journeys
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from tests.acceptance.test_demo import free_ports
from tests.conftest import NOW
from tests.journeys.builders import journey

SEGMENT = {"kind": "segment", "name": "dormant", "where": {"event": {"name": "Order Completed"}}}


class Shop:
    """An api and an engine with a customer in them, asked over HTTP."""

    def __init__(self, http: TestClient, engine: Engine, clock: SharedClock, write_key: str) -> None:
        self.http, self.engine, self.clock, self.write_key = http, engine, clock, write_key

    def send(self, kind: str, **call: Any) -> None:
        answer = self.http.post(f"/v1/{kind}", json=call, auth=(self.write_key, ""))
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"success": True, "accepted": 1, "deduplicated": 0, "quarantined": 0, "report": []}

    def get(self, path: str) -> Any:
        answer = self.http.get(path, headers={"authorization": f"Bearer {self.key}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def key(self) -> str:
        return (self.engine.settings.data_dir / "api-key").read_text().strip()


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    settings.data_dir.mkdir(parents=True)
    clock = SharedClock(settings.data_dir / "clock", NOW)
    ready = replace(settings, clock_file=str(settings.data_dir / "clock"), engine_port=free_ports(1)[0])
    engine = Engine(ready)
    server = answers.serve(engine)
    with engine.database.begin() as connection:
        key = sources.ensure(connection, "shop", "web").write_key
        segments.save(connection, SEGMENT, NOW)
        journeys.save(connection, journey().definition, NOW)
    with TestClient(application(ready)) as http:
        yield Shop(http, engine, clock, key)
    server.stop()
    engine.close()


def step(shop: Shop) -> None:
    """Steps until the engine has taken in what was sent; another test's transaction may hold it back for a moment."""
    for _ in range(100):
        if shop.engine.step(shop.clock.now()).loaded:
            return
    raise AssertionError("nothing was loaded")


def test_a_customers_story_can_be_read_and_every_decision_explained(shop: Shop) -> None:
    shop.send("page", anonymousId="device-1", name="Home")
    shop.send("identify", userId="anna", anonymousId="device-1", traits={"firstName": "Anna", "email": "a@example.com"})
    shop.clock.move(NOW + timedelta(minutes=1))
    shop.send("track", userId="anna", event="Order Completed", properties={"order_id": "o1", "revenue": 12.5})
    step(shop)
    shop.clock.move(NOW + timedelta(hours=1))
    shop.engine.step(shop.clock.now())

    found = shop.get("/v1/customers?search=device-1")
    assert found["total"] == 1
    customer_id = found["customers"][0]["customer_id"]
    customer = shop.get(f"/v1/customers/{customer_id}")
    assert {one["value"] for one in customer["identifiers"]} == {"anna", "device-1"}
    assert customer["links"][0]["kind"] == "identify" and customer["traits"]["first_name"] == "Anna"
    told = shop.get(f"/v1/customers/{customer_id}/timeline")
    assert [one["name"] for one in told if one["type"] in ("page", "track")] == ["Order Completed", "Home"]
    why = shop.get(f"/v1/customers/{customer_id}/why")
    assert {one["reason"] for one in why} == {"no_consent", "unreachable"}
    assert "consent is none" in next(one["sentence"] for one in why if one["reason"] == "no_consent")
    assert shop.get(f"/v1/customers/{customer_id}/why?at=2026-03-02T09:00:00Z") == []
    stands = shop.get(f"/v1/customers/{customer_id}/why/win-back?locale=it")
    assert stands["enrolment"]["state"] == "done" and stands["sentence"].startswith("Nessun messaggio: ")
    assert shop.get("/v1/contact-policy")["version"] == 0
    assert shop.get("/v1/segments")[0]["size"] == 1
    assert shop.get("/v1/segments/dormant")["sample"][0]["customer_id"] == customer_id
    results = shop.get("/v1/journeys/win-back")["results"]
    assert results["figures"]["enrolled"] == 1 and results["decisions"]["no_consent"] == 1
    assert shop.get("/v1/kpis?start=2026-03-01&end=2026-04-01")["overview"]["sales"] == 12.5


def test_without_a_known_key_nothing_is_shown(shop: Shop) -> None:
    for headers in ({}, {"authorization": "Bearer ov_wrong"}, {"x-api-key": "x"}):
        for path in ("/v1/customers", "/v1/segments", "/v1/journeys", "/v1/kpis"):
            answer = shop.http.get(path, headers=headers)
            assert answer.status_code == 401 and answer.json()["code"] == "unauthorized"
    page = shop.http.get("/")
    assert page.status_code == 200 and "<form" in page.text and "Results" in page.text
    wrong = shop.http.post("/v1/track", json={"userId": "u", "event": "A"}, auth=("wrong", ""))
    assert wrong.status_code == 401 and wrong.json()["message"]


def test_what_is_not_there_or_wrong_is_named(shop: Shop) -> None:
    headers = {"x-api-key": shop.key}
    assert shop.http.get("/v1/customers/1", headers=headers).json()["code"] == "not_found"
    assert shop.http.get("/v1/segments/nobody", headers=headers).status_code == 404
    assert shop.http.get("/v1/customers?limit=0", headers=headers).json()["code"] == "invalid_input"
    preview = shop.http.post("/v1/segments/preview", headers=headers, json={"where": {"ordres": {}}})
    assert preview.status_code == 400 and "ordres" in preview.json()["message"]


def test_a_slip_in_a_filters_name_does_not_answer_with_everything(shop: Shop) -> None:
    answer = shop.http.get("/v1/customers?serach=anna", headers={"x-api-key": shop.key})
    assert answer.status_code == 400
    assert answer.json()["message"] == "No parameter serach here; it has limit, search"


def test_the_page_opens_by_the_key_once_and_speaks_the_readers_language(shop: Shop) -> None:
    shop.send("track", userId="anna", event="Order Completed", properties={"order_id": "o1", "revenue": 12.5})
    step(shop)
    opened = shop.http.get(f"/?key={shop.key}")
    assert opened.status_code == 200 and shop.key not in str(opened.url)
    assert "12.50" in opened.text and "dormant" in opened.text
    arabic = shop.http.get("/", headers={"accept-language": "ar"})
    assert 'dir="rtl"' in arabic.text and "النتائج" in arabic.text


def test_the_document_describes_every_route(shop: Shop) -> None:
    described = {
        (method, path) for path, item in shop.http.get("/openapi.json").json()["paths"].items() for method in item
    }
    app: Any = shop.http.app
    there = {
        (method.lower(), route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert {path for _, path in there - described} == {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}


def test_the_first_key_is_made_once_and_kept_from_others(settings: Settings, shop: Shop) -> None:
    file, again = keys.first(shop.engine.database, shop.engine.settings)
    assert again is None and file.stat().st_mode & 0o077 == 0


def test_an_export_comes_through_the_api(shop: Shop) -> None:
    answer = shop.http.get("/v1/export/events?format=csv", headers={"x-api-key": shop.key})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith('"event_id"')
    none = shop.http.get("/v1/export/segments/none", headers={"x-api-key": shop.key})
    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    assert shop.http.get("/v1/export/customers").status_code == 401


def test_a_segment_is_made_changed_explained_deleted_and_brought_back(shop: Shop) -> None:
    http, headers = shop.http, {"x-api-key": shop.key}
    one = {"name": "browsers", "where": {"event": {"name": "Product Viewed"}}}
    assert http.post("/v1/segments", headers=headers, json=one).json() == {
        "name": "browsers",
        "version": 1,
        "changed": True,
    }
    two = {"name": "browsers", "where": {"event": {"name": "Product Viewed", "at_least": 2}}}
    assert http.put("/v1/segments/browsers", headers=headers, json=two).json()["version"] == 2
    shop.send("track", userId="anna", event="Product Viewed")
    step(shop)
    row = next(row for row in shop.get("/v1/segments") if row["name"] == "browsers")
    assert row["size"] == 0 and row["computed_at"] and row["took_ms"] > 0 and row["error"] is None
    customer_id = shop.get("/v1/customers?search=anna")["customers"][0]["customer_id"]
    told = shop.get(f"/v1/segments/browsers/explain?customer_id={customer_id}")
    assert told["holds"] is False and told["seen"]["count"] == 1
    tried = http.post("/v1/segments/preview", headers=headers, json={"where": one["where"], "overlap": True}).json()
    assert tried["size"] == 1 and tried["sample"][0]["customer_id"] == customer_id
    assert [row["saved_by"] for row in shop.get("/v1/segments/browsers/versions")] == ["first", "first"]
    assert "+    at_least: 2" in shop.get("/v1/segments/browsers/difference?old=1&new=2")["lines"]
    refused = http.delete("/v1/segments/dormant", headers=headers)
    assert refused.status_code == 409 and "segment dormant → journey win-back" in refused.json()["message"]
    assert http.delete("/v1/segments/browsers", headers=headers).status_code == 204
    assert http.get("/v1/segments/browsers", headers=headers).status_code == 404
    assert [row["name"] for row in shop.get("/v1/segments/archived")] == ["browsers"]
    assert http.post("/v1/segments/browsers/restore", headers=headers, json={"version": 1}).json()["version"] == 3
    shop.engine.step(shop.clock.now())
    assert shop.get("/v1/segments/browsers")["size"] == 1
