"""`onevoice serve`: the three roles on one machine, each a process, started again when it dies; or one alone."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import FrameType

from onevoice import database
from onevoice.api import keys
from onevoice.cli.kinds import Role
from onevoice.database import embedded as embedded_server
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings, as_environment

log = logger("serve")

STOP_SECONDS = 30
"""How long a role may take to finish what is in flight before it is killed."""


def run_role(role: Role, settings: Settings) -> None:
    """Runs one role in this process until SIGTERM."""
    if role is Role.API:
        from onevoice.api.app import run as run_api

        run_api(settings)
    elif role is Role.ENGINE:
        from onevoice.engine.role import run as run_engine

        run_engine(settings)
    else:
        from onevoice.delivery.worker import run as run_deliver

        run_deliver(settings)


def prepared(settings: Settings) -> Settings:
    """Settings with the database started and migrated, its URL filled in for child processes."""
    ready = replace(settings, database_url=database.url(settings))
    database.migrate(ready)
    ready.secret()
    return ready


def spawn(role: Role, settings: Settings) -> "subprocess.Popen[bytes]":
    """Starts a role as a child process with exactly these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONEVOICE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "onevoice", "serve", "--role", role.value],
        env={**kept, **as_environment(settings)},
    )


def supervise(settings: Settings, roles: tuple[Role, ...] = tuple(Role), *, embedded: bool = False) -> None:
    """Keeps the roles, and with `embedded` the PostgreSQL in the data directory, running until SIGINT or SIGTERM.

    Then stops the roles in good order.
    """
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    children = {role: spawn(role, settings) for role in roles}
    while not stopping:
        if embedded and not embedded_server.is_running(settings.data_dir):
            _revive(settings)
        for role, child in children.items():
            if child.poll() is not None and not stopping:
                log.error("role died, starting it again", role=role.value, status=child.returncode)
                time.sleep(1.0)
                children[role] = spawn(role, settings)
        time.sleep(0.2)
    stop_all(list(children.values()))


def _revive(settings: Settings) -> None:
    log.error("PostgreSQL died, starting it again")
    try:
        embedded_server.url(settings.data_dir)
    except Unavailable as error:
        log.error("PostgreSQL did not start, trying again", error=error.message)
        time.sleep(1.0)


def stop_all(children: list["subprocess.Popen[bytes]"]) -> None:
    """SIGTERM to all, time to finish, then SIGKILL to who has not."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("role did not stop in time and was killed", pid=child.pid)
            child.kill()
            child.wait()


def first_key(settings: Settings) -> str:
    """The page's key: made at the first start, else read from its file; empty where the file is gone."""
    pool = database.engine(settings)
    file, key = keys.first(pool, settings)
    pool.dispose()
    if key is None and file.exists():
        key = file.read_text().strip()
    return key or ""
