"""An answer that nobody waits for any more is given up, and with it the engine's work."""

import asyncio
import socket
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from onevoice.engine.answers import serve
from onevoice.engine.client import EngineClient
from onevoice.engine.engine import Engine
from onevoice.engine.questions import QUESTIONS
from onevoice.kernel.settings import Settings
from onevoice.warehouse import INTERRUPTED, Warehouse

FOREVER = "SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b"


def test_a_preview_whose_client_went_away_is_interrupted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    began, given_up = threading.Event(), threading.Event()

    def endless(warehouse: Warehouse, now: datetime, **_: Any) -> None:
        began.set()
        try:
            warehouse.execute(FOREVER)
        except INTERRUPTED:
            given_up.set()
            raise

    monkeypatch.setitem(QUESTIONS, "segment_preview", endless)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = Engine(replace(settings, engine_port=port))
    server = serve(engine)
    client = EngineClient(engine.settings)

    async def is_wanted() -> bool:
        return not began.is_set()  # as when a newer preview has come, or the browser is closed

    try:
        assert asyncio.run(client.ask_while(is_wanted, "segment_preview", where={})) is None
        assert given_up.wait(10.0), "the query goes on though nobody waits for it"
        asked_at = time.monotonic()
        assert client.ask("health")["events"] == 0
        assert time.monotonic() - asked_at < 5.0, "the engine is held up"
    finally:
        server.stop()
        engine.close()
