"""Ingest as a client sees it: the 200 comes after the commit and never without it; every error can be understood."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import hypothesis
import psycopg
import pytest
from hypothesis import given
from sqlalchemy import Engine
from starlette.applications import Starlette

from onevoice import database
from onevoice.database.inbox import Entry, Kind
from onevoice.events import committer as committing
from onevoice.events import quarantine, sources
from onevoice.events.committer import Committer
from onevoice.events.plans import Plans
from onevoice.events.routes import PATHS, routes
from onevoice.events.sources import Source, Sources
from onevoice.events.vocabulary import CALL_TYPES
from onevoice.kernel.clock import FixedClock
from onevoice.kernel.errors import TooMany, Unavailable
from onevoice.kernel.settings import Settings
from tests.conftest import NOW, entries_in
from tests.events.test_taken_is_loaded import BODY

PAGE = {"type": "page", "userId": "u"}


@pytest.fixture
def source(db: Engine) -> Source:
    with db.begin() as connection:
        return sources.ensure(connection, "shop", "web")


@asynccontextmanager
async def serving(settings: Settings, db: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes, and a committer that writes."""
    committer = Committer(settings, FixedClock(NOW))
    app = Starlette(routes=routes(committer, Sources(db), FixedClock(NOW), Plans(db)))
    await committer.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    await committer.stop()


def ask(settings: Settings, db: Engine, *args: Any, **options: Any) -> httpx.Response:
    """One request's response."""

    async def play() -> httpx.Response:
        async with serving(settings, db) as client:
            return await client.request(*args, **options)

    return asyncio.run(play())


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_every_way_to_say_the_write_key_is_understood(settings: Settings, db: Engine, source: Source) -> None:
    key = source.write_key
    ways: list[dict[str, Any]] = [
        {"headers": basic(f"{key}:"), "json": {"batch": [PAGE]}},
        {"headers": basic(key), "json": {"batch": [PAGE]}},
        {
            "headers": {"authorization": basic(key)["authorization"].replace("Basic", "basic")},
            "json": {"batch": [PAGE]},
        },
        {"json": {"batch": [PAGE], "writeKey": key}},
        {"headers": {"authorization": "Bearer x"}, "json": {"batch": [PAGE], "writeKey": key}},
    ]
    for way in ways:
        answer = ask(settings, db, "POST", "/v1/batch", **way)
        assert answer.status_code == 200
        assert answer.json() == {
            "success": True,
            "accepted": 1,
            "deduplicated": 0,
            "quarantined": 0,
            "report": [],
        }
    assert {entry.source_id for entry in entries_in(db)} == {source.id}


def test_each_type_has_its_path(settings: Settings, db: Engine, source: Source) -> None:
    call = {"userId": "u", "event": "A", "groupId": "g", "previousId": "p", "writeKey": source.write_key}
    named = {path: call_type for path, call_type in PATHS.items() if call_type in CALL_TYPES}
    for path in named:
        assert ask(settings, db, "POST", path, json=call).json()["accepted"] == 1
    types = [json.loads(entry.payload)["type"] for entry in entries_in(db)]
    assert sorted(types) == sorted([*CALL_TYPES, *CALL_TYPES])  # by its name, and by its letter


def test_no_content_type_and_no_encoding_stands_in_the_way(settings: Settings, db: Engine, source: Source) -> None:
    body = json.dumps({"batch": [PAGE], "writeKey": source.write_key}).encode()
    for headers, content in (
        ({"content-type": "text/plain"}, body),
        ({}, body),
        ({"content-type": "application/x-www-form-urlencoded"}, gzip.compress(body)),
        ({"content-encoding": "gzip", "content-type": "application/json"}, gzip.compress(body)),
    ):
        assert ask(settings, db, "POST", "/v1/batch", headers=headers, content=content).status_code == 200


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        (basic("nobody:"), b'{"batch":[]}', 401, "unauthorized"),
        ({}, b'{"batch":[]}', 401, "unauthorized"),
        ({"authorization": "Basic %%%"}, b'{"batch":[]}', 401, "unauthorized"),
        ({}, b"{", 400, "invalid_input"),
        ({}, b" " * 501 * 1024, 400, "invalid_input"),
        ({}, b"\x1f\x8b" + b"x" * 5 * 1024 * 1024, 400, "invalid_input"),
    ],
)
def test_an_error_has_a_code_and_a_message(
    settings: Settings, db: Engine, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    answer = ask(settings, db, "POST", "/v1/batch", headers=headers, content=content)
    assert answer.status_code == status
    assert answer.json()["code"] == code and len(answer.json()["message"]) > 20
    assert answer.headers["access-control-allow-origin"] == "*"


def test_oneself_is_no_source(settings: Settings, db: Engine) -> None:
    with db.begin() as connection:
        connection.exec_driver_sql("DELETE FROM source WHERE id = 0")
        connection.exec_driver_sql(
            "INSERT INTO source (id, name, kind, write_key) OVERRIDING SYSTEM VALUE VALUES (0, 'i', 'internal', 'k')"
        )
    assert ask(settings, db, "POST", "/v1/batch", json={"batch": [PAGE], "writeKey": "k"}).status_code == 401


def test_a_browser_may_send_from_anywhere(settings: Settings, db: Engine) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-headers": "authorization, x-retry-count"}
    answer = ask(settings, db, "OPTIONS", "/v1/batch", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization, x-retry-count"
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_a_refused_call_is_named_in_the_answer_and_kept(settings: Settings, db: Engine, source: Source) -> None:
    bad = {"type": "page", "userId": "null"}
    answer = ask(settings, db, "POST", "/v1/batch", json={"batch": [PAGE, bad], "writeKey": source.write_key})
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["quarantined"]) == (1, 1)
    assert [(one["index"], one["code"]) for one in answer.json()["report"]] == [(1, "no_identifier")]
    with db.connect() as connection:
        (kept,) = quarantine.listed(connection)
    assert (kept.refused.reason, json.loads(kept.refused.payload)) == ("no_identifier", bad)
    assert kept.refused.source_id == source.id and "userId" in kept.refused.detail


def test_a_source_made_a_moment_ago_is_found_though_others_guess_keys(settings: Settings, db: Engine) -> None:
    async def play() -> list[int]:
        async with serving(settings, db) as client:

            async def send(key: str) -> int:
                return (await client.post("/v1/batch", json={"batch": [PAGE], "writeKey": key})).status_code

            guesses = [await send("guess")]
            with db.begin() as connection:
                key = sources.ensure(connection, "new", "app").write_key
            return guesses + list(await asyncio.gather(send(key), send("guess"), send(key)))

    assert asyncio.run(play()) == [401, 200, 401, 200]


def test_a_source_that_is_disabled_or_has_a_new_key_takes_nothing_more_soon_after(
    settings: Settings, db: Engine, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "REFRESH_SECONDS", 0.1)

    async def play() -> list[int]:
        async with serving(settings, db) as client:

            async def send(key: str) -> int:
                await asyncio.sleep(0.11)
                return (await client.post("/v1/batch", json={"batch": [PAGE], "writeKey": key})).status_code

            statuses = [await send(source.write_key)]
            with db.begin() as connection:
                sources.disable(connection, source.name, NOW)
            statuses.append(await send(source.write_key))
            with db.begin() as connection:
                sources.disable(connection, source.name, None)
                key = sources.rotate_key(connection, source.name).write_key
            return [*statuses, await send(source.write_key), await send(key)]

    assert asyncio.run(play()) == [200, 404, 401, 200]


async def eventually(found: Callable[[], Any]) -> None:
    for _ in range(500):
        if found():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def test_the_answer_waits_for_the_commit_and_a_commit_that_fails_is_no_200(
    settings: Settings, db: Engine, source: Source
) -> None:
    waits = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COPY%'"
    )

    async def play() -> tuple[httpx.Response, httpx.Response]:
        async with serving(settings, db) as client:
            body = {"batch": [PAGE], "writeKey": source.write_key}
            with (
                psycopg.connect(database.url(settings)) as blocker,
                psycopg.connect(database.url(settings), autocommit=True) as killer,
            ):
                blocker.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
                sent = asyncio.create_task(client.post("/v1/batch", json=body))
                await eventually(lambda: killer.execute(waits.encode()).fetchall())
                assert not sent.done()
                killer.execute(f"SELECT pg_terminate_backend(pid) FROM ({waits}) AS waiting".encode())
                failed = await sent
            return failed, await client.post("/v1/batch", json=body)

    failed, repeated = asyncio.run(play())
    assert failed.status_code == 503 and failed.headers["retry-after"] == "1" and failed.json()["code"] == "unavailable"
    assert repeated.status_code == 200
    assert len(entries_in(db)) == 1


def test_a_database_that_is_away_is_a_503_and_is_found_again(settings: Settings, db: Engine, source: Source) -> None:
    name = urlsplit(settings.database_url).path[1:]
    elsewhere = settings.database_url.replace(f"/{name}?", "/postgres?")

    async def play() -> list[int]:
        async with serving(settings, db) as client:

            async def send(key: str) -> int:
                return (await client.post("/v1/batch", json={"batch": [PAGE], "writeKey": key})).status_code

            statuses = [await send(source.write_key)]
            with psycopg.connect(elsewhere, autocommit=True) as server:
                server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
                server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
                statuses += [await send(source.write_key), await send(source.write_key), await send("guess")]
                server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
            return [*statuses, await send(source.write_key), await send("guess")]

    assert asyncio.run(play()) == [200, 503, 503, 503, 200, 401]
    assert len(entries_in(db)) == 2


def test_more_than_can_wait_is_told_to_come_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "MAX_PENDING", 100)
    entry = Entry(1, Kind.EVENT, NOW, b"x" * 60)

    async def play() -> list[BaseException | None]:
        committer = Committer(settings)
        waiting = [asyncio.create_task(committer.append([entry])) for _ in range(3)]
        await asyncio.sleep(0)
        await committer.start()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        await committer.stop()
        return told

    told = asyncio.run(play())
    assert [type(one) for one in told] == [type(None), TooMany, TooMany]


def test_what_is_pending_when_it_stops_is_written_first(settings: Settings, db: Engine) -> None:
    async def play() -> None:
        committer = Committer(settings)
        await committer.start()
        waiting = [
            asyncio.create_task(committer.append([Entry(1, kind, NOW, b"{}")])) for kind in (Kind.MESSAGE, Kind.CONSENT)
        ]
        await asyncio.sleep(0)
        await committer.stop()
        await asyncio.gather(*waiting)
        with pytest.raises(Unavailable):
            await committer.append([Entry(1, Kind.EVENT, NOW, b"{}")])

    asyncio.run(play())
    assert [entry.kind for entry in entries_in(db)] == [Kind.MESSAGE, Kind.CONSENT]
    assert entries_in(db)[0] == Entry(1, Kind.MESSAGE, NOW, b"{}")


def test_nothing_acknowledged_is_lost_whatever_is_sent(settings: Settings, db: Engine, source: Source) -> None:
    told = {"accepted": 0, "deduplicated": 0, "quarantined": 0}

    async def play(use: Callable[[Callable[[Any], Awaitable[httpx.Response]]], None]) -> None:
        loop = asyncio.get_running_loop()
        async with serving(settings, db) as client:

            async def send(body: Any) -> httpx.Response:
                return await client.post("/v1/batch", json=body, headers=basic(source.write_key))

            # Hypothesis calls plain functions: it runs in a thread, its requests in this loop.
            await asyncio.to_thread(use, lambda body: asyncio.run_coroutine_threadsafe(send(body), loop))  # type: ignore[arg-type,return-value]

    def everything(send: Callable[[Any], Any]) -> None:
        @hypothesis.settings(max_examples=40, deadline=None)
        @given(BODY)
        def check(body: Any) -> None:
            answer = send(body).result(10)
            assert answer.status_code == 200
            said = answer.json()
            assert sum(said[name] for name in told) == len(body["batch"])
            assert len(said["report"]) == said["deduplicated"] + said["quarantined"]
            for name in told:
                told[name] += said[name]

        check()

    asyncio.run(play(everything))
    with db.connect() as connection:
        assert len(quarantine.listed(connection, limit=100_000)) == told["quarantined"] > 0
    assert len(entries_in(db)) == told["accepted"] > 0
