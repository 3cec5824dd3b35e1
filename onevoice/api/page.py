"""The one page at `/`: the figures, plainly, in five locales; opened by an API key once and a cookie then."""

from datetime import UTC
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from liquid import Environment

from onevoice.api.access import COOKIE, is_allowed
from onevoice.api.wording import WORDS
from onevoice.journeys import service
from onevoice.kernel.errors import OneVoiceError
from onevoice.kernel.locales import LOCALES, direction, negotiated

router = APIRouter(include_in_schema=False)

CHANNEL_COLUMNS = (
    "planned",
    "sent",
    "delivered",
    "opened",
    "clicked",
    "unsubscribed",
    "orders",
    "revenue",
    "cost",
    "cpa",
)
"""Columns of the channels' table."""

_template = Environment(autoescape=True).from_string((Path(__file__).parent / "page.html").read_text())


@router.get("/")
def page(request: Request, key: Annotated[str, Query()] = "", lang: Annotated[str, Query()] = "") -> Response:
    """The figures, or the form that asks for a key. `?key=` sets the cookie and takes the key out of the address."""
    if key:
        answer: Response = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, key, httponly=True, samesite="strict", max_age=30 * 86_400)
        return answer
    locale = lang if lang in LOCALES else negotiated(request.headers.get("accept-language"))
    if not is_allowed(request):
        return _html(request, locale, {"locked": True}, 401 if request.cookies.get(COOKIE) else 200)
    try:
        return _html(request, locale, _figures(request, WORDS[locale]))
    except OneVoiceError as error:
        return _html(request, locale, {"problem": error.message}, error.status)


@router.post("/")
async def unlock(request: Request) -> Response:
    """The form's answer: the key becomes a cookie."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, form.get("key", [""])[0].strip(), httponly=True, samesite="strict", max_age=30 * 86_400)
    return answer


def _figures(request: Request, words: dict[str, str]) -> dict[str, Any]:
    engine = request.app.state.engine
    asked = engine.ask("overview")
    overview, identities = asked["overview"], asked["identities"]
    if not identities["customers"]:
        return {"cards": []}
    values = {
        "customers": _number(identities["known"]),
        "identifiers": _number(identities["identifiers"]),
        "orders": _number(overview["orders"]),
        "sales": _money(overview["sales"]),
        "aov": _money(overview["aov"]),
        "repeat_purchase_rate": _share(overview["repeat_purchase_rate"]),
    }
    with request.app.state.database.connect() as connection:
        saved = service.all_journeys(connection)
    return {
        "cards": [{"label": words[name], "value": value} for name, value in values.items()],
        "channel_columns": [words[name] for name in CHANNEL_COLUMNS],
        "journeys": [
            _journey(journey.document.title or journey.name, engine.ask("journey", name=journey.name), words)
            for journey in saved
        ],
        "segments": [{"name": name, "value": _number(size)} for name, size in engine.ask("segment_sizes").items()],
    }


def _journey(title: str, results: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    lift, arms = results["lift"]["lift"], results["lift"]
    return {
        "title": title,
        "lift": lift
        and {
            "value": f"{100 * lift['value']:+.1f}",
            "interval": f"[{100 * lift['low']:+.1f}, {100 * lift['high']:+.1f}]",
            "treated": f"{arms['treated']['converted']:,} / {arms['treated']['n']:,}",
            "holdout": f"{arms['holdout']['converted']:,} / {arms['holdout']['n']:,}",
        },
        "channels": [
            {"name": words.get(name, name), "cells": [_cell(column, figures[column]) for column in CHANNEL_COLUMNS]}
            for name, figures in results["channels"].items()
        ],
        "decisions": [
            {"name": words.get(f"reason_{reason}", reason), "value": _number(number)}
            for reason, number in results["decisions"].items()
        ],
    }


def _cell(column: str, value: float | None) -> str:
    return _money(value) if column in ("revenue", "cost", "cpa") else _number(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _money(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _html(request: Request, locale: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    settings = request.app.state.settings
    body = _template.render(
        words=WORDS[locale],
        locale=locale,
        direction=direction(locale),
        locales=LOCALES,
        simulated=bool(settings.clock_file),
        now=settings.clock().now().astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )
    headers = {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(body, status, headers)
