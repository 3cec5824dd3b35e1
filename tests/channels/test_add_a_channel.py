"""The page docs/how-to/add-a-channel.md: its very code, in a package of its own, makes a channel of a new name."""

import asyncio
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from sqlalchemy import Engine

from onevoice.channels.adapter import InboundMessage, MessageNews, News, OutboundMessage, Status, WebhookRequest
from onevoice.channels.providers import built
from onevoice.content import checks, compiling, templates
from onevoice.customers import profiles
from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, TRAITS
from onevoice.kernel import brought
from onevoice.kernel.clock import naive
from onevoice.kernel.errors import InvalidInput, Unauthorized
from onevoice.kernel.settings import Settings
from onevoice.warehouse import Warehouse
from tests.channels.answering import answering
from tests.conftest import NOW
from tests.delivery.builders import queued
from tests.delivery.sending import at_now, prepare, send_all

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-channel.md"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def pigeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The page's package, installed; returns its settings."""
    page = PAGE.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    project, configuration = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    points = tomllib.loads(project)["project"]["entry-points"]
    (tmp_path / "pigeon_post.py").write_text(code)
    information = tmp_path / "pigeon_post-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in points.items()]
    (information / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pigeon_post", raising=False)
    _forget()
    found: dict[str, Any] = tomllib.loads(configuration)["channels"]
    yield found
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    """A process knows the installed packages as they were when it began."""
    for known in (brought.channels, compiling.source_kinds, profiles.address_traits):
        known.cache_clear()


@pytest.mark.parametrize(
    ("answer", "status", "dead"),
    [
        (202, Status.ACCEPTED, False),
        (503, Status.RETRY, False),
        (410, Status.FAILED, True),
        (400, Status.FAILED, False),
    ],
)
def test_it_is_found_and_sends(pigeon: dict[str, Any], answer: int, status: Status, dead: bool) -> None:
    async def send(url: str) -> Any:
        (adapter,) = built({"pigeon": {**pigeon["pigeon"], "loft": url}}).values()
        await adapter.open()
        try:
            return await adapter.send(OutboundMessage("m1", "pigeon", "roof 7", {"text": "Coo"}))
        finally:
            await adapter.close()

    with answering(answer, b'{"ring": "R1"}') as url:
        outcome = asyncio.run(send(url))
    assert (outcome.status, outcome.address_is_dead) == (status, dead)


def test_it_tells_what_the_loft_says(pigeon: dict[str, Any]) -> None:
    (adapter,) = built(pigeon).values()

    def told(body: bytes, secret: str = "coo") -> Any:
        return adapter.news(WebhookRequest("POST", "https://n.example", {"x-loft-secret": secret}, body, AT))[0]

    news = told(b"R1|arrived|m1|roof 7|")
    assert isinstance(news, MessageNews)
    assert (news.message_id, news.news) == ("m1", News.DELIVERED)
    answer = told(b"R2|answer|m1|roof 7|Coo yourself")
    assert isinstance(answer, InboundMessage)
    assert (answer.sender, answer.text, answer.message_id) == ("roof 7", "Coo yourself", "m1")
    with pytest.raises(Unauthorized):
        told(b"R1|arrived|m1|roof 7|", "caw")
    assert adapter.parts({"text": "x" * 250}) == 2


def document() -> dict[str, Any]:
    (written,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(written)
    return found


def test_its_template_is_saved_checked_and_sent_with_a_tracked_link(
    pigeon: dict[str, Any], settings: Settings, db: Engine
) -> None:
    with db.begin() as connection:
        templates.save(connection, document(), NOW, Path())
        assert checks.check(templates.get(connection, "coo")) == []
        with pytest.raises(InvalidInput, match="feather"):
            wrong = {**document(), "locales": {"en": {"text": "Coo", "feather": "grey"}}}
            templates.save(connection, wrong, NOW, Path())
    message = queued(1, channel="pigeon", address="roof 7", template="coo", topic="corn")
    prepare(db, [message])
    with answering(202, b'{"ring": "R1"}') as url:
        ready = at_now(settings, channels={"pigeon": {**pigeon["pigeon"], "loft": url}}, public_url="https://n.example")
        assert send_all(ready, db) == {"accepted": 1}
    with db.connect() as connection:
        provider_id, link = connection.exec_driver_sql("SELECT provider_id, url FROM message, link").one()
    assert (provider_id, link) == ("R1", "https://shop.example/corn")


def test_a_customer_is_reachable_on_it_by_the_trait(pigeon: dict[str, Any], duck: Warehouse) -> None:
    (told,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    traits = msgspec.json.decode(told)["traits"]
    who = {"identifier_id": 1, "customer_id": 1, "namespace": "user_id", "value": "anna", "is_shared": False}
    who |= {"first_seen_at": naive(NOW), "revision": 1, "cluster_id": 1, "same_id": 1}
    duck.append(IDENTIFIERS, IDENTIFIERS.arrow({name: [who.get(name)] for name in IDENTIFIERS.columns}))
    given = {"identifier_id": 1, "customer_id": 1, "event_id": "e", "occurred_at": naive(NOW)}
    rows = [{**given, "name": name, "value": msgspec.json.encode(value).decode()} for name, value in traits.items()]
    duck.append(TRAITS, TRAITS.arrow({name: [row.get(name) for row in rows] for name in TRAITS.columns}))
    profiles.rebuild(duck, [1], b"secret")
    (address,) = duck.rows(duck.table(ADDRESSES))
    assert (address["channel"], address["address"]) == ("pigeon", "roof 7")
