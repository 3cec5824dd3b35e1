"""Deliveries as the platforms send them, made up: one shop, one customer, an order of two lines."""

from typing import Any

Json = dict[str, Any]


def shopify_customer(**changed: Any) -> Json:
    return {
        "id": 71001,
        "email": "chiara@example.com",
        "first_name": "Chiara",
        "last_name": "Conti",
        "phone": "+390655501234",
        "updated_at": "2026-03-01T09:00:00+01:00",
        "default_address": {"city": "Roma", "zip": "00184", "country_code": "IT"},
        "email_marketing_consent": {
            "state": "subscribed",
            "opt_in_level": "confirmed_opt_in",
            "consent_updated_at": "2026-02-27T08:00:00+01:00",
        },
        "sms_marketing_consent": {"state": "not_subscribed", "consent_updated_at": None},
        **changed,
    }


def shopify_order(**changed: Any) -> Json:
    return {
        "id": 5001,
        "name": "#1001",
        "email": "chiara@example.com",
        "created_at": "2026-03-01T10:00:00+01:00",
        "processed_at": "2026-03-01T10:00:00+01:00",
        "updated_at": "2026-03-01T10:00:05+01:00",
        "cancelled_at": None,
        "currency": "EUR",
        "subtotal_price": "45.00",
        "total_discounts": "5.00",
        "total_price": "50.00",
        "total_tax": "8.11",
        "total_shipping_price_set": {"shop_money": {"amount": "5.00", "currency_code": "EUR"}},
        "discount_codes": [{"code": "SPRING", "amount": "5.00", "type": "fixed_amount"}],
        "checkout_token": "chk1",
        "cart_token": "crt1",
        "source_name": "web",
        "test": False,
        "customer": shopify_customer(),
        "line_items": [
            shopify_line(1, "Moka pot", "20.00", 2, discount="5.00"),
            shopify_line(2, "Coffee 1 kg", "10.00", 1),
        ],
        "refunds": [],
        **changed,
    }


def shopify_line(number: int, title: str, price: str, quantity: int, discount: str = "0.00") -> Json:
    return {
        "id": 9000 + number,
        "product_id": 300 + number,
        "variant_id": 3000 + number,
        "sku": f"SKU-{number}",
        "title": title,
        "vendor": "Bialetti",
        "variant_title": None,
        "price": price,
        "quantity": quantity,
        "total_discount": "0.00",
        "discount_allocations": [{"amount": discount}] if discount != "0.00" else [],
    }


def shopify_refund(**changed: Any) -> Json:
    return {
        "id": 8001,
        "order_id": 5001,
        "created_at": "2026-03-03T12:00:00+01:00",
        "processed_at": "2026-03-03T12:00:00+01:00",
        "note": "broken",
        "refund_line_items": [
            {"quantity": 1, "subtotal": 17.5, "line_item": shopify_line(1, "Moka pot", "20.00", 2, discount="5.00")}
        ],
        "transactions": [{"kind": "refund", "status": "success", "amount": "17.50"}],
        **changed,
    }


def woo_order(**changed: Any) -> Json:
    return {
        "id": 4750,
        "status": "processing",
        "currency": "EUR",
        "date_created_gmt": "2026-03-01T09:00:00",
        "date_modified_gmt": "2026-03-01T09:00:00",
        "date_paid_gmt": "2026-03-01T09:00:00",
        "customer_id": 88,
        "discount_total": "5.00",
        "shipping_total": "5.00",
        "total": "50.00",
        "total_tax": "0.00",
        "payment_method": "card",
        "billing": {
            "first_name": "Ioana",
            "last_name": "Pop",
            "email": "ioana@example.com",
            "phone": "+40721000000",
            "city": "Cluj",
            "postcode": "400001",
            "country": "RO",
        },
        "line_items": [
            {"name": "Moka &amp; cup", "product_id": 301, "variation_id": 0, "sku": "SKU-1", "quantity": 2}
            | {"price": 17.5, "subtotal": "40.00", "total": "35.00"},
            {"name": "Coffee", "product_id": 302, "variation_id": 0, "sku": "SKU-2", "quantity": 1}
            | {"price": 10, "subtotal": "10.00", "total": "10.00"},
        ],
        "coupon_lines": [{"code": "spring", "discount": "5.00"}],
        "refunds": [],
        **changed,
    }
