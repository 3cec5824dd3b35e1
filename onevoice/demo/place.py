"""The demo's data directory: made by the demo, held by one run at a time, emptied at the next start."""

import fcntl
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from onevoice.kernel.errors import ConfigurationError

MARKER = ".onevoice-demo"
"""The file that says a directory is the demo's own; without it nothing is removed."""


@contextmanager
def claimed(directory: Path) -> Iterator[bool]:
    """Holds the directory for this run, empty but for the marker; yields whether an earlier run was cleared away.

    Raises ConfigurationError where the directory holds anything that the demo did not put there, or another demo runs
    in it.
    """
    marker = directory / MARKER
    if directory.exists() and any(directory.iterdir()) and not marker.exists():
        raise ConfigurationError(
            f"{directory} is not empty and not a demo's; name another place with --data-dir, it is made if missing"
        )
    directory.mkdir(parents=True, exist_ok=True)
    with marker.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"Another demo runs in {directory}; stop it, or use another --data-dir") from error
        left = [path for path in directory.iterdir() if path != marker]
        for path in left:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield bool(left)


def check_ports(ports: Mapping[str, int], host: str = "127.0.0.1") -> None:
    """Raises ConfigurationError where one of the ports, given by option, is taken or named twice."""
    for option, port in ports.items():
        if list(ports.values()).count(port) > 1:
            raise ConfigurationError(f"Port {port} is named twice; give {option} another")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise ConfigurationError(f"Port {port} is taken; choose another with {option}") from error
