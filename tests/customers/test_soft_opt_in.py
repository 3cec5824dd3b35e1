"""The reference page about soft opt-in says what the table says."""

from pathlib import Path

import pytest

from onevoice.customers.consent import soft_opt_in

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "soft-opt-in.md"


def table() -> str:
    """The table as the page must have it."""
    rows = [
        f"| {one.country} | {', '.join(one.channels) or 'none'} | {one.months or ''} | {one.rule} | {one.source} "
        f"| {one.note} |"
        for one in sorted(soft_opt_in.limits().values(), key=lambda one: one.country)
    ]
    head = ["| country | channels | months | rule | source | note |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def test_the_page_holds_the_table() -> None:
    assert table() in PAGE.read_text("utf-8")


@pytest.mark.parametrize("limit", soft_opt_in.limits().values(), ids=lambda limit: limit.country)
def test_each_row_has_its_rule_and_its_source(limit: soft_opt_in.Limit) -> None:
    assert len(limit.country) == 2 and limit.country.isupper()
    assert limit.rule and limit.source
    assert set(limit.channels) <= {"email", "sms"}


def test_italy_lets_a_purchase_count_for_e_mail_alone_and_ireland_for_a_year() -> None:
    assert "IT" in soft_opt_in.allowed("email") and "IT" not in soft_opt_in.allowed("sms")
    assert soft_opt_in.allowed("email")["IE"] == 12
    assert "push" not in [channel for limit in soft_opt_in.limits().values() for channel in limit.channels]
