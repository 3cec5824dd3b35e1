"""What a person said to a suggestion stays; what a run found takes the place of what was open."""

import pytest
from sqlalchemy import Engine

from onevoice.customers import suggestions
from onevoice.customers.schemas import FieldEvidence, Suggestion
from onevoice.kernel.errors import Conflict, NotFound
from tests.conftest import NOW


def pair(left: int, right: int, weight: float = 10.0) -> Suggestion:
    return Suggestion(left, right, weight, 0.99, -12.0, (FieldEvidence("email", "a@x.example", "a@x.example", 22.0),))


def test_a_run_replaces_what_was_open_and_leaves_what_was_decided(db: Engine) -> None:
    with db.begin() as connection:
        suggestions.keep(connection, [pair(1, 2), pair(3, 4), pair(5, 6)], NOW)
        suggestions.decide(connection, 4, 3, suggestions.REFUSED, "anna", "father and son", NOW)
        suggestions.decide(connection, 5, 6, suggestions.ACCEPTED, "anna", "", NOW)
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
