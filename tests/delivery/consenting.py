"""The pages of consent over HTTP, without a server: a link opened, a form posted."""

import asyncio
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx
from sqlalchemy import Engine
from starlette.applications import Starlette

from onevoice.delivery import consent_routes
from onevoice.kernel.settings import Settings

BASE = "https://news.shop.example"


class Browser:
    """Keeps the routes, and so their allowances, between calls."""

    def __init__(self, db: Engine, settings: Settings) -> None:
        self.app = Starlette(routes=consent_routes.routes(db, settings))

    def open(self, url: str, **more: Any) -> httpx.Response:
        return self._call("GET", url, **more)

    def post(self, url: str, fields: list[tuple[str, str]], **more: Any) -> httpx.Response:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self._call("POST", url, content=urlencode(fields), headers=headers, **more)

    def save(self, url: str, *wanted: str) -> httpx.Response:
        """Opens the page, sets the switches so that exactly `wanted` are on, saves, follows the redirect."""
        shown = Form(self.open(url).text).shown
        fields = [*(("shown", key) for key in shown), *(("on", key) for key in wanted), ("action", "save")]
        return self.open(urljoin(url, self.post(url, fields).headers["location"]))

    def _call(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
                return await http.request(method, url, **more)

        return asyncio.run(run())


class Form(HTMLParser):
    """What a page lets one choose."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.switches: dict[str, bool] = {}
        self.shown: list[str] = []
        self.labelled = 0
        self._labels = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "label":
            self._labels += 1
        if tag == "input" and given.get("type") == "checkbox":
            self.switches[str(given["value"])] = "checked" in given
            self.labelled += self._labels > 0
        if tag == "input" and given.get("name") == "shown":
            self.shown.append(str(given["value"]))

    def handle_endtag(self, tag: str) -> None:
        self._labels -= tag == "label"
