"""KPIs over HTTP. Each figure is defined once, in onevoice.insights.metrics."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from onevoice.api.access import Ask

router = APIRouter(prefix="/v1/kpis", tags=["insights"])


@router.get("", summary="KPIs of a period")
def kpis(
    ask: Ask,
    start: Annotated[date | None, Query(description="First day (UTC); from the beginning by default")] = None,
    end: Annotated[date | None, Query(description="The day after the last (UTC); to the end by default")] = None,
) -> dict[str, Any]:
    """Orders, sales, AOV, repeat purchase rate, CAC; customers and identities; per channel the funnel, cost and CPA."""
    answer: dict[str, Any] = ask.ask(
        "overview", start=start.isoformat() if start else None, end=end.isoformat() if end else None
    )
    return answer
