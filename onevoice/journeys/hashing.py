"""Customers dealt by chance, each always alike: into hold-outs, the global control group, and variants.

The id is a hash already; multiplying it by a salt modulo a prime deals the customers anew for each salt.
"""

import ibis.expr.types as ir

from onevoice.kernel.ids import identifier_id

PRIME = 2_147_483_647
"""2^31 - 1."""


def salt_of(namespace: str, name: str) -> int:
    """What deals the customers anew for each name."""
    return identifier_id(namespace, name) % (PRIME - 2) + 1


def placed(customer_id: ir.IntegerColumn, salt: int | ir.IntegerColumn) -> ir.IntegerColumn:
    """Where a customer's place falls from 0 below `PRIME`, by the salt."""
    return ((customer_id % PRIME) * salt) % PRIME


def place_of(customer_id: ir.IntegerColumn, namespace: str, name: str) -> ir.IntegerColumn:
    """Where a customer's place falls from 0 below `PRIME`, by the salt of what is dealt."""
    return placed(customer_id, salt_of(namespace, name))


def bound(share: float) -> int:
    """Below which place the customers are that share of all."""
    return round(share * PRIME)


def in_holdout(customer_id: ir.IntegerColumn, journey: str, share: float) -> ir.BooleanColumn:
    """Whether a customer is in a journey's hold-out: the same for ever, and independent between journeys."""
    return place_of(customer_id, "journey", journey) < bound(share)


def in_control(customer_id: ir.IntegerColumn, salt: str, share: float) -> ir.BooleanColumn:
    """Whether a customer is in the global control group, which no journey contacts."""
    return place_of(customer_id, "control", salt) < bound(share)
