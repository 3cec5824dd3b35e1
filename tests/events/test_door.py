"""The door: the same event comes in once, whoever brings it, however often and however many at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.database import inbox
from onevoice.database.inbox import Entry, Kind
from onevoice.events import door, tracking
from onevoice.events.committer import Brought, Committer
from onevoice.events.pressure import Pressure
from onevoice.kernel.clock import FixedClock
from onevoice.kernel.errors import TooMany, Unavailable
from onevoice.kernel.settings import Settings
from tests.conftest import NOW, entries_in


def brought(*message_ids: str, source: int = 1) -> Brought:
    keys = [door.key(source, message_id) for message_id in message_ids]
    return Brought(source, NOW, [f'{{"message_id":"{one}"}}'.encode() for one in message_ids], keys)


def test_the_same_batch_fifty_times_at_once_comes_in_once(settings: Settings, db: Engine) -> None:
    ids = [f"m{number}" for number in range(100)]

    async def play() -> list[int]:
        processes = [Committer(settings, FixedClock(NOW)) for _ in range(3)]
        for one in processes:
            await one.start()
        # Some backwards: who takes keys in another order must not wait for another for ever.
        tasks = [processes[turn % 3].take(brought(*(ids if turn % 2 else reversed(ids)))) for turn in range(50)]
        held = await asyncio.gather(*tasks)
        for one in processes:
            await one.stop()
        return [len(duplicates) for duplicates in held]

    held = asyncio.run(play())
    assert sum(100 - duplicates for duplicates in held) == 100
    lines = [entry.payload for entry in entries_in(db)]
    assert len(lines) == len(set(lines)) == 100


def test_tracking_and_imports_share_the_door(settings: Settings, db: Engine) -> None:
    def imported(_turn: int) -> int:
        with db.begin() as connection:
            return door.enter(connection, 1, NOW, [(f"m{n}", f'{{"message_id":"m{n}"}}'.encode()) for n in range(50)])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(imported, range(16))) == 50

    async def tracked() -> list[int]:
        committer = Committer(settings, FixedClock(NOW))
        await committer.start()
        held = await committer.take(brought("m49", "new", "m0", "new"))
        await committer.stop()
        return list(held)

    assert asyncio.run(tracked()) == [0, 2, 3]
    assert len(entries_in(db)) == 51


def test_a_transaction_that_is_undone_leaves_no_key_behind(db: Engine) -> None:
    with db.connect() as connection:
        assert door.enter(connection, 1, NOW, [("m", b"{}")]) == 1
        connection.rollback()
    with db.begin() as connection:
        assert door.enter(connection, 1, NOW, [("m", b"{}"), ("m", b"{}")]) == 1
        assert door.enter(connection, 2, NOW, [("m", b"{}")]) == 1


def test_a_message_id_is_known_for_thirty_days_and_forgotten_after_sixty(db: Engine) -> None:
    def after(days: int, message_id: str = "m") -> int:
        with db.begin() as connection:
            door.forget(connection, NOW + timedelta(days=days))
        with db.begin() as connection:
            return door.enter(connection, 1, NOW, [(message_id, b"{}"), ("steady", b"{}")])

    assert after(0) == 2
    assert after(29, "late") == 1
    assert after(31, "late") == 0  # a new generation began; the older is looked into
    assert after(59, "m") == 0
    assert after(61, "m") == 2  # forgotten, and `steady` too: it was only seen, not taken again


def test_the_answer_names_the_duplicates_by_their_place(settings: Settings, db: Engine) -> None:
    async def play() -> list[dict[str, Any]]:
        committer = Committer(settings, FixedClock(NOW))
        await committer.start()
        answers = []
        for batch in ("a", "b"), ("b", "", "c", "c"):
            calls = ",".join(f'{{"type":"page","userId":"{"u" * bool(i)}","messageId":"{i}"}}' for i in batch)
            intake = tracking.take(tracking.read(f'{{"batch":[{calls}]}}'.encode(), None), 1, NOW)
            answers.append(intake.answer(await committer.take(intake.brought)))
        await committer.stop()
        return answers

    first, second = asyncio.run(play())
    assert (first["accepted"], first["deduplicated"], first["report"]) == (2, 0, [])
    assert (second["accepted"], second["deduplicated"], second["quarantined"]) == (1, 2, 1)
    said = [(one["index"], one["code"]) for one in second["report"]]
    assert said == [(0, "duplicate"), (1, "no_identifier"), (3, "duplicate")]


@pytest.mark.parametrize("limit", [{"inbox_limit_mb": 0}, {"disk_reserve_mb": 10**9}])
def test_a_full_inbox_and_a_full_disk_are_told_to_come_again(
    settings: Settings, db: Engine, limit: dict[str, int]
) -> None:
    with db.begin() as connection:
        inbox.append(connection, [Entry(1, Kind.EVENT, NOW, b"{}")])
    pressure = Pressure(replace(settings, **limit), FixedClock(NOW))

    async def watched() -> None:
        watching = asyncio.create_task(pressure.watch())
        try:
            for _ in range(200):
                pressure.check()
                await asyncio.sleep(0.02)
        finally:
            watching.cancel()

    with pytest.raises(TooMany) as told:
        asyncio.run(watched())
    assert told.value.status == 429 and (told.value.retry_after or 0) > 0


def test_a_full_disk_of_the_database_is_a_503_and_over_when_there_is_room(settings: Settings, db: Engine) -> None:
    """PostgreSQL itself says 53100 here, by a function in the place of `admit`; no disk is filled."""
    full = "CREATE FUNCTION admit(UUID[]) RETURNS UUID[] LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'"

    def run(*statements: str) -> None:
        with db.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    async def play() -> None:
        committer = Committer(settings, FixedClock(NOW))
        await committer.start()
        run("ALTER FUNCTION admit(UUID[]) RENAME TO admit_with_room", full)
        with pytest.raises(Unavailable, match="disk is full") as told:
            await committer.take(brought("m"))
        assert (told.value.status, told.value.retry_after) == (503, 10)
        run("DROP FUNCTION admit(UUID[])", "ALTER FUNCTION admit_with_room(UUID[]) RENAME TO admit")
        assert await committer.take(brought("m")) == []
        await committer.stop()

    asyncio.run(play())
    assert len(entries_in(db)) == 1
