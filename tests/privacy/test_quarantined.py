"""The quarantine is looked into: whose entry it is stands in what came, however it was written."""

import pytest
from sqlalchemy import Engine

from onevoice.events import quarantine
from onevoice.events.quarantine import Refused
from onevoice.privacy import quarantined
from tests.conftest import NOW


@pytest.mark.parametrize(
    ("payload", "texts", "is_theirs"),
    [
        (b'{"userId": "anna-1"}', ["anna-1"], True),
        (b'{"userId": "anna-12"}', ["anna-1"], False),
        (b'{"userId": 4711}', ["4711"], True),
        (b'{"properties": {"product_id": "4711"}}', ["4711"], False),
        (b'{"properties": {"email": "Anna@Example.com"}}', ["Anna@Example.com"], True),
        (b'{"traits": {"deep": [{"x": "anna@example.com"}]}}', ["anna@example.com"], True),
        ('{"userId": "zoë_%"}'.encode(), ["zoë_%"], True),
        (b'{"userId": "zo\\u00eb_%"}', ["zoë_%"], True),
        (b'{"userId": "zoexx"}', ["zoë_%"], False),
        (b'{"broken": "anna@example.com', ["anna@example.com"], True),
        (b'{"broken": "12', ["12"], False),
        (b'{"userId": "x"}', [], False),
    ],
)
def test_whose_an_entry_is(db: Engine, payload: bytes, texts: list[str], is_theirs: bool) -> None:
    with db.begin() as connection:
        quarantine.add(connection, [Refused(1, NOW, "invalid_call", "", payload)])
        assert bool(quarantined.of(connection, texts)) == is_theirs
