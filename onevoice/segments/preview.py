"""What a condition being edited would find: how many, some of them, and how far it is what other segments are."""

from datetime import datetime
from typing import Any

import ibis

from onevoice.customers.facts import PROFILES
from onevoice.segments.compiler import members
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.tree import Condition
from onevoice.warehouse import Warehouse


def preview(
    warehouse: Warehouse, condition: Condition, now: datetime, sample: int = 10, overlap: bool = False
) -> dict[str, Any]:
    """Size and sample; with `overlap`, for each segment how many are in both, and what share of each that is.

    Nothing is written but scratch tables.
    """
    found = warehouse.stage("previewed", members(condition, warehouse, now))
    profiles = warehouse.table(PROFILES)
    shown = profiles.semi_join(found.order_by("customer_id").limit(sample), "customer_id").order_by("customer_id")
    rows = warehouse.rows(shown.select("customer_id", "first_name", "last_name", "locale"))
    size = warehouse.count(found)
    answer = {"size": size, "sample": [{**row, "customer_id": str(row["customer_id"])} for row in rows]}
    if overlap:
        answer["overlap"] = _overlap(warehouse, size)
    return answer


def _overlap(warehouse: Warehouse, size: int) -> list[dict[str, Any]]:
    table, found = warehouse.table(SEGMENT_MEMBERS), ibis.table({"customer_id": "int64"}, name="previewed")
    both = table.semi_join(found, "customer_id").group_by("segment").aggregate(both=lambda rows: rows.count())
    sizes = table.group_by("segment").aggregate(size=table.count())
    rows = warehouse.rows(sizes.left_join(both, "segment").select("segment", "size", "both").order_by("segment"))
    return [
        {
            "segment": row["segment"],
            "both": row["both"] or 0,
            "share_of_this": (row["both"] or 0) / size if size else 0.0,
            "share_of_other": (row["both"] or 0) / row["size"],
        }
        for row in rows
    ]
