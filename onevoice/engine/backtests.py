"""The engine's back-tests: taken up one at a time, in a thread of their own, on a connection of their own.

Steps and answers go on beside it; they share the machine, not the connection.
"""

import threading
from typing import Any
from uuid import UUID

from sqlalchemy import Engine as Database
from sqlalchemy import Row

from onevoice.customers.consent import everybody
from onevoice.engine.load import TABLES
from onevoice.journeys import backtests
from onevoice.journeys.backtest.replay import Cancelled
from onevoice.journeys.backtest.trial import Trial, tried
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import OneVoiceError
from onevoice.kernel.log import logger
from onevoice.warehouse import INTERRUPTED, QUERY_ERRORS, Warehouse

LOOK_SECONDS = 0.5
"""Pause between two looks whether somebody waits for a back-test."""

log = logger("backtests")


def serve(warehouse: Warehouse, database: Database, secret: bytes, clock: Clock, stop: threading.Event) -> None:
    """Runs what waits until the stop; one in work is then given up, and begun anew by the next engine."""
    is_begun = False
    while not stop.wait(LOOK_SECONDS):
        try:
            if not is_begun:
                with database.begin() as connection:
                    backtests.resume(connection)
                is_begun = True
            while not stop.is_set() and run_next(warehouse, database, secret, clock, stop):
                pass
        except Exception:
            log.exception("back-tests stopped")  # such as by a database that is away; what ran is begun anew
            is_begun = False


def run_next(
    warehouse: Warehouse,
    database: Database,
    secret: bytes,
    clock: Clock,
    stop: threading.Event | None = None,
    number: UUID | None = None,
) -> bool:
    """Runs the one that has waited longest, or this one; False where it does not wait."""
    with database.begin() as connection:
        row = backtests.take(connection, clock.now(), number)
    if row is None:
        return False
    try:
        trial = _tried(warehouse, database, secret, row, stop or threading.Event())
    except (Cancelled, INTERRUPTED):
        with database.begin() as connection:
            if stop is None or not stop.is_set():  # else it goes on with the next engine
                backtests.end(connection, row.id, "cancelled", clock.now())
        return True
    except (OneVoiceError, *QUERY_ERRORS) as error:
        log.warning("back-test failed", journey=row.journey, error=str(error))
        with database.begin() as connection:
            backtests.end(connection, row.id, "failed", clock.now(), str(error))
        return True
    with database.begin() as connection:
        backtests.finish(connection, row.id, trial, clock.now())
    return True


def _tried(warehouse: Warehouse, database: Database, secret: bytes, row: Row[Any], stop: threading.Event) -> Trial:
    with database.connect() as connection:
        plan = backtests.plan_of(connection, row)
        words = everybody.said_since(connection, plan.window.start)

    def watch(share: float) -> bool:
        with database.begin() as connection:
            return backtests.come(connection, row.id, share) and not stop.is_set()

    return tried(warehouse, TABLES, plan, secret, words, watch)
