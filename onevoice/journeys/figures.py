"""How a journey stands: who is where, and what was decided at each step."""

from typing import Any

from onevoice.journeys.facts import DECISIONS, ENROLMENTS
from onevoice.warehouse import Warehouse


def figures(warehouse: Warehouse, journey: str) -> dict[str, Any]:
    """Enrolled, per arm, active per step, ended by reason; per step the decisions by outcome and reason."""
    enrolments, decisions = warehouse.table(ENROLMENTS), warehouse.table(DECISIONS)
    mine = enrolments.filter(enrolments.journey == journey)
    groups = warehouse.rows(mine.group_by("arm", "state", "step", "reason").aggregate(n=mine.count()))
    made = decisions.filter(decisions.journey == journey)
    counts = warehouse.rows(made.group_by("step", "channel", "outcome", "reason").aggregate(n=made.count()))
    active = [group for group in groups if group["state"] == "active"]
    return {
        "enrolled": sum(group["n"] for group in groups),
        "treated": sum(group["n"] for group in groups if group["arm"] == "treated"),
        "holdout": sum(group["n"] for group in groups if group["arm"] == "holdout"),
        "active": _sums(active, "step"),
        "ended": _sums([group for group in groups if group["state"] != "active"], "reason"),
        "steps": sorted(counts, key=lambda row: (row["step"], row["channel"], -row["n"], row["reason"])),
    }


def _sums(groups: list[dict[str, Any]], by: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    for group in groups:
        totals[group[by]] = totals.get(group[by], 0) + group["n"]
    return dict(sorted(totals.items()))
