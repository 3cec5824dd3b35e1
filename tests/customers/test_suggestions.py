"""What a person said to a suggestion stays; what a run found takes the place of what was open."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, select

from onevoice.customers import suggestions
from onevoice.customers.models import identifier, identity_decision
from onevoice.customers.schemas import FieldEvidence, Suggestion
from onevoice.database.inbox import Kind
from onevoice.kernel.errors import Conflict, NotFound
from tests.conftest import NOW, entries_in

LATER = NOW + timedelta(hours=1)


def pair(left: int, right: int, weight: float = 10.0) -> Suggestion:
    return Suggestion(left, right, weight, 0.99, -12.0, (FieldEvidence("email", "a@x.example", "a@x.example", 22.0),))


def known(connection: Connection, *numbers: int) -> None:
    """Published identifiers, each a customer of its own."""
    for number in numbers:
        connection.execute(
            identifier.insert().values(
                identifier_id=number, namespace="loyalty_card", value=f"c{number}", customer_id=number
            )
        )


def test_a_run_replaces_what_was_open_and_leaves_what_was_decided(db: Engine) -> None:
    with db.begin() as connection:
        known(connection, 5, 6)
        suggestions.keep(connection, [pair(1, 2), pair(3, 4), pair(5, 6)], NOW)
        suggestions.decide(connection, 4, 3, suggestions.REFUSED, "anna", "father and son", NOW)
        suggestions.decide(connection, 6, 5, suggestions.ACCEPTED, "anna", "", NOW)
        assert suggestions.keep(connection, [pair(3, 4), pair(7, 8, 20.0)], NOW) == 1

        assert suggestions.refused(connection) == [(3, 4)]
        (open_one,) = suggestions.listed(connection)
        assert (open_one["left_customer_id"], open_one["evidence"][0]["field"]) == ("7", "email")
        assert suggestions.get(connection, 3, 4)["note"] == "father and son"


def test_a_decision_can_be_taken_back_and_is_not_taken_twice(db: Engine) -> None:
    with db.begin() as connection:
        suggestions.keep(connection, [pair(1, 2)], NOW)
        suggestions.decide(connection, 1, 2, suggestions.REFUSED, "anna", "", NOW)
        with pytest.raises(Conflict):
            suggestions.decide(connection, 1, 2, suggestions.REFUSED, "anna", "", NOW)
        back = suggestions.decide(connection, 2, 1, suggestions.OPEN, "anna", "", NOW)

        assert (back["state"], back["decided_by"]) == ("open", None)
        with pytest.raises(NotFound):
            suggestions.get(connection, 1, 3)


def test_an_acceptance_merges_and_opening_it_again_undoes_the_merge(db: Engine) -> None:
    with db.begin() as connection:
        known(connection, 1, 2)
        suggestions.keep(connection, [pair(1, 2)], NOW)
        suggestions.decide(connection, 1, 2, suggestions.ACCEPTED, "anna", "", NOW)
        suggestions.decide(connection, 1, 2, suggestions.OPEN, "bob", "", LATER)
        said = connection.execute(select(identity_decision).order_by(identity_decision.c.decided_at)).all()

    assert [(row.action, row.person, row.value, row.other_value) for row in said] == [
        ("merge", "anna", "c1", "c2"),
        ("undo", "bob", "c1", "c2"),
    ]
    assert "match weight of 10.0" in said[0].note
    assert [entry.kind for entry in entries_in(db)] == [Kind.IDENTITY, Kind.IDENTITY]


def test_who_is_not_known_any_more_cannot_be_merged(db: Engine) -> None:
    with db.begin() as connection:
        suggestions.keep(connection, [pair(1, 2)], NOW)
        with pytest.raises(NotFound, match="match run"):
            suggestions.decide(connection, 1, 2, suggestions.ACCEPTED, "anna", "", NOW)
