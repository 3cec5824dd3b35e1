"""The page docs/how-to/add-a-channel.md: its very code, put into a package of its own, is found, sends and tells."""

import asyncio
import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from onevoice.channels.adapter import InboundMessage, MessageNews, News, OutboundMessage, Status, WebhookRequest
from onevoice.channels.providers import built
from onevoice.kernel.errors import Unauthorized
from tests.channels.answering import answering

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-channel.md"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
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
    found: dict[str, Any] = tomllib.loads(configuration)["channels"]
    return found


@pytest.mark.parametrize(
    ("answer", "status", "dead"),
    [
        (202, Status.ACCEPTED, False),
        (503, Status.RETRY, False),
        (410, Status.FAILED, True),
        (400, Status.FAILED, False),
    ],
)
def test_it_is_found_and_sends(settings: dict[str, Any], answer: int, status: Status, dead: bool) -> None:
    async def send(url: str) -> Any:
        (adapter,) = built({"pigeon": {**settings["pigeon"], "loft": url}}).values()
        await adapter.open()
        try:
            return await adapter.send(OutboundMessage("m1", "pigeon", "roof 7", {"text": "Coo"}))
        finally:
            await adapter.close()

    with answering(answer, b'{"ring": "R1"}') as url:
        outcome = asyncio.run(send(url))
    assert (outcome.status, outcome.address_is_dead) == (status, dead)


def test_it_tells_what_the_loft_says(settings: dict[str, Any]) -> None:
    (adapter,) = built(settings).values()

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
