"""The suppression list keeps hashes, not addresses, and tells the warehouse once."""

import msgspec
import pytest
from sqlalchemy import Engine, select

from onevoice.customers import load, suppression
from onevoice.customers.facts import SUPPRESSIONS
from onevoice.customers.models import suppression as table
from onevoice.customers.schemas import SuppressionEntry
from onevoice.customers.suppression import Suppressed, address_hash
from onevoice.database import inbox
from onevoice.kernel.errors import InvalidInput
from onevoice.warehouse import Warehouse
from tests.conftest import NOW, entries_in

SECRET, OTHER = b"s" * 32, b"t" * 32


def test_an_address_is_the_same_in_any_case_and_another_on_each_channel_and_installation() -> None:
    hashed = address_hash(SECRET, "email", "Anna@Example.com")
    assert hashed == address_hash(SECRET, "email", "anna@example.COM")
    assert (
        len({hashed, address_hash(SECRET, "sms", "anna@example.com"), address_hash(OTHER, "email", "Anna@Example.com")})
        == 3
    )


def test_an_address_is_listed_once_with_its_first_reason_and_told_once(db: Engine) -> None:
    bounced = Suppressed("email", "anna@example.com", "bounced", NOW)
    with db.begin() as connection:
        assert suppression.suppress(connection, SECRET, [bounced], NOW) == 1
        complained = Suppressed("email", "ANNA@example.com", "complained", NOW)
        assert suppression.suppress(connection, SECRET, [complained, bounced], NOW) == 0
        assert [row.reason for row in connection.execute(select(table.c.reason))] == ["bounced"]
    with db.connect() as connection:
        ((*_, entry),) = inbox.read(connection, (0, 0), 10)
    told = msgspec.json.decode(entry.payload, type=SuppressionEntry)
    assert told == SuppressionEntry("email", address_hash(SECRET, "email", "anna@example.com").hex(), "bounced", NOW)
    assert b"anna" not in entry.payload


def test_reasons_finds_those_that_are_listed(db: Engine) -> None:
    listed, free = (("email", address_hash(SECRET, "email", name)) for name in ("a@x.example", "b@x.example"))
    with db.begin() as connection:
        suppression.suppress(connection, SECRET, [Suppressed("email", "a@x.example", "manual", NOW)], NOW)
        assert suppression.reasons(connection, [listed, free]) == {listed: "manual"}


def test_taking_an_address_off_wants_a_reason_and_is_remembered(db: Engine, store: Warehouse) -> None:
    listed = Suppressed("email", "anna@example.com", "bounced", NOW)
    with db.begin() as connection:
        suppression.suppress(connection, SECRET, [listed], NOW, actor="agent:Mara")
        with pytest.raises(InvalidInput, match="why"):
            suppression.release(connection, SECRET, "email", "anna@example.com", " ", NOW, "agent:Mara")
        assert not suppression.release(connection, SECRET, "sms", "anna@example.com", "typo", NOW, "agent:Mara")
        assert suppression.release(
            connection, SECRET, "email", "Anna@example.com", "she wrote to us", NOW, "agent:Mara"
        )
        told = suppression.changes(connection, SECRET, "email", "anna@example.com")
    assert [(row["added"], row["reason"], row["actor"]) for row in told] == [
        (False, "she wrote to us", "agent:Mara"),
        (True, "bounced", "agent:Mara"),
    ]
    entries = entries_in(db)
    load.load_suppressions(store, entries[:1])
    assert store.count(store.table(SUPPRESSIONS)) == 1
    load.load_suppressions(store, entries[1:])
    assert store.count(store.table(SUPPRESSIONS)) == 0
    load.load_suppressions(store, entries)
    assert store.count(store.table(SUPPRESSIONS)) == 0


def test_a_reason_that_is_none_is_refused(db: Engine) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput, match="dislike"):
        suppression.suppress(connection, SECRET, [Suppressed("email", "a@x.example", "dislike", NOW)], NOW)
