"""The inbox is read in order, whole, and never past an open transaction."""

from sqlalchemy import Engine

from onevoice.database import inbox
from onevoice.database.backlog import Backlog
from onevoice.database.inbox import Entry, Kind
from tests.conftest import NOW, entries_in


def entries(*payloads: bytes) -> list[Entry]:
    return [Entry(1, Kind.EVENT, NOW, payload) for payload in payloads]


def test_an_entry_of_a_transaction_that_commits_late_is_not_passed_over(db: Engine) -> None:
    with db.connect() as slow, db.connect() as fast, db.connect() as reader:
        inbox.append(slow, entries(b"slow"))  # takes its transaction id and sequence number first, commits last
        inbox.append(fast, entries(b"fast"))
        fast.commit()
        assert inbox.read(reader, (0, 0), 10) == []
        reader.commit()
        slow.commit()
    assert [entry.payload for entry in entries_in(db)] == [b"slow", b"fast"]


def test_reading_in_pieces_gives_every_entry_once(db: Engine) -> None:
    with db.begin() as connection:
        inbox.append(connection, entries(*(str(i).encode() for i in range(10))))
    entries_in(db)  # nobody else's transaction is in the way any more
    seen, mark = [], (0, 0)
    with db.connect() as connection:
        while rows := inbox.read(connection, mark, 3):
            seen += [int(entry.payload) for *_, entry in rows]
            mark = rows[-1][:2]
    assert seen == list(range(10))


def test_pruning_keeps_what_is_after_the_watermark(db: Engine) -> None:
    with db.begin() as connection:
        inbox.append(connection, entries(b"a", b"b"))
    entries_in(db)
    with db.begin() as connection:
        first = inbox.read(connection, (0, 0), 1)
        inbox.prune(connection, first[0][:2])
    assert [entry.payload for entry in entries_in(db)] == [b"b"]


def test_what_waits_is_told_without_reading_it_all_again(db: Engine) -> None:
    """Also what was begun before a look and committed after it; what was pruned counts for its span at most."""
    kept, seen = Backlog(span=2), list[bool]()
    with db.connect() as slow, db.connect() as reader:
        for number in range(24):
            if number == 5:
                inbox.append(slow, entries(b"slow"))
            if number == 17:
                slow.commit()
            with db.begin() as connection:
                inbox.append(connection, entries(b"a" * number))
            if number == 20:
                reader.commit()
                inbox.prune(reader, inbox.read(reader, (0, 0), 12)[-1][:2])
                reader.commit()
            (calls, size), fresh = kept.look(reader), Backlog(span=2).look(reader)
            exact = reader.exec_driver_sql("SELECT count(*), coalesce(sum(octet_length(payload)), 0) FROM inbox").one()
            reader.commit()
            seen.append((calls, size) == tuple(exact))
            assert fresh == tuple(exact)
            assert 0 <= calls - exact[0] < 2
    assert all(seen[:20])
