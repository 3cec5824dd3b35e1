"""The schema and the page of conditions say what the compiler takes: every example is valid, and every kind has one."""

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from onevoice.segments.compiler import leaves
from onevoice.segments.conditions import KINDS
from onevoice.segments.conditions.rfm import GROUPS
from onevoice.segments.schema import tree_schema
from onevoice.segments.tree import condition, kind_of
from tests.segments import test_compiler, test_conditions

PAGE = (Path(__file__).parents[2] / "docs/reference/segment-conditions.md").read_text()
EXAMPLES: list[Any] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_every_example_of_the_page_is_taken_and_valid_by_the_schema() -> None:
    check = jsonschema_rs.validator_for(tree_schema())
    for document in EXAMPLES:
        condition(document)
        check.validate(document)
    for document, _ in (*test_compiler.CASES, *test_conditions.CASES):
        check.validate(document)


def test_every_kind_has_an_example() -> None:
    shown = {kind_of(leaf).name for document in EXAMPLES for leaf in leaves(condition(document))}
    assert shown == {kind.name for kind in KINDS}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"orders": {"at_least": 1}, "not": {}},
        {"all": []},
        {"ordres": {"at_least": 1}},
        {"orders": {}},
        {"orders": {"at_least": 1, "at_most": 2}},
        {"event": {"name": "A", "at_least": 1, "exactly": 2}},
        {"not": {"trait": {"name": "city", "equal": "Roma"}}},
        {"rfm": {"group": "vip"}},
    ],
)
def test_the_schema_refuses_what_the_compiler_refuses(document: Any) -> None:
    assert not jsonschema_rs.validator_for(tree_schema()).is_valid(document)


def test_the_pages_table_of_groups_is_the_codes_and_every_cell_has_one_name() -> None:
    table = {
        name: {(int(r), int(f)) for r in recency.split(",") for f in frequency.split(",")}
        for name, recency, frequency in re.findall(r"^\| ([a-z_]+) \| ([\d, ]+) \| ([\d, ]+) \|$", PAGE, re.MULTILINE)
    }
    assert table == {name: set(cells) for name, cells in GROUPS.items()}
    assert sorted(cell for cells in GROUPS.values() for cell in cells) == [
        (r, f) for r in range(1, 6) for f in range(1, 6)
    ]
