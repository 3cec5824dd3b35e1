"""Lift, power and recommendations as a client and as a terminal ask for them."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from onevoice.cli.main import app
from onevoice.journeys import service as journeys
from tests.api.test_api import Shop, shop, step
from tests.conftest import NOW
from tests.journeys.builders import journey

__all__ = ["shop"]


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a command against the shop's engine; returns its exit status and output."""
    settings = shop.engine.settings
    for name, value in {
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": str(settings.data_dir),
        "ENGINE_PORT": str(settings.engine_port),
    }.items():
        monkeypatch.setenv(f"ONEVOICE_{name}", value)

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(words))
        return result.exit_code, result.output + (str(result.exception) if result.exception else "")

    return run


def test_results_are_told_over_http_and_in_the_terminal(shop: Shop, typed: Any) -> None:
    for who in ("anna", "bob"):
        for order in ("1", "2"):
            products = [{"product_id": "milk", "price": 2.0, "quantity": 1}]
            told = {"order_id": f"{who}{order}", "revenue": 2.0, "products": products}
            shop.send("track", userId=who, event="Order Completed", properties=told)
    step(shop)
    lift = shop.get("/v1/journeys/win-back/lift")
    assert lift["treated"]["n"] + lift["holdout"]["n"] == 2 and lift["verdict"] == "open"
    power = shop.get("/v1/power?segment=dormant&holdout=0.5")
    assert power["at_launch"] == 2 and power["baseline"]["people"] == 2
    customer_id = shop.get("/v1/customers?search=anna")["customers"][0]["customer_id"]
    habits = shop.get(f"/v1/customers/{customer_id}/habits?channel=sms&channel=email")
    assert [one["channel"] for one in habits["channels"]] == ["sms", "email"]
    nothing = shop.http.get("/v1/journeys/win-back/variants/x", headers={"authorization": f"Bearer {shop.key}"})
    assert nothing.status_code == 404 and "split" in nothing.json()["message"]
    best = shop.get("/v1/recommendations")
    assert best["methods"]["frequent"] == {"hit_rate": 1.0, "recall": 1.0, "ndcg": 1.0, "customers": 2}

    status, out = typed("lift", "win-back")
    assert status == 0 and "No effect is shown yet" in out
    status, out = typed("power", "--segment", "dormant", "--json")
    assert status == 0 and json.loads(out)[0]["at_launch"] == 2
    assert typed("recommendations")[0] == 0


def test_a_launch_says_how_large_an_effect_will_be_seen_with_the_hold_out(shop: Shop, typed: Any) -> None:
    for number in range(8):
        told = {"order_id": str(number), "revenue": 2.0, "products": []}
        shop.send("track", userId=f"u{number}", event="Order Completed", properties=told)
    step(shop)
    with shop.engine.database.begin() as connection:
        journeys.save(connection, journey(name="held", holdout=0.5, status="draft").definition, NOW)
    out = " ".join(typed("journey", "launch", "held", "--anyway", "--locale", "ro")[1].split())
    assert "Cu un grup exclus de 50 %, de patru ori din cinci se vede un efect de cel puțin: " in out
    assert "puncte procentuale după 28 de zile" in out


def test_who_would_enter_must_be_said(shop: Shop, typed: Any) -> None:
    answer = shop.http.get("/v1/power", headers={"authorization": f"Bearer {shop.key}"})
    assert answer.status_code == 400 and "segment" in answer.json()["message"]
    assert "--segment" in typed("power")[1]
    assert shop.http.get("/v1/journeys/none/lift", headers={"authorization": f"Bearer {shop.key}"}).status_code == 404
