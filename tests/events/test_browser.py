"""What browsers ask of the tracking API, from a page of any origin: preflights, settings, beacons, pixels."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from onevoice.api.app import application
from onevoice.events import quarantine, sources
from onevoice.events.browser import routes as browser_routes
from onevoice.events.pixel import GIF
from onevoice.events.routes import PATHS
from onevoice.kernel.clock import SystemClock
from onevoice.kernel.settings import Settings
from tests.conftest import entries_in

ORIGIN = "https://shop.example"


class Api:
    """The application in this process, and a source's write key."""

    def __init__(self, settings: Settings, http: TestClient, write_key: str) -> None:
        self.settings, self.http, self.write_key = settings, http, write_key
        self.database: Any = http.app.state.database  # type: ignore[attr-defined]

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Type and call of each event in the inbox."""
        decoded = [json.loads(entry.payload) for entry in entries_in(self.database)]
        return [(one["type"], one["call"]) for one in decoded]


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    settings.data_dir.mkdir(parents=True)
    with TestClient(application(settings)) as http:
        with http.app.state.database.begin() as connection:  # type: ignore[attr-defined]
            key = sources.ensure(connection, "shop", "web").write_key
        yield Api(settings, http, key)


FETCHED = [route.path for route in browser_routes(None, None, SystemClock(), None, "")]  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [*PATHS, *FETCHED])
def test_a_preflight_lets_a_page_of_any_origin_send_whatever_headers_its_client_has(api: Api, path: str) -> None:
    asked = {"origin": ORIGIN, "access-control-request-headers": "authorization,x-retry-count,x-anything"}
    answer = api.http.options(path, headers=asked)
    assert answer.status_code == 204 and answer.content == b""
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-retry-count,x-anything"
    assert ("POST" if path in PATHS or path == "/v1/m" else "GET") in answer.headers["access-control-allow-methods"]
    assert {"origin", "access-control-request-headers"} <= {
        name.strip() for name in answer.headers["vary"].lower().split(",")
    }


def test_an_error_can_be_read_by_a_page_of_another_origin(api: Api) -> None:
    for path in PATHS:
        answer = api.http.post(path, content=b"{", headers={"origin": ORIGIN})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "retry-after" in answer.headers["access-control-expose-headers"]


def test_analytics_js_learns_where_to_send_from_the_settings(api: Api) -> None:
    answer = api.http.get(f"/v1/projects/{api.write_key}/settings", headers={"origin": ORIGIN})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == ORIGIN
    told = answer.json()["integrations"]["Segment.io"]
    assert (told["apiKey"], told["apiHost"], told["protocol"]) == (api.write_key, "testserver/v1", "http")
    assert list(answer.json()["integrations"]) == ["Segment.io"], "a second integration would load foreign code"
    assert api.http.get("/v1/projects/nobody/settings").json()["code"] == "not_found"


def test_behind_a_proxy_that_ends_tls_the_settings_say_https(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    public = replace(settings, public_url="https://data.shop.example")
    with TestClient(application(public), base_url="http://data.shop.example") as http:
        with http.app.state.database.begin() as connection:  # type: ignore[attr-defined]
            key = sources.ensure(connection, "shop", "web").write_key
        told = http.get(f"/v1/projects/{key}/settings").json()["integrations"]["Segment.io"]
    assert (told["protocol"], told["apiHost"]) == ("https", "data.shop.example/v1")


def test_rudderstacks_browser_client_gets_a_source_it_deems_valid(api: Api) -> None:
    for path in ("/sourceConfig", f"/sourceConfig/?p=npm&v=3.34.1&writeKey={api.write_key}"):
        answer = api.http.get(path, auth=(api.write_key, ""), follow_redirects=False)
        source = answer.json()["source"]
        assert source["id"] and source["enabled"] and source["writeKey"] == api.write_key
        assert isinstance(source["config"], dict) and source["destinations"] == []
    assert api.http.get("/sourceConfig/", auth=("nobody", "")).status_code == 401


def test_a_beacon_says_its_key_in_the_address_or_in_the_body(api: Api) -> None:
    page = {"type": "page", "anonymousId": "d"}
    headers = {"content-type": "text/plain;charset=UTF-8", "origin": ORIGIN}
    for path, body in (
        (f"/beacon/v1/batch?writeKey={quote(api.write_key)}", {"batch": [page]}),
        ("/v1/b", {"batch": [page], "writeKey": api.write_key}),
        (f"/v1/p?writeKey={api.write_key}", page),
    ):
        answer = api.http.post(path, content=json.dumps(body), headers=headers)
        assert answer.status_code == 200 and answer.json()["accepted"] == 1
    assert api.http.post("/beacon/v1/batch", json={"batch": [page]}).status_code == 401
    assert len(api.calls()) == 3


def test_rudderstacks_pixel_tells_a_call_field_by_field(api: Api) -> None:
    query = {
        "writeKey": api.write_key,
        "anonymousId": '"device-1"',
        "event": "Email Opened 📬",
        "properties.campaign": "primavera",
        "properties.deep.er": "è",
        "context.page.path": "/x",
    }
    answer = api.http.get("/pixel/v1/track", params=query)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/gif", GIF)
    assert "no-store" in answer.headers["cache-control"] and "x-onevoice-code" not in answer.headers
    ((kind, call),) = api.calls()
    assert kind == "track" and call == {
        "anonymousId": "device-1",
        "event": "Email Opened 📬",
        "properties": {"campaign": "primavera", "deep": {"er": "è"}},
        "context": {"page": {"path": "/x"}},
    }


def test_segments_pixel_tells_a_call_in_base64(api: Api) -> None:
    call = {"userId": "zoë", "event": "Email Opened", "properties": {"a": [1, None]}}
    data = base64.b64encode(json.dumps(call).encode()).decode()
    for value in (data, data.rstrip("="), data.replace("+", "-").replace("/", "_")):
        answer = api.http.get("/v1/pixel/track", params={"data": value, "writeKey": api.write_key})
        assert answer.status_code == 200 and answer.content == GIF
    assert api.calls() == [("track", call)] * 3


def test_a_pixel_may_carry_its_key_inside_the_data(api: Api) -> None:
    """So Segment's documentation has it: `data` holds the write key too."""
    call = {"writeKey": api.write_key, "userId": "u"}
    data = base64.b64encode(json.dumps(call).encode()).decode()
    assert api.http.get("/v1/pixel/page", params={"data": data}).status_code == 200
    assert [kind for kind, _ in api.calls()] == ["page"]


def test_a_pixel_shows_its_picture_whatever_happens_and_says_why_in_a_header(api: Api) -> None:
    key = {"writeKey": api.write_key}
    for path, query, status, code in (
        ("/pixel/v1/track", {"event": "A", "userId": "u"}, 401, "unauthorized"),
        ("/pixel/v1/track", key | {"event": "A"}, 200, "no_identifier"),
        ("/pixel/v1/track", key | {"userId": "u"}, 200, "no_event_name"),
        ("/v1/pixel/track", key | {"data": "%%%"}, 400, "invalid_input"),
        ("/v1/pixel/track", key | {"data": base64.b64encode(b"[1]").decode()}, 400, "invalid_input"),
        ("/v1/pixel/track", key | {"data": base64.b64encode(b"[" * 9000).decode()}, 400, "invalid_input"),
        ("/v1/pixel/track", key | {"data": "ü"}, 400, "invalid_input"),
    ):
        answer = api.http.get(path, params=query)
        assert (answer.status_code, answer.content) == (status, GIF), query
        assert answer.headers["x-onevoice-code"] == code
    with api.database.connect() as connection:
        assert {one.refused.reason for one in quarantine.listed(connection)} == {"no_identifier", "no_event_name"}
    assert api.calls() == []


def test_a_mail_scanner_that_only_looks_is_no_event(api: Api) -> None:
    query = {"writeKey": api.write_key, "userId": "u", "event": "A"}
    assert api.http.head("/pixel/v1/track", params=query).status_code == 200
    assert api.calls() == []


def test_analytics_js_own_metrics_are_read_and_forgotten(api: Api) -> None:
    body = {"series": [{"type": "Counter", "metric": "analytics_js.invoke", "value": 1, "tags": {}}]}
    answer = api.http.post("/v1/m", content=json.dumps(body), headers={"origin": ORIGIN})
    assert answer.status_code == 200 and answer.json() == {"success": True}
    assert api.http.post("/v1/m", content=b"x" * 70_000).json()["code"] == "invalid_input"
    assert api.calls() == []


def test_a_disabled_source_is_told_so(api: Api) -> None:
    with api.database.begin() as connection:
        sources.disable(connection, "shop", SystemClock().now())
    for answer in (
        api.http.post("/v1/track", json={"userId": "u", "event": "A"}, auth=(api.write_key, "")),
        api.http.get(f"/v1/projects/{api.write_key}/settings"),
        api.http.get("/sourceConfig", auth=(api.write_key, "")),
        api.http.get("/pixel/v1/page", params={"writeKey": api.write_key, "userId": "u"}),
    ):
        assert answer.status_code == 404
    assert api.calls() == []


def test_health_and_version_need_no_key(api: Api) -> None:
    assert api.http.get("/health").json() == {"status": "ok"}
    assert api.http.get("/version").json()["name"] == "OneVoice"


def test_what_there_is_not_has_a_code_too(api: Api) -> None:
    missing, wrong = api.http.post("/v1/tarck", json={}), api.http.get("/v1/batch")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"]
