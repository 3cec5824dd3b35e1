"""Processes to kill: a delivery worker of its own, started again as often as wanted, and what a crash test counts."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from random import Random

from sqlalchemy import Engine

from onevoice.delivery import worker
from onevoice.demo.doubles import SmtpSink
from onevoice.kernel.settings import Settings
from tests.delivery.sending import states

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["__main__", "onevoice.delivery.worker", "onevoice.engine.role"]
)  # imports are most of a start


def start_worker(settings: Settings) -> ForkServerProcess:
    """A delivery worker with these settings, in a process of its own."""
    return forked(worker.run, settings)


def forked(role: Callable[[Settings], None], settings: Settings) -> ForkServerProcess:
    """A role with these settings, in a process of its own."""
    process = _processes.Process(target=role, args=(settings,))
    process.start()
    return process


def kill(process: ForkServerProcess) -> None:
    """SIGKILL: no handler runs, nothing is written any more."""
    process.kill()
    process.join()


def kill_while_sending(
    settings: Settings, sink: SmtpSink, kills: int, random: Random, seconds: tuple[float, float]
) -> int:
    """Starts a worker and kills it a random while after its first message has arrived, `kills` times.

    Returns how often a message was under way or queued at the kill, so that a test can show that it hit.
    """
    hits = 0
    for _ in range(kills):
        process = start_worker(settings)
        before = sink.received.total()
        deadline = time.monotonic() + 20
        while sink.received.total() == before and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(random.uniform(*seconds))
        arrived = sink.received.total()
        kill(process)
        hits += arrived > before
    return hits


def finish(settings: Settings, db: Engine, seconds: float = 60.0) -> dict[str, int]:
    """Lets a last worker send the rest and end in good order; returns the number of messages in each state."""
    process = start_worker(settings)
    deadline = time.monotonic() + seconds
    try:
        while {"queued", "sending"} & set(states(db)) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.terminate()
        process.join(20)
    return states(db)


@dataclass(frozen=True)
class Count:
    """The queue against the sink."""

    states: dict[str, int]
    lost: int  # accepted by the queue's word, and not at the sink
    duplicates: int  # at the sink more than once, counted for each time too many
    in_doubt_arrived: int  # in doubt, and at the sink


def counted(db: Engine, sink: SmtpSink) -> Count:
    """Compares what the queue says with what arrived."""
    with db.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id::text, state FROM message").all()
    by_state = {state: {row[0] for row in rows if row[1] == state} for state in {row[1] for row in rows}}
    arrived = set(sink.received)
    return Count(
        states={state: len(ids) for state, ids in by_state.items()},
        lost=len(by_state.get("accepted", set()) - arrived),
        duplicates=sink.duplicates,
        in_doubt_arrived=len(by_state.get("in_doubt", set()) & arrived),
    )
