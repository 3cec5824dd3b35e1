"""Being in a set that the house has made: another segment, a list from a file, a random share."""

import ibis

from onevoice.customers.facts import IDENTIFIERS, PROFILES
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Asked, Kind, Measured, Number, Reads, Scope, reading
from onevoice.segments.facts import LIST_ENTRIES, SEGMENT_MEMBERS


class InSegment(Asked, frozen=True):
    """In another segment."""

    name: str


class OnList(Asked, frozen=True):
    """On a list of identifiers that was imported from a file; who they belong to may change, as customers do."""

    name: str


class Share(Asked, frozen=True):
    """A random share of the customers: always the same for the same `salt`, independent of each other for two salts.

    `skip` leaves so many percent out first: two shares of one salt that do not overlap have nobody in common.
    """

    salt: str
    percent: Number
    skip: Number = 0


def _in_segment(asked: InSegment, scope: Scope) -> Measured:
    inside = scope.table(SEGMENT_MEMBERS)
    found = inside.filter(inside.segment == asked.name).select("customer_id", "entered_at")
    return Measured(found, found.entered_at.notnull())


def _on_list(asked: OnList, scope: Scope) -> Measured:
    entries = scope.warehouse.table(LIST_ENTRIES)
    identifiers = scope.table(IDENTIFIERS).select("identifier_id", "customer_id", "namespace", "value")
    listed = identifiers.semi_join(entries.filter(entries["list"] == asked.name), "identifier_id")
    found = listed.group_by("customer_id").aggregate(
        identifiers=listed.count(), namespace=listed.namespace.min(), value=listed.value.min()
    )
    return Measured(found, found.identifiers > 0)


def _share(asked: Share, scope: Scope) -> Measured:
    people = scope.everybody()
    place = scope.warehouse.digest(ibis.literal(f"{asked.salt}:") + people.customer_id.cast("string"))
    found = people.mutate(place=place)
    met = found.place >= _place(asked.skip)
    last = asked.skip + asked.percent
    return Measured(found, met & (found.place < _place(last)) if last < 100 else met)


def _place(percent: Number) -> str:
    """Where a percentage of all digests ends, which are spread evenly: as 32 hexadecimal digits, which sort alike."""
    return f"{round(percent * 10_000) * 2**128 // 10**6:032x}"


def _check_share(asked: Share, here: str) -> None:
    if not (0 < asked.percent <= 100 and asked.skip >= 0 and asked.skip + asked.percent <= 100):
        raise InvalidInput(f"{here}: expected a percent above 0, together with skip up to 100")


MEMBERSHIP_KINDS = (
    Kind(
        "segment",
        InSegment,
        _in_segment,
        lambda asked: Reads(tables=frozenset({SEGMENT_MEMBERS.name}), segments=frozenset({asked.name})),
    ),
    Kind("list", OnList, _on_list, lambda asked: reading(LIST_ENTRIES, IDENTIFIERS)),
    Kind("share", Share, _share, lambda asked: reading(PROFILES), _check_share),
)
