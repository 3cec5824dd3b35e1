"""YAML read as people mean it, and what our own writer writes read as it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onevoice.kernel.documents import document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{on: [monday], at: 18:30}", {"on": ["monday"], "at": "18:30"}),
        ("[NO, yes, off, y]", ["NO", "yes", "off", "y"]),
        ("[true, False, null, 0, -12, 1_000, 0012, 0x1F]", [True, False, None, 0, -12, 1000, "0012", 31]),
        ("[0.25, -1.5, .5, 1:30.5, 1.2.3]", [0.25, -1.5, 0.5, "1:30.5", "1.2.3"]),
    ],
)
def test_words_and_times_are_no_numbers_and_no_truth_values(text: str, expected: Any) -> None:
    assert document(text) == expected


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="ascii")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("onyesf01:.e-x_", max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(PLAIN)
def test_what_is_written_for_yaml_1_1_is_read_as_it_was(value: Any) -> None:
    assert document(yaml.safe_dump(value)) == value


@given(st.text("onyesf01:.e+-x_TFtrulan ", max_size=8))
def test_a_text_stays_a_text(value: str) -> None:
    assert document(yaml.safe_dump({"a": value})) == {"a": value}
