"""The suppression list keeps hashes, not addresses, and tells the warehouse once."""

import msgspec
from sqlalchemy import Engine, select

from onevoice.customers import suppression
from onevoice.customers.models import suppression as table
from onevoice.customers.schemas import SuppressionEntry
from onevoice.customers.suppression import Suppressed, address_hash
from onevoice.database import inbox
from tests.conftest import NOW

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
