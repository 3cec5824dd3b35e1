"""The hosted pages of consent: the preference page, and the page behind a double opt-in's link.

None needs a login: the signed token in the address is the proof, and opens one customer's choices only. There is no
cookie, so no session to ride on; a redirect leads to the page itself, never to what a request names.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from uuid import UUID

from sqlalchemy import Connection, Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from onevoice.channels.adapter import News
from onevoice.customers.consent import Consent, topics
from onevoice.customers.consent.policies import ALL
from onevoice.database import driver, inbox
from onevoice.delivery import double_opt_in, preferences, preferences_page, unsubscribe_page
from onevoice.delivery.allowance import Allowance
from onevoice.delivery.double_opt_in import Asked, Found
from onevoice.delivery.double_opt_in_words import words
from onevoice.delivery.page import HEADERS, button, channel_name, shown_address, simple
from onevoice.delivery.schemas import TEST, MessageEntry
from onevoice.delivery.settlement import entry
from onevoice.delivery.tokens import Tokens
from onevoice.kernel.errors import InvalidInput, TooLarge
from onevoice.kernel.ids import fact_id
from onevoice.kernel.locales import LOCALES, negotiated
from onevoice.kernel.settings import Settings

LARGEST_FORM = 50_000
"""Bytes of a posted form."""

MOST_FIELDS = 1_000
"""Fields of a posted form."""

NOTES = ("saved", "unchanged", "stopped")


class _Reader(NamedTuple):
    """The message whose link was followed, for whose choices the page is."""

    id: UUID
    channel: str
    identifier_id: int
    address: str
    topic: str
    locale: str


def routes(pool: Engine, settings: Settings) -> list[Route]:
    """The routes, to be mounted at the root of what `settings.base_url` names."""
    pages = _Pages(pool, settings)
    return [
        Route("/preferences/{token}", pages.choices, methods=["GET"]),
        Route("/preferences/{token}", pages.chosen, methods=["POST"]),
        Route("/consent/{token}", pages.asked, methods=["GET"]),
        Route("/consent/{token}", pages.answered, methods=["POST"]),
    ]


class _Pages:
    def __init__(self, pool: Engine, settings: Settings) -> None:
        self._pool, self._base_url = pool, settings.base_url
        self._channels = tuple(settings.channels)
        self._tokens, self._clock = Tokens(settings.secret()), settings.clock()
        self._changes = Allowance(20, timedelta(minutes=10))  # of one link
        self._strangers = Allowance(100, timedelta(minutes=10))  # links that are not ours, of one client

    # -- the preference page

    async def choices(self, request: Request) -> Response:
        """The page. It changes nothing: scanners open every link."""
        reader = await self._reader(request)
        if reader is None:
            return self._gone(request)
        note = request.query_params.get("done", "")
        return await run_in_threadpool(self._shown, reader, _language(request, reader.locale), note)

    def _shown(self, reader: _Reader, locale: str, note: str) -> Response:
        with self._pool.connect() as connection:
            held = self._held(connection, reader, self._clock.now())
        made = preferences_page.page(locale, reader.channel, reader.address, held, note if note in NOTES else "")
        return HTMLResponse(made, headers=HEADERS)

    async def chosen(self, request: Request) -> Response:
        """Takes the form in, then shows the page anew (by a redirect, so that going back repeats nothing)."""
        reader = await self._reader(request)
        if reader is None:
            return self._gone(request)
        locale = _language(request, reader.locale)
        if not self._changes.take(reader.id, self._clock.now()):
            return HTMLResponse(preferences_page.busy(locale), 429, headers={**HEADERS, "retry-after": "600"})
        form = await _form(request)
        note = await run_in_threadpool(self._change, reader, form, locale, _evidence(request, "preferences"))
        # To the page itself, on whichever of our domains the reader came to.
        return RedirectResponse(f"?language={locale}&done={note}", 303, headers=HEADERS)

    def _change(self, reader: _Reader, form: dict[str, list[str]], locale: str, evidence: dict[str, Any]) -> str:
        now = self._clock.now()
        proof = {**evidence, "message": str(reader.id)}
        with self._pool.begin() as connection:
            with driver(connection) as raw:  # two presses at once are one after the other
                raw.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (str(reader.identifier_id),))
            held = self._held(connection, reader, now)
            if form.get("action") == ["stop"]:
                said = preferences.stop_all(connection, reader.identifier_id, held, locale, proof, now)
                note = "stopped"
            else:
                shown, wanted = form.get("shown", []), form.get("on", [])
                said = preferences.change(connection, reader.identifier_id, held, shown, wanted, locale, proof, now)
                note = "saved" if said else "unchanged"
            if any(_unsubscribes(word, reader) for word in said):
                event_id = fact_id("unsubscribed", reader.id, now.isoformat()).hex
                news = MessageEntry(str(reader.id), event_id, News.UNSUBSCRIBED, now)
                inbox.append(connection, [entry(news, now)])
        return note

    def _held(self, connection: Connection, reader: _Reader, now: datetime) -> list[preferences.Choice]:
        own = (reader.channel, reader.topic)
        return preferences.choices(connection, reader.identifier_id, own, self._channels, now)

    async def _reader(self, request: Request) -> _Reader | None:
        number = self._tokens.read_preferences(request.path_params["token"])
        return None if number is None else await run_in_threadpool(self._message, number)

    def _message(self, number: int) -> _Reader | None:
        columns = ", ".join(_Reader._fields)
        with self._pool.connect() as connection, driver(connection) as raw:
            found = f"SELECT {columns} FROM message WHERE number = %s AND step <> %s"  # noqa: S608
            row = raw.execute(found, (number, TEST)).fetchone()
        return _Reader(*row) if row else None

    # -- double opt-in

    async def asked(self, request: Request) -> Response:
        """The page that asks. Only its button confirms."""
        asked = self._tokens.read_confirmation(request.path_params["token"])
        if asked is None:
            return self._gone(request)
        found = await run_in_threadpool(self._find, asked)
        return self._about(request, found)

    async def answered(self, request: Request) -> Response:
        """Confirms, or sends a new link where this one has run out; twice is once."""
        asked = self._tokens.read_confirmation(request.path_params["token"])
        if asked is None:
            return self._gone(request)
        if not self._changes.take(asked, self._clock.now()):
            locale = _language(request, "en")
            return HTMLResponse(preferences_page.busy(locale), 429, headers={**HEADERS, "retry-after": "600"})
        form = await _form(request)
        if form.get("action") == ["again"]:
            return await run_in_threadpool(self._again, request, asked)
        return await run_in_threadpool(self._confirm, request, asked, _evidence(request, "double_opt_in"))

    def _find(self, asked: UUID) -> Asked:
        with self._pool.connect() as connection:
            return double_opt_in.find(connection, asked, self._clock.now())

    def _confirm(self, request: Request, asked: UUID, evidence: dict[str, Any]) -> Response:
        now = self._clock.now()
        with self._pool.begin() as connection:
            before = double_opt_in.find(connection, asked, now)
            locale = _language(request, before.locale)
            own = words(locale)
            topic = topics.named(connection, before.topic).title(locale)
            shown = own.ask.format(topic=topic, channel=channel_name(before.channel, locale), address="…")
            before = double_opt_in.confirm(connection, asked, f"{shown}\n[{own.confirm}]", evidence, now)
        if before.found is not Found.OPEN:
            return self._about(request, before)
        return self._with_choices(before, locale, own.done_title, own.done, topic)

    def _again(self, request: Request, asked: UUID) -> Response:
        now = self._clock.now()
        try:
            with self._pool.begin() as connection:
                sent = double_opt_in.again(connection, asked, self._tokens, self._base_url, now)
                found = double_opt_in.find(connection, asked, now)
        except InvalidInput:  # asked too often: say no more than that
            return HTMLResponse(preferences_page.busy(_language(request, "en")), 429, headers=HEADERS)
        if not sent:
            return self._about(request, found)
        locale = _language(request, found.locale)
        own = words(locale)
        text = own.sent.format(address=shown_address(found.channel, found.address, locale))
        return HTMLResponse(simple(locale, own.sent_title, text), headers=HEADERS)

    def _about(self, request: Request, found: Asked) -> Response:
        """What there is to say about a link."""
        if found.found is Found.GONE:
            return self._gone(request)
        locale = _language(request, found.locale)
        own = words(locale)
        with self._pool.connect() as connection:
            topic = topics.named(connection, found.topic).title(locale)
        if found.found is Found.CONFIRMED:
            return self._with_choices(found, locale, own.used_title, own.used, topic)
        address = shown_address(found.channel, found.address, locale)
        if found.found is Found.EXPIRED:
            made = simple(locale, own.late_title, own.late.format(address=address), button(own.again, "again"))
            return HTMLResponse(made, 410, headers=HEADERS)
        text = own.ask.format(topic=topic, channel=channel_name(found.channel, locale), address=address)
        text = f"{found.text}\n{text}" if found.text else text
        return HTMLResponse(simple(locale, own.ask_title, text, button(own.confirm)), headers=HEADERS)

    def _with_choices(self, found: Asked, locale: str, title: str, text: str, topic: str) -> Response:
        """A page with a link to all that the customer has chosen."""
        filled = text.format(topic=topic, channel=channel_name(found.channel, locale))
        link = f"/preferences/{self._tokens.preferences(found.message_number)}?language={locale}"
        body = simple(
            locale, title, filled, f'<p style="margin-top:1.5rem"><a href="{link}">{words(locale).choose}</a></p>'
        )
        return HTMLResponse(body, headers=HEADERS)

    def _gone(self, request: Request) -> Response:
        host = request.client.host if request.client else ""
        locale = negotiated(request.headers.get("accept-language"))
        if not self._strangers.take(host, self._clock.now()):
            return HTMLResponse(preferences_page.busy(locale), 429, headers={**HEADERS, "retry-after": "600"})
        return HTMLResponse(unsubscribe_page.gone(locale), 404, headers=HEADERS)


def _unsubscribes(word: Consent, reader: _Reader) -> bool:
    own = word.channel in (reader.channel, ALL) and word.topic in (reader.topic, ALL)
    return own and word.state == "withdrawn"


def _language(request: Request, otherwise: str) -> str:
    wished = request.query_params.get("language", "")
    return wished if wished in LOCALES else otherwise


def _evidence(request: Request, page: str) -> dict[str, Any]:
    return {
        "page": page,
        "ip": request.client.host if request.client else "",
        "user_agent": request.headers.get("user-agent", "")[:500],
    }


async def _form(request: Request) -> dict[str, list[str]]:
    """The posted fields. Raises TooLarge, and InvalidInput for what is no form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise TooLarge(f"The form is over {LARGEST_FORM:,} bytes")
    try:
        return parse_qs(body.decode(), max_num_fields=MOST_FIELDS, keep_blank_values=True)
    except ValueError as error:
        raise InvalidInput("The form cannot be read; open the page again") from error
