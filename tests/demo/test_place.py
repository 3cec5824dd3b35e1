"""A second run of the demo starts clean, and never removes what is not its own."""

import socket
from pathlib import Path

import pytest

from onevoice.demo.place import check_ports, claimed
from onevoice.kernel.errors import ConfigurationError


def test_a_second_run_starts_clean_and_says_so(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    with claimed(place) as cleared:
        assert not cleared
        (place / "postgres").mkdir()
        (place / "postgres" / "PG_VERSION").write_text("18")
        (place / "clock").write_bytes(b"")

    with claimed(place) as cleared:
        assert cleared
        assert [path.name for path in place.iterdir()] == [".onevoice-demo"]


def test_a_directory_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigurationError, match="--data-dir"), claimed(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(ConfigurationError, match="Another demo"), claimed(tmp_path):
        pass


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"{port}.*--smtp-port"):
            check_ports({"--smtp-port": port})
    with pytest.raises(ConfigurationError, match="twice"):
        check_ports({"--port": 9, "--smtp-port": 9})
