"""The engine as a process: leader among all engines by an advisory lock, stepping in a loop, answering the api.

It steps as soon as something waits in the inbox, and otherwise every `engine_interval_seconds` for what time alone
changes.
"""

import signal
import threading
import time
from datetime import timedelta
from types import FrameType

from sqlalchemy import Connection, text

from onevoice import database
from onevoice.database import inbox
from onevoice.engine import backtests
from onevoice.engine.answers import serve
from onevoice.engine.engine import Engine
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings
from onevoice.warehouse import watermark

LOCK = "onevoice.engine"

SLICE = timedelta(milliseconds=200)
"""What a step gives to segments of which everybody must be asked; the next load waits for so long at most, and one."""

POLL_SECONDS = 0.05
"""Pause between two looks into the inbox; each costs the database well under a millisecond."""

STOPPING_SECONDS = 10.0
"""How long a back-test in work is waited for."""

log = logger("engine")


def run(settings: Settings) -> None:
    """Waits to be the leader, then steps until SIGTERM or SIGINT; a step in work is finished first."""
    stop = threading.Event()

    def stopping(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, stopping)
    signal.signal(signal.SIGINT, stopping)
    clock = settings.clock()
    with database.engine(settings).connect() as leadership:
        while not leadership.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": LOCK}):
            if stop.wait(1.0):
                return
        engine = Engine(settings)
        server = serve(engine)
        beside = threading.Thread(
            target=backtests.serve,
            args=(engine.warehouse.reader(), engine.database, engine.secret, clock, stop),
            name="backtests",
            daemon=True,
        )
        beside.start()
        log.info("leading", warehouse=settings.warehouse)
        try:
            while not stop.is_set():
                leadership.execute(text("SELECT 1"))  # a lost connection is a lost lock: better to end than to be two
                try:
                    report = engine.step(clock.now(), SLICE)
                except Exception:
                    log.exception("step failed")
                    stop.wait(settings.engine_interval_seconds)
                    continue
                if report.loaded or report.handed_off:
                    log.info("step", loaded=report.loaded, handed_off=report.handed_off)
                wait_for_entries(
                    leadership, watermark(engine.warehouse, "inbox"), stop, settings.engine_interval_seconds
                )
        finally:
            server.stop()
            beside.join(STOPPING_SECONDS)  # it looks up before its next instant
            engine.close()


def wait_for_entries(connection: Connection, mark: tuple[int, int], stop: threading.Event, seconds: float) -> None:
    """Until something waits in the inbox behind the mark, for so many seconds at most, or until the stop."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not inbox.is_waiting(connection, mark):
        if stop.wait(min(POLL_SECONDS, left)):
            return
