"""Clocks: one instant for all who share a file, and UTC at the warehouse's border."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from onevoice.kernel.clock import SharedClock, aware, naive


def test_a_moved_shared_clock_is_seen_by_all_readers(tmp_path: Path) -> None:
    start = datetime(2018, 1, 1, 9, 30, 0, 123456, tzinfo=UTC)
    mover = SharedClock(tmp_path / "clock", start)
    reader = SharedClock(tmp_path / "clock")
    assert reader.now() == start
    mover.move(start + timedelta(hours=3))
    assert reader.now() == start + timedelta(hours=3)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        naive(datetime(2026, 1, 1))


def test_the_warehouse_sees_utc() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=7)))
    assert naive(there) == datetime(2026, 1, 1, 5)
    assert aware(naive(there)) == there
