"""Identifiers: one spelling for each, values that name nobody, rules to override, what a source can prove."""

import pytest

from onevoice.customers.identifiers import BLOCKED, RULES, SourceRules, identifier, rules
from onevoice.customers.naming import trust
from onevoice.kernel.errors import ConfigurationError

NOBODY = """
    0 -1 000 00000000-0000-0000-0000-000000000000 null NULL None nil NaN undefined anonymous Guest anon id distinct_id
    distinctId not_authenticated email n/a true False invalid void
"""


@pytest.mark.parametrize(
    "value", [*NOBODY.split(), "", " ", "[object Object]", '"null"', "'undefined'", '""', "x" * 1025, "a\n" * 600]
)
def test_values_of_careless_callers_name_nobody(value: str) -> None:
    assert BLOCKED.match(value)
    assert identifier("user_id", value) is None


@pytest.mark.parametrize("value", ["anna", "10", "a0", "x" * 1024, "null-1", "O'Brien", "-1-2", "identity"])
def test_other_values_are_taken(value: str) -> None:
    assert identifier("user_id", value) is not None


def test_a_phone_number_is_one_however_it_is_written_and_a_number_without_country_takes_the_sources() -> None:
    written = [("+39 347 123 4567", ""), ("347 1234567", "IT"), ("0039 347 1234567", "IT"), ("+393471234567", "DE")]
    assert {identifier("phone", value, RULES, country) for value, country in written} == {
        identifier("phone", "+393471234567")
    }
    assert identifier("phone", "347 1234567") is None
    assert identifier("phone", "not a number", RULES, "IT") is None


def test_an_e_mail_keeps_its_case_and_dots_but_a_domain_has_no_case() -> None:
    assert identifier("email", " Anna.Rossi@Example.COM ").value == "Anna.Rossi@example.com"
    assert identifier("email", "Anna@example.com") != identifier("email", "anna@example.com")
    assert identifier("email", "a.b@example.com") != identifier("email", "ab@example.com")
    assert identifier("email", "no-address") is None


def test_other_systems_names_are_ours() -> None:
    assert identifier("whatsapp_bsuid", "IT.131234") == identifier("whatsapp_id", "IT.131234")
    assert identifier("ios.idfa", "A-1") == identifier("advertising_id", "A-1")


def test_the_settings_override_the_table() -> None:
    made = rules(
        {
            "blocked": ["ABC123"],
            "namespaces": {"loyalty_card": {"limit": 2, "period_days": 0}, "crm": {"trust": "proven"}},
            "sources": {"tablet": {"shared": True}, "not-made-yet": {}},
        },
        {"tablet": 7},
    )
    assert (made.of("loyalty_card").limit, made.of("loyalty_card").period) == (2, None)
    assert made.of("loyalty_card").priority == RULES.of("loyalty_card").priority
    assert made.of("crm").trust == "proven"
    assert made.sources == {7: SourceRules(shared=True)}
    assert identifier("user_id", "abc123", made) is None


@pytest.mark.parametrize("wrong", [{"limits": 1}, {"namespaces": {"email": {"trust": "sure"}}}, {"country": 1}])
def test_a_wrong_rule_is_said_at_once(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match="identity"):
        rules(wrong, {})


def test_a_browser_claims_a_server_proves_and_a_shared_device_says_nothing() -> None:
    user, card, device = identifier("user_id", "u"), identifier("loyalty_card", "c"), identifier("anonymous_id", "d")
    plain = SourceRules()
    assert trust(user, card, "web", plain, RULES) == "claimed"
    assert trust(user, card, "web", SourceRules(proven=True), RULES) == "proven"
    assert trust(user, card, "server", plain, RULES) == "proven"
    assert trust(user, device, "server", plain, RULES) == "device"
    assert trust(user, device, "till", plain, RULES) is None
    assert trust(user, device, "web", SourceRules(shared=True), RULES) is None
    assert trust(user, card, "till", plain, RULES) == "proven"
