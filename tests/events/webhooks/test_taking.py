"""A signed delivery is taken in, once; an unsigned one is not; one of another shape is kept and can be mended."""

import base64
import hmac
import json
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import Engine, text

from onevoice.database.inbox import Kind
from onevoice.events import quarantine, replay, sources
from onevoice.events.sources import Source
from onevoice.events.webhooks import taking
from onevoice.events.webhooks.taking import Taken
from onevoice.kernel.errors import InvalidInput, NotFound, Unauthorized
from tests.conftest import NOW, entries_in
from tests.events.webhooks.payloads import shopify_customer, shopify_order, shopify_refund, woo_order

SECRET = "shh"


@pytest.fixture
def shop(db: Engine) -> Source:
    with db.begin() as connection:
        sources.ensure(connection, "shop", "server")
        return sources.take_webhooks(connection, "shop", "shopify", SECRET)


def signed(body: bytes, topic: str, secret: str = SECRET) -> dict[str, str]:
    signature = base64.b64encode(hmac.new(secret.encode(), body, sha256).digest()).decode()
    return {"x-shopify-topic": topic, "x-shopify-hmac-sha256": signature}


def deliver(db: Engine, shop: Source, topic: str, said: Any, headers: dict[str, str] | None = None) -> Taken:
    body = json.dumps(said).encode()
    with db.begin() as connection:
        return taking.deliver(connection, shop, headers or signed(body, topic), body, NOW, {})


def kinds(db: Engine) -> Counter[Kind]:
    return sum((Counter({entry.kind: entry.calls}) for entry in entries_in(db)), Counter())


def test_a_delivery_is_taken_once_however_often_it_is_sent(db: Engine, shop: Source) -> None:
    order = shopify_order(refunds=[shopify_refund()])

    assert deliver(db, shop, "orders/create", order) == Taken(events=3)
    assert deliver(db, shop, "orders/create", order) == Taken(deduplicated=3)
    assert deliver(db, shop, "refunds/create", shopify_refund()) == Taken(deduplicated=1)
    assert kinds(db) == {Kind.EVENT: 3}


def test_a_customers_consent_goes_into_the_ledger_with_the_shops_proof(db: Engine, shop: Source) -> None:
    assert deliver(db, shop, "customers/create", shopify_customer()) == Taken(events=1, consents=1)
    with db.connect() as connection:
        (row,) = connection.execute(text("SELECT state, channel, topic, origin, evidence FROM consent_ledger"))
    assert (row.state, row.channel, row.topic, row.origin) == ("granted", "email", "*", "webhook")
    assert row.evidence["opt_in_level"] == "confirmed_opt_in"


@pytest.mark.parametrize("secret", ["", "another"])
def test_a_delivery_with_a_wrong_signature_is_not_taken(db: Engine, shop: Source, secret: str) -> None:
    body = json.dumps(shopify_order()).encode()
    with pytest.raises(Unauthorized):
        deliver(db, shop, "orders/create", shopify_order(), signed(body, "orders/create", secret))
    with pytest.raises(Unauthorized):
        deliver(db, shop, "orders/create", shopify_order(), {"x-shopify-topic": "orders/create", "x": "y"})
    assert kinds(db) == {}


def test_a_source_without_a_secret_and_a_disabled_one_take_nothing(db: Engine, shop: Source) -> None:
    with db.begin() as connection:
        plain = sources.ensure(connection, "plain", "web")
        off = sources.disable(connection, "shop", NOW)
        with pytest.raises(InvalidInput):
            sources.take_webhooks(connection, "plain", "magento", "x")
    for source in (plain, off):
        with pytest.raises(NotFound):
            deliver(db, source, "orders/create", shopify_order())


def test_a_delivery_of_another_shape_is_kept_and_taken_once_it_is_mended(db: Engine, shop: Source) -> None:
    broken = shopify_order()
    del broken["subtotal_price"]
    assert deliver(db, shop, "orders/create", broken) == Taken(quarantined=1)
    with db.connect() as connection:
        (held,) = quarantine.listed(connection)
    assert held.refused.reason == "webhook" and "subtotal_price" in held.refused.detail

    with db.begin() as connection, pytest.raises(InvalidInput, match="another shape"):
        replay.replay(connection, held.number, NOW, {})
    mended = {"platform": "shopify", "topic": "orders/create", "body": shopify_order()}
    with db.begin() as connection:
        assert replay.replay(connection, held.number, NOW, {}, json.dumps(mended).encode()) == "replayed"
    assert kinds(db) == {Kind.EVENT: 2}


def test_a_topic_of_no_interest_and_woocommerces_greeting_are_answered_and_nothing_is_kept(
    db: Engine, shop: Source
) -> None:
    assert deliver(db, shop, "themes/publish", {"id": 1}) == Taken()
    with db.begin() as connection:
        woo = sources.take_webhooks(connection, "shop", "woocommerce", SECRET)
        body = b"webhook_id=5"
        signature = signed(body, "")["x-shopify-hmac-sha256"]
        assert taking.deliver(connection, woo, {"x-wc-webhook-signature": signature}, body, NOW, {}) == Taken()
        order = json.dumps(woo_order()).encode()
        signature = signed(order, "")["x-shopify-hmac-sha256"]
        headers = {"x-wc-webhook-signature": signature, "x-wc-webhook-topic": "order.created"}
        assert taking.deliver(connection, woo, headers, order, NOW, {}) == Taken(events=2)
