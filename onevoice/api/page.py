"""The one page at `/`: the figures, plainly, in five locales; opened by an API key once and a cookie then."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from liquid import Environment

from onevoice.api.access import COOKIE, is_allowed
from onevoice.api.wording import WORDS
from onevoice.events.models import source  # noqa: F401 - the page's figures come from the engine, not from here
from onevoice.kernel.errors import OneVoiceError
from onevoice.kernel.locales import LOCALES, direction, negotiated

router = APIRouter(include_in_schema=False)

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
        return _html(request, locale, _figures(request))
    except OneVoiceError as error:
        return _html(request, locale, {"problem": error.message}, error.status)


@router.post("/")
async def unlock(request: Request) -> Response:
    """The form's answer: the key becomes a cookie."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, form.get("key", [""])[0].strip(), httponly=True, samesite="strict", max_age=30 * 86_400)
    return answer


def _figures(request: Request) -> dict[str, Any]:
    engine = request.app.state.engine
    kpis = engine.ask("overview")
    journeys = []
    from onevoice.journeys import service

    with request.app.state.database.connect() as connection:
        saved = service.all_journeys(connection)
    for journey in saved:
        journeys.append({"name": journey.name, "title": journey.title, **engine.ask("journey", name=journey.name)})
    return {"kpis": kpis, "segments": engine.ask("segment_sizes"), "journeys": journeys}


def _html(request: Request, locale: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    settings = request.app.state.settings
    body = _template.render(
        words=WORDS[locale],
        locale=locale,
        direction=direction(locale),
        locales=LOCALES,
        simulated=bool(settings.clock_file),
        now=settings.clock().now().astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        real_now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )
    headers = {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(body, status, headers)
