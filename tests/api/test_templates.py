"""Templates over HTTP: saved, checked, shown as a real customer would get them, sent as a test that nothing counts."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from onevoice.api import template_page
from onevoice.api.template_words import WORDS
from onevoice.cli.main import app
from onevoice.content import reach, templates
from onevoice.content.compiling import SOURCES
from onevoice.content.parts import Kit
from onevoice.database import driver
from onevoice.delivery.models import message
from onevoice.delivery.schemas import TEST
from onevoice.delivery.tokens import Tokens, Use
from tests.api.test_api import Shop, shop, step  # noqa: F401 - the fixture
from tests.delivery.sending import MJML

PAGE = Path(template_page.__file__).with_name("template_page.html")

DOCUMENT: dict[str, Any] = {
    "channels": {
        "email": {
            "en": {"subject": "For {{ customer.first_name }}", "mjml": MJML, "preheader": "x"},
            "ar": {"subject": "إلى {{ customer.first_name }}", "mjml": MJML, "preheader": "x"},
        },
        "sms": {"en": {"text": "Hi {{ customer.first_name }} ș {{ unsubscribe_url }}"}},
    }
}


def ask(shop: Shop, method: str, path: str, body: Any = None, status: int = 200) -> Any:  # noqa: F811
    answer = shop.http.request(method, path, json=body, headers={"authorization": f"Bearer {shop.key}"})
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.fixture
def anna(shop: Shop) -> int:  # noqa: F811
    shop.send("identify", userId="anna", traits={"firstName": "Anna <3", "email": "a@example.com", "locale": "it"})
    step(shop)
    (found,) = shop.get("/v1/customers?search=a@example.com")["customers"]
    ask(shop, "PUT", "/v1/templates/spring", DOCUMENT)
    return int(found["customer_id"])


def test_a_template_is_saved_refused_with_its_line_and_listed(shop: Shop, anna: int) -> None:  # noqa: F811
    assert ask(shop, "PUT", "/v1/templates/spring", DOCUMENT) == {"name": "spring", "version": 1, "changed": False}
    (row,) = ask(shop, "GET", "/v1/templates")
    assert row["channels"] == {"email": ["ar", "en"], "sms": ["en"]}
    got = ask(shop, "GET", "/v1/templates/spring")
    assert ask(shop, "PUT", "/v1/templates/spring", got)["changed"] is False
    bad = {"channel": "sms", "locales": {"en": {"text": "a\n{{ b | shout }} STOP"}}}
    refused = ask(shop, "PUT", "/v1/templates/spring", bad, 400)
    assert refused["message"] == "sms, en, text: Liquid in line 2: unknown filter shout"
    brand = {"title": "Corner", "colours": {"primary": "#14532d"}}
    assert ask(shop, "PUT", "/v1/content/brands/corner", brand)["version"] == 1
    assert ask(shop, "GET", "/v1/templates/spring")["version"] == 2
    assert ask(shop, "GET", "/v1/content/blocks/footer")["kind"] == "block"
    assert [one["name"] for one in ask(shop, "GET", "/v1/content/brands")] == ["corner"]


def test_it_is_shown_as_a_customer_would_get_it(shop: Shop, anna: int) -> None:  # noqa: F811
    seen = {one["channel"]: one for one in ask(shop, "POST", "/v1/templates/spring/preview", {"customer_id": anna})}
    assert seen["email"]["content"]["subject"] == "For Anna <3"
    assert "Hello Anna &lt;3" in seen["email"]["content"]["html"]
    assert (seen["email"]["locale"], seen["sms"]["sms"]["encoding"]) == ("en", "UCS-2")  # no Italian variant
    (arabic,) = ask(shop, "POST", "/v1/templates/spring/preview", {"locale": "ar", "channel": "email"})
    assert (arabic["locale"], arabic["direction"]) == ("ar", "rtl")
    ask(shop, "POST", "/v1/templates/spring/preview", {"customer_id": 1}, 404)
    found = ask(shop, "POST", "/v1/templates/spring/check", {"locale": "it"})
    assert {one["rule"] for one in found} >= {"falls_back", "sms_letters"}
    assert any("varianti" in one["said"] or "variante" in one["said"] for one in found)


def test_the_page_shows_every_channel_and_runs_nothing(shop: Shop, anna: int) -> None:  # noqa: F811
    assert shop.http.get("/templates/spring/preview").status_code == 401
    shop.http.cookies.set("onevoice_key", shop.key)
    page = shop.http.get(f"/templates/spring/preview?customer={anna}&lang=ar")
    assert page.status_code == 200 and 'dir="rtl"' in page.text
    assert '<bdi dir="ltr">For Anna' in page.text  # each message in its own direction, whatever letter it begins with
    arabic = shop.http.get(f"/templates/spring/preview?customer={anna}&locale=ar")
    assert '<bdi dir="rtl">إلى' in arabic.text and 'dir="auto"' not in arabic.text
    assert 'sandbox=""' in page.text and "Hello Anna &amp;lt;3" in page.text and "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert shop.http.get("/templates/nothing/preview").status_code == 404
    assert shop.http.get("/templates/spring/preview?customer=%3Cb%3E").status_code == 404
    shop.http.cookies.clear()


def test_every_channel_has_its_name_and_its_card_in_every_language() -> None:
    for locale, words in WORDS.items():
        assert SOURCES.keys() <= words.keys(), locale
        assert words.keys() == WORDS["en"].keys(), locale
    for channel in SOURCES.keys() - {"email"}:
        assert f'one.channel == "{channel}"' in PAGE.read_text("utf-8")


def test_a_test_goes_to_the_test_list_only_and_nobody_counts_it(shop: Shop, anna: int) -> None:  # noqa: F811
    wish = {"channel": "email", "address": "colleague@example.com", "customer_id": anna}
    ask(shop, "POST", "/v1/templates/spring/test", wish, 404)
    ask(shop, "PUT", "/v1/test-recipients", {"channel": "email", "address": "colleague@example.com", "name": "Bo"})
    before = ask(shop, "GET", "/v1/kpis")
    message_id = ask(shop, "POST", "/v1/templates/spring/test", wish, 202)["message_id"]
    with shop.engine.database.connect() as connection:
        row = connection.execute(select(message).where(message.c.id == message_id)).one()
    assert (row.step, row.journey, row.transactional, row.address) == (TEST, "", 1, "colleague@example.com")
    assert row.identifier_id == anna  # so that an erasure finds it
    tokens = Tokens(shop.engine.settings.secret())
    way_out = f"/u/{tokens.message(row.number, Use.UNSUBSCRIBE)}"
    assert shop.http.post(way_out).status_code == 404  # nobody's choices are changed, or shown
    assert shop.http.get(f"/preferences/{tokens.preferences(row.number)}").status_code == 404
    assert shop.http.get(f"/o/{tokens.message(row.number, Use.OPEN)}").status_code == 200
    shop.engine.step(shop.clock.now())
    with shop.engine.database.connect() as connection, driver(connection) as raw:
        assert raw.execute("SELECT count(*) FROM consent_ledger WHERE state = 'withdrawn'").fetchone() == (0,)
    assert ask(shop, "GET", "/v1/kpis") == before
    ask(shop, "DELETE", "/v1/test-recipients?channel=email&address=colleague@example.com", status=204)
    assert ask(shop, "GET", "/v1/test-recipients") == []


def test_the_command_line_checks_a_folder_without_saving_it(
    shop: Shop,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "t.yaml").write_text("kind: template\nname: new\nchannel: push\nlocales: {en: {title: a, body: ' '}}\n")
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", shop.engine.settings.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(shop.engine.settings.data_dir))
    done = CliRunner().invoke(app, ["template", "check", "--folder", str(tmp_path), "--locale", "it", "--json"])
    assert done.exit_code == 1
    assert "body è vuoto per alcuni clienti" in done.output
    assert ask(shop, "GET", "/v1/templates") == []


class Answer(BaseHTTPRequestHandler):
    """Pages that work, are gone, do not like HEAD, lead on."""

    def do_HEAD(self) -> None:
        self.send_response({"/gone": 404, "/get-only": 405, "/moved": 301}.get(self.path, 200))
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/gone" else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def pages() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_dead_links_are_found_and_our_own_network_is_not_looked_into(pages: str) -> None:
    text = " ".join(f"{pages}{path}" for path in ("/fine", "/gone", "/get-only", "/moved")) + " STOP"
    document = {"kind": "template", "name": "t", "channel": "sms", "locales": {"en": {"text": text}}}
    made = templates.draft(document, Path(), Kit({}, {}))
    (one,) = reach.check_links(made, anywhere=True)
    assert (one.rule, one.seen) == ("dead_link", {"link": f"{pages}/gone", "why": "HTTP 404"})
    assert {one.seen["why"] for one in reach.check_links(made)} == {"127.0.0.1 is not on the public internet"}
    assert reach.dead(["http://127.0.0.1:1/"], anywhere=True).keys() == {"http://127.0.0.1:1/"}
