"""Being on a list of the house: another segment."""

from onevoice.segments.conditions.kind import Asked, Kind, Measured, Reads, Scope
from onevoice.segments.facts import SEGMENT_MEMBERS


class InSegment(Asked, frozen=True):
    """In another segment."""

    name: str


def _in_segment(asked: InSegment, scope: Scope) -> Measured:
    inside = scope.table(SEGMENT_MEMBERS)
    found = inside.filter(inside.segment == asked.name).select("customer_id", "entered_at")
    return Measured(found, found.entered_at.notnull())


MEMBERSHIP_KINDS = (
    Kind(
        "segment",
        InSegment,
        _in_segment,
        lambda asked: Reads(tables=frozenset({SEGMENT_MEMBERS.name}), segments=frozenset({asked.name})),
    ),
)
