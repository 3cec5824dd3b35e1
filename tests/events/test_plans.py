"""A tracking plan says what an event must look like; what is wrong with one is named with its place."""

import asyncio

import pytest
from sqlalchemy import Engine

from onevoice.events import plans
from onevoice.events.plans import Plan, Plans, Violation
from onevoice.kernel.errors import InvalidInput, NotFound
from tests.conftest import NOW

SCHEMA = {"type": "object", "required": ["product_id"], "properties": {"price": {"type": "number", "minimum": 0}}}
VIEWED = {"kind": "tracking_plan", "name": "Product Viewed", "on_violation": "quarantine", "schema": SCHEMA}


def test_an_event_that_meets_its_plan_has_no_problem_and_another_is_told_where() -> None:
    viewed = plans.plan(VIEWED)

    assert viewed.problem(b'{"product_id": "p1", "price": 3.5}') == ""
    assert "product_id" in viewed.problem(b"{}")
    assert viewed.problem(b'{"product_id": "p1", "price": -1}').startswith("price: ")


def test_an_event_without_a_plan_of_its_own_meets_the_plan_of_the_rest() -> None:
    planned = {"Product Viewed": plans.plan(VIEWED), "*": plans.plan({"name": "*", "schema": False})}

    def chosen(call_type: str, event: str) -> Plan | None:
        return plans.plan_for(planned, call_type, event)

    assert chosen("track", "Product Viewed") is planned["Product Viewed"]
    assert chosen("track", "Prodcut Viewed") is planned["*"] and planned["*"].problem(b"{}")
    assert chosen("identify", "") is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": ""}, "name"),
        ({"on_violation": "explode"}, "on_violation"),
        ({"schema": "none"}, "schema"),
        ({"schema": {"type": "objectt"}}, "schema"),
        ({"schema": {"$ref": "http://127.0.0.1/secret"}}, "only references within the schema"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_when_saved(db: Engine, changed: dict, named: str) -> None:
    with db.begin() as connection, pytest.raises(InvalidInput, match=named):
        plans.save(connection, {**VIEWED, **changed}, NOW)


def test_a_plan_is_saved_with_a_version_and_can_be_brought_back(db: Engine) -> None:
    with db.begin() as connection:
        assert plans.save(connection, VIEWED, NOW) == (1, True)
        assert plans.save(connection, VIEWED, NOW) == (1, False)
        assert plans.save(connection, {**VIEWED, "on_violation": "warn"}, NOW) == (2, True)
        document = plans.delete(connection, "Product Viewed")
        assert plans.all_plans(connection) == []
        assert plans.save(connection, document, NOW) == (1, True)
        with pytest.raises(NotFound):
            plans.delete(connection, "Product Clicked")


def test_warnings_are_counted_by_what_is_wrong(db: Engine) -> None:
    with db.begin() as connection:
        plans.warn(connection, [Violation("A", 1, "price: x", f"m{n}") for n in range(3)], NOW)
        plans.warn(connection, [Violation("A", 1, "price: x", "m9"), Violation("A", 2, "price: x", "m1")], NOW)
        found = {(row["event"], row["source_id"]): row for row in plans.warnings(connection)}

    assert found["A", 1]["times"] == 4 and found["A", 1]["example"] == "m9"
    assert found["A", 2]["times"] == 1


def test_after_a_silence_a_call_is_held_to_the_plan_as_it_is_now(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> list[set[str]]:
        held = Plans(db)
        before = set(await held.current())
        with db.begin() as connection:
            plans.save(connection, VIEWED, NOW)
        at_once = set(await held.current())
        monkeypatch.setattr(plans, "REFRESH_SECONDS", 0.01)
        await asyncio.sleep(0.1)
        return [before, at_once, set(await held.current())]

    assert asyncio.run(play()) == [set(), set(), {"Product Viewed"}]
