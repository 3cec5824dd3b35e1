"""`onevoice consent`, `onevoice suppress`, and the documents of `onevoice apply`, as typed in a terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.customers import consent
from onevoice.customers.consent import Consent, policies, topics
from onevoice.customers.identifiers import Identifier
from tests.conftest import NOW


def test_a_customers_consents_are_shown_with_reason_and_text(typed: Any, db: Engine) -> None:
    anna = Identifier("email", "anna@example.com")
    with db.begin() as connection:
        word = Consent(anna.id, "email", "offers", "denied", NOW, "phone", text="No", locale="en", actor="agent:Mara")
        consent.record(connection, [word], NOW)
    status, out = typed("consent", "show", "email:anna@example.com", "--json")
    told = json.loads(out)
    assert status == 0 and told["now"][0]["reason"] == "The customer was asked and said no."
    assert told["history"][0]["text"] == "No"
    assert "agent:Mara" in typed("consent", "show", "email:anna@example.com", "--json")[1]


def test_an_address_goes_on_the_list_and_off_again(typed: Any) -> None:
    assert typed("suppress", "check", "email", "anna@example.com")[1].startswith("Not on the list")
    assert "Undo" in typed("suppress", "add", "email", "anna@example.com")[1]
    assert "already" in typed("suppress", "add", "email", "ANNA@example.com")[1]
    assert "On the list" in typed("suppress", "check", "email", "anna@example.com")[1]
    assert typed("suppress", "remove", "email", "anna@example.com", "--reason", "typo")[0] == 0
    assert typed("suppress", "remove", "email", "anna@example.com", "--reason", "typo")[0] == 1


@pytest.mark.parametrize(
    ("content", "expected", "status"),
    [
        ("a@x.example\nb@x.example\n\na@x.example\n", {"lines_taken": 3, "new": 2, "already_listed": 1, "bad": 0}, 0),
        ("address,reason\na@x.example,bounced\nnobody,\nb@x.example,dislike\n", {"lines_taken": 1, "new": 1}, 1),
        ("", {"lines_taken": 0, "new": 0}, 0),
    ],
)
def test_a_list_is_imported_and_bad_lines_are_named(
    typed: Any, tmp_path: Path, content: str, expected: dict[str, int], status: int
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(content)
    code, out = typed("suppress", "import", "email", str(file), "--json")
    (report,) = json.loads(out)
    assert code == status and report.items() >= expected.items()


def test_topics_and_policies_are_applied_from_a_folder(typed: Any, tmp_path: Path, db: Engine) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "consent.yaml").write_text(
        "{kind: consent_policy, name: ours, expiry: [{country: IT, months: 24}], double_opt_in: [{topic: news}]}\n"
        "---\n{kind: topic, name: news, titles: {en: News}}\n"
    )
    assert [row["changed"] for row in json.loads(typed("apply", str(folder), "--json")[1])] == [True, True]
    assert [row["changed"] for row in json.loads(typed("apply", str(folder), "--json")[1])] == [False, False]
    with db.connect() as connection:
        assert [one.months for one in policies.expiries(connection)] == [24]
        assert topics.named(connection, "news").title("it") == "News"
