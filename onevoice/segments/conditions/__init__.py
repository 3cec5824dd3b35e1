"""The kinds of condition: one file per family, each kind with its parameters, what it measures and what it reads."""

from onevoice.segments.conditions.affinity import AFFINITY_KINDS
from onevoice.segments.conditions.aggregate import AGGREGATE
from onevoice.segments.conditions.anniversary import ANNIVERSARY
from onevoice.segments.conditions.carts import CART
from onevoice.segments.conditions.channels import CHANNEL_KINDS
from onevoice.segments.conditions.coupons import COUPON_KINDS
from onevoice.segments.conditions.events import EVENT
from onevoice.segments.conditions.kind import AnyKind
from onevoice.segments.conditions.membership import MEMBERSHIP_KINDS
from onevoice.segments.conditions.orders import ORDERS_KIND
from onevoice.segments.conditions.places import PLACE_KINDS
from onevoice.segments.conditions.rfm import RFM
from onevoice.segments.conditions.sequence import SEQUENCE
from onevoice.segments.conditions.timing import TIMING_KINDS
from onevoice.segments.conditions.traits import TRAIT

KINDS: tuple[AnyKind, ...] = (
    TRAIT,
    EVENT,
    AGGREGATE,
    SEQUENCE,
    *TIMING_KINDS,
    ORDERS_KIND,
    RFM,
    *AFFINITY_KINDS,
    CART,
    *COUPON_KINDS,
    *CHANNEL_KINDS,
    *PLACE_KINDS,
    ANNIVERSARY,
    *MEMBERSHIP_KINDS,
)
"""All of them."""
