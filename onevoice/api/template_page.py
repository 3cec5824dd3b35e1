"""The page that shows a template as a customer would get it: e-mail in a frame that runs nothing, an SMS with parts.

Beside them a push card, a WhatsApp bubble, a call script, and what is to be mended before launch.
"""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from liquid import Environment

from onevoice.api.access import database, engine_client, is_allowed
from onevoice.api.template_words import WORDS
from onevoice.content import checks, preview, templates
from onevoice.delivery.launching import circumstances
from onevoice.engine.personal import variables_of
from onevoice.journeys import service
from onevoice.journeys.entries import BY_EVENT
from onevoice.journeys.launching import used
from onevoice.kernel.errors import NotFound, OneVoiceError
from onevoice.kernel.locales import LOCALES, direction, negotiated

router = APIRouter(include_in_schema=False)

_page = Environment(autoescape=True).from_string((Path(__file__).parent / "template_page.html").read_text("utf-8"))

HEADERS = {
    # Pictures of the message come from where they are; nothing else is fetched, and nothing runs.
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@router.get("/templates/{name}/preview")
def shown(
    request: Request,
    name: str,
    customer: Annotated[str, Query()] = "",
    locale: Annotated[str, Query()] = "",
    journey: Annotated[str, Query()] = "",
    lang: Annotated[str, Query()] = "",
) -> HTMLResponse:
    """`lang` is the page's language, `locale` the message's, `customer` an id, `journey` the one whose event is shown;
    wants the cookie of the start page."""
    words_in = lang if lang in LOCALES else negotiated(request.headers.get("accept-language"))
    asked = {"name": name, "heading": name, "customer": customer, "wished": locale, "journey": journey}
    if not is_allowed(request):
        return _html(words_in, asked | {"locked": True, "heading": WORDS[words_in]["title"]}, 401)
    try:
        return _html(words_in, asked | _seen(request, name, customer.strip(), locale, journey, words_in))
    except OneVoiceError as error:
        return _html(words_in, asked | {"problem": error.message}, error.status)


def _seen(request: Request, name: str, customer: str, locale: str, journey: str, words_in: str) -> dict[str, Any]:
    if customer and not customer.lstrip("-").isdecimal():
        raise NotFound(f"{customer!r} is no customer's id; a search gives it")
    pool = database(request)
    with pool.connect() as connection:
        template = templates.get(connection, name)
        senders = [one for one in service.all_journeys(connection) if name in {sent for sent, _ in used(one.document)}]
    number = int(customer) if customer else None
    variables, wished = variables_of(engine_client(request), pool, number, locale, journey)
    told = circumstances(request.app.state.settings.channels, {"customers": [variables], "locales": {}})
    seen = [
        _worded({**one, "sender": one["sender"] or told.senders.get(one["channel"], "")}, wished, WORDS[words_in])
        for one in preview.preview(template, variables, wished)
    ]
    shown = {one["channel"]: one["locale"] for one in seen}
    others = [one for one in seen if one["channel"] != "email"]
    return {
        "heading": template.options.title or name,
        "journeys": [one.name for one in senders if one.document.entry.way in BY_EVENT],
        "email": next((one for one in seen if one["channel"] == "email"), None),
        "others": others,
        "both": len(seen) > len(others),
        "doubts": [
            {
                "severity": one.severity,
                "severity_said": WORDS[words_in][one.severity],
                "where": " / ".join(filter(None, (WORDS[words_in].get(one.channel, one.channel), one.locale))),
                "said": one.said(words_in),
            }
            for one in checks.check(template, told)
            if one.locale in ("", wished, shown.get(one.channel))
        ],
    }


def _worded(one: dict[str, Any], wished: str, words: Any) -> dict[str, Any]:
    """With the sentences that stand beside it."""
    told = dict(one)
    told["title"] = words.get(one["channel"], one["channel"])
    if one["locale"].split("-")[0] != wished.replace("_", "-").split("-")[0]:
        told["told"] = words["falls_back"].format(locale=one["locale"])
    if "kilobytes" in one:
        told["size"] = words["size"].format(size=one["kilobytes"])
    if "sms" in one:
        told["parts"] = words["parts"].format(**one["sms"])
    return told


def _html(locale: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    body = _page.render(
        **{
            "locked": False,
            "problem": None,
            "email": None,
            "others": [],
            "journeys": [],
            "doubts": [],
            "both": False,
            **values,
        },
        words=WORDS[locale],
        locale=locale,
        locales=LOCALES,
        direction=direction(locale),
    )
    return HTMLResponse(body, status, HEADERS)
