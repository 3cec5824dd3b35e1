"""Ids are the same wherever they are made, and fit their columns."""

from hypothesis import given
from hypothesis import strategies as st

from onevoice.kernel.ids import fact_id, identifier_id


@given(st.text(), st.text())
def test_an_identifier_id_fits_a_signed_64_bit_column(namespace: str, value: str) -> None:
    assert 0 <= identifier_id(namespace, value) < 2**63


def test_ids_do_not_change_between_releases() -> None:
    assert identifier_id("user_id", "anna") == 86014283906076045
    assert fact_id("event", 1, "m1").hex == "2ef46b637a5b8266a616b141a9d4544e"


def test_the_parts_of_a_fact_do_not_run_together() -> None:
    assert fact_id("a", "bc") != fact_id("ab", "c")
