"""Processes to kill: a delivery worker of its own, started again as often as wanted, and what a crash test counts."""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

from sqlalchemy import Engine

from onevoice.delivery import worker
from onevoice.demo.doubles import SmtpSink
from onevoice.kernel.settings import Settings

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
