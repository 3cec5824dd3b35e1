"""Typical variables of a message, to try a template on before there is a customer to try it on."""

from typing import Any

from onevoice.content.compiling import CONFIRM, OPEN_PIXEL, UNTRACKED
from onevoice.content.filters import PLANNED_AT

SHOP = "https://shop.example/"

_PRODUCTS = [
    {
        "product_id": str(1_234_567 + number),
        "name": name,
        "brand": "National",
        "category": category,
        "url": f"{SHOP}products/{1_234_567 + number}",
        "image_url": f"{SHOP}pictures/{1_234_567 + number}.jpg",
        "price": price,
    }
    for number, (name, category, price) in enumerate(
        [
            ("Whole milk, 1 gal", "Milk", 2.99),
            ("Bananas", "Fresh fruit", 0.59),
            ("Italian bread", "Bread", 1.49),
            ("Cheddar, 8 oz", "Cheese", 3.79),
            ("Ground coffee, 12 oz", "Coffee", 7.49),
            ("Tomatoes on the vine", "Fresh vegetables", 2.29),
        ]
    )
]

VARIABLES: dict[str, Any] = {
    "customer": {
        "first_name": "Alessandra",
        "last_name": "Bianchi",
        "locale": "en",
        "country": "US",
        "favourite_category": "Fresh vegetables",
        "products": [{"name": product["name"]} for product in _PRODUCTS[:4]],
        "traits": {"tier": "gold"},
    },
    "favourite": {"category": "Fresh vegetables", "products": [product["name"] for product in _PRODUCTS[:4]]},
    "recommended": _PRODUCTS,
    "viewed": _PRODUCTS[:3],
    "event": {
        "name": "Cart Updated",
        "at": "2026-03-02T09:00:00Z",
        "properties": {"cart_id": "c-1", "currency": "EUR", "total": 11.07, "products": _PRODUCTS[:4]},
    },
    "journey": "sample",
    PLANNED_AT: "2026-03-02T10:00:00+00:00",
}
"""What the hand-off freezes with a message."""

OURS = frozenset((*UNTRACKED, OPEN_PIXEL, CONFIRM, "brand"))
"""What rendering adds to that."""

OF_A_MOMENT = frozenset(("coupon", "loyalty"))
"""What only some messages come with: of a step that gives a coupon, or where points are kept."""
