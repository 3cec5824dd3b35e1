"""Consents over HTTP: recorded, asked, told; the suppression list put to use."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.test_api import Shop, shop  # noqa: F401 - the fixture
from tests.conftest import NOW

WORD = {"value": "anna", "channel": "email", "topic": "offers", "state": "granted", "text": "Yes", "locale": "en"}


def post(shop: Shop, path: str, body: dict[str, Any], status: int = 200) -> Any:  # noqa: F811
    answer = shop.http.post(path, json=body, headers={"x-api-key": shop.key})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_what_was_said_is_written_down_with_its_text_and_told_with_the_reason(shop: Shop) -> None:  # noqa: F811
    wrote = post(shop, "/v1/consents", {**WORD, "how": "till", "actor": "agent:Mara", "evidence": {"till": 3}})
    assert (wrote["state"], wrote["new"]) == ("granted", True)
    assert not post(shop, "/v1/consents", {**WORD, "how": "till"})["new"]
    (held,) = shop.get("/v1/consents?value=anna")
    assert (held["state"], held["permitted"], held["reason"]) == ("granted", True, "granted")
    assert held["sentence"] == "The customer has consented."
    (told,) = shop.get("/v1/consents/history?value=anna")
    assert (told["text"], told["locale"], told["actor"], told["origin"]) == ("Yes", "en", "agent:Mara", "till")
    assert told["evidence"] == {"till": 3}
    (asked,) = shop.get("/v1/consents?value=anna&channel=sms&topic=offers")
    assert (asked["state"], asked["permitted"]) == ("none", False)


def test_in_germany_a_grant_must_be_confirmed(shop: Shop) -> None:  # noqa: F811
    refused = post(shop, "/v1/consents", {**WORD, "country": "DE"}, 400)
    assert "address" in refused["message"]
    wrote = post(shop, "/v1/consents", {**WORD, "country": "DE", "address": "anna@example.com"})
    assert wrote["state"] == "pending"
    assert shop.get("/v1/consents?value=anna")[0]["reason"] == "awaiting_confirmation"
    with shop.engine.database.connect() as connection:
        row = connection.execute(text("SELECT step, transactional, address FROM message")).one()
    assert tuple(row) == ("double_opt_in", 1, "anna@example.com")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": "maybe"}, "state"),
        ({"occurred_at": (NOW + timedelta(days=1)).isoformat()}, "ahead of us"),
        ({"value": "undefined"}, "cannot be a user_id"),
        ({"state": "soft_opt_in", "country": "AE"}, "no soft opt-in"),
        ({"double_opt_in": True}, "address"),
        ({"double_opt_in": True, "address": "nowhere"}, "cannot be one for email"),
        ({"actor": "nobody"}, "actor"),
        ({"topic": "a|b"}, "topic"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(shop: Shop, changes: dict[str, Any], why: str) -> None:  # noqa: F811
    assert why in post(shop, "/v1/consents", {**WORD, **changes}, 400)["message"]
    assert shop.get("/v1/consents?value=anna") == []


def test_the_suppression_list_is_added_to_asked_and_taken_from(shop: Shop) -> None:  # noqa: F811
    phone = {"channel": "sms", "address": "+39 333 123 4567"}
    assert post(shop, "/v1/suppressions", {**phone, "actor": "agent:Mara"}) == {"new": True}
    assert post(shop, "/v1/suppressions", phone) == {"new": False}
    found = post(shop, "/v1/suppressions/check", {"channel": "sms", "address": "+393331234567"})
    assert found["reason"] == "manual" and found["changes"][0]["actor"] == "agent:Mara"
    assert shop.get("/v1/suppressions") == [{"channel": "sms", "reason": "manual", "addresses": 1}]
    assert post(shop, "/v1/suppressions/remove", {**phone, "reason": "a typo"}) == {"removed": True}
    assert post(shop, "/v1/suppressions/check", phone)["reason"] is None
    assert "no reason" in post(shop, "/v1/suppressions", {**phone, "reason": "dislike"}, 400)["message"]
