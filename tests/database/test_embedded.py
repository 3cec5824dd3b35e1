"""The embedded PostgreSQL is started again after a kill, however long what it left behind takes to go."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from onevoice.database import embedded


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="onevoice-embedded-") as made:
        yield Path(made)


def test_a_killed_server_is_started_again_once_its_last_child_is_gone(data_dir: Path) -> None:
    with psycopg.connect(embedded.url(data_dir)) as connection:
        child = psutil.Process(connection.info.backend_pid)
        server = child.parent()
        assert server is not None
        child.suspend()  # a child that lives holds the server's shared memory
        server.kill()
        server.wait(10)
        threading.Timer(0.7, child.resume).start()
        assert not psycopg.connect(embedded.url(data_dir)).closed
