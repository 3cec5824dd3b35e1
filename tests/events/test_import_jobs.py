"""Imports asked for over HTTP: fetched from allowed places only, in the background, and as whole after a kill."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from onevoice.api.app import application
from onevoice.events.imports import jobs, reach, runs
from onevoice.kernel.clock import SystemClock
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.settings import Settings, as_environment
from tests.conftest import entries_in

ROWS = 90_000
"""Five parts."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    return tmp_path / "web"


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_to_web(settings: Settings, web: str) -> Settings:
    return replace(settings, import_from=(f"{web}/shop/", f"{web}/events.csv"), import_private=True)


def asking(client: TestClient, settings: Settings) -> Callable[..., Any]:
    key = (settings.data_dir / "api-key").read_text().strip()

    def ask(method: str, path: str = "", **body: Any) -> Any:
        return client.request(
            method, f"/v1/imports{path}", json=body or None, headers={"authorization": f"Bearer {key}"}
        )

    return ask


def until(look: Callable[[], Any], seconds: float = 30, pause: float = 0.05) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(pause)
    raise AssertionError("not in time")


def test_a_file_asked_for_is_taken_in_the_background_with_a_report_of_its_bad_rows(
    open_to_web: Settings, db: Engine, web: str, folder: Path
) -> None:
    (folder / "events.csv").write_text("user_id,event,timestamp\nu1,Viewed,2026-01-01\nu2,Viewed,never\n")
    with TestClient(application(open_to_web)) as client:
        ask = asking(client, open_to_web)
        dry = ask("POST", kind="events", url=f"{web}/events.csv", dry_run=True)
        assert dry.status_code == 202 and dry.json()["state"] == "waiting"
        real = ask("POST", kind="events", url=f"{web}/events.csv").json()
        ended = until(lambda: (job := ask("GET", f"/{real['id']}").json())["state"] == "done" and job)
        assert (ended["result"]["rows"], ended["result"]["entries"], ended["result"]["bad_rows"]) == (2, 1, 1)
        assert ask("GET", f"/{real['id']}/report").text.splitlines()[1] == "3,timestamp,never,not a time"
        tried = ask("GET", f"/{dry.json()['id']}").json()
        assert tried["result"]["sample"][0]["call"]["userId"] == "u1"
        assert len(entries_in(db)) == 1
        assert ask("POST", f"/{real['id']}/cancel").status_code == 409
        assert ask("DELETE", f"/{real['id']}").status_code == 204
        assert ask("GET", f"/{real['id']}").status_code == 404
        assert [job["id"] for job in ask("GET").json()] == [dry.json()["id"]]
    assert not list((open_to_web.data_dir / "imports" / "jobs").glob(f"{real['id']}*"))


def test_a_job_killed_again_and_again_ends_as_one_in_one_go(
    open_to_web: Settings, db: Engine, web: str, folder: Path
) -> None:
    (folder / "events.csv").write_text(
        "user_id,event,timestamp\n" + "".join(f"u{n},Viewed,2026-01-01\n" for n in range(ROWS))
    )
    job = waiting(db, open_to_web, f"{web}/events.csv")
    for parts in (1, 2):
        process = carrying(open_to_web)
        until(lambda parts=parts: parts_done(db) >= parts, pause=0.002)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert told(db, job).state == "running" and parts_done(db) < ROWS // 20_000, "killed halfway"
    with db.begin() as connection:
        assert jobs.is_needed(connection), "whoever was killed holds no lock"
    assert carrying(open_to_web).wait(60) == 0
    ended = told(db, job)
    assert (ended.state, ended.result and ended.result["entries"]) == ("done", ROWS)
    assert len({entry.payload for entry in entries_in(db)}) == len(entries_in(db)) == ROWS
    with db.begin() as connection:
        assert not jobs.is_needed(connection)


def test_a_cancelled_job_stops_and_asked_for_again_it_goes_on(
    open_to_web: Settings, db: Engine, web: str, folder: Path
) -> None:
    (folder / "events.csv").write_text(
        "user_id,event,timestamp\n" + "".join(f"u{n},Viewed,2026-01-01\n" for n in range(ROWS))
    )
    job = waiting(db, open_to_web, f"{web}/events.csv")
    process = carrying(open_to_web)
    until(lambda: told(db, job).phase in ("checking", "writing"))
    with db.begin() as connection:
        jobs.cancel(connection, job, open_to_web.clock().now())
    assert process.wait(60) == 0
    assert told(db, job).state == "cancelled" and len(entries_in(db)) < ROWS
    again = waiting(db, open_to_web, f"{web}/events.csv")
    jobs.carry_out(db, open_to_web, SystemClock())
    assert told(db, again).state == "done" and len(entries_in(db)) == ROWS


def test_a_file_that_kills_whoever_reads_it_fails_in_the_end(open_to_web: Settings, db: Engine, web: str) -> None:
    job = waiting(db, open_to_web, f"{web}/events.csv")
    with db.begin() as connection:
        connection.exec_driver_sql(f"UPDATE import_job SET state = 'running', starts = {jobs.MOST_STARTS}")
    jobs.carry_out(db, open_to_web, SystemClock())
    assert told(db, job).state == "failed" and "killed each time" in str(told(db, job).error)


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/shop/a.csv",
        "http://files.example.com/shop/a.csv",
        "https://files.example.com:8443/shop/a.csv",
        "https://files.example.com/shopping/a.csv",
        "https://files.example.com/shop/../secret.csv",
        "https://files.example.com/shop/%2e%2e/secret.csv",
        "https://files.example.com@evil.example/shop/a.csv",
        "https://files.example.com.evil.example/shop/a.csv",
        "s3://other/a.csv",
        "s3://tills-of-others/a.csv",
        "/etc/passwd",
        "file:///etc/passwd",
        "https://[::1",
    ],
)
def test_only_what_lies_under_an_allowed_place_is_fetched(url: str) -> None:
    with pytest.raises(InvalidInput):
        reach.check(url, ("https://files.example.com/shop", "s3://tills/"))


def test_what_lies_under_an_allowed_place_may_be_fetched() -> None:
    for url in (
        "https://files.example.com/shop/2026/a%20b.csv",
        "HTTPS://FILES.example.com/shop/a.csv",
        "s3://tills/a",
    ):
        reach.check(url, ("https://files.example.com/shop", "s3://tills/"))
    reach.check("https://any.example/x/a.csv", ("https://any.example",))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "fe80::1",
        "2002:7f00:1::",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "100.64.0.1",
        "224.0.0.1",
    ],
)
def test_an_address_of_the_private_network_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(InvalidInput, match="not of the internet"):
        reach.address(host, 443, private=False)


def test_a_host_of_the_private_network_is_not_asked(settings: Settings, db: Engine, web: str, folder: Path) -> None:
    (folder / "events.csv").write_text("user_id,event,timestamp\nu1,Viewed,2026-01-01\n")
    closed = replace(settings, import_from=(web,))
    job = waiting(db, closed, f"{web}/events.csv")
    jobs.carry_out(db, closed, SystemClock())
    assert told(db, job).state == "failed" and "not of the internet" in str(told(db, job).error)
    assert entries_in(db) == []


def waiting(db: Engine, settings: Settings, url: str) -> Any:
    further: dict[str, Any] = {"mapping": None, "dry_run": False, "again": False, "person": "test"}
    with db.begin() as connection:
        at = settings.clock().now()
        made = jobs.ask(connection, settings, at, kind="events", url=url, source="web", source_kind="web", **further)  # type: ignore[arg-type]
    return made.id


def told(db: Engine, id: Any) -> jobs.Job:
    with db.connect() as connection:
        return jobs.get(connection, id)


def parts_done(db: Engine) -> int:
    with db.connect() as connection:
        return sum(run.parts_done for run in runs.all_runs(connection))


def carrying(settings: Settings) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "onevoice", "import-jobs"], env={**os.environ, **as_environment(settings)}
    )
