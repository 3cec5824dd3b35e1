"""Templates as documents: saved with all their locales as one version, found by the locale that fits best."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import smsutil
from sqlalchemy import Connection, Text, cast, exists, func, insert, select, tuple_

from onevoice.content import rendering
from onevoice.content.compiling import OPEN_PIXEL, SOURCES, UNSUBSCRIBE, UNTRACKED, Source, compiled
from onevoice.content.language import parse
from onevoice.content.models import template
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.locales import language

KNOWN_VARIABLES = frozenset(
    ("customer", "favourite", "journey", "recommended", "viewed", "event", "topic", *UNTRACKED, OPEN_PIXEL)
)
"""What a message's variables hold at the top; another name renders as nothing."""

SAMPLE = {
    "customer": {
        "first_name": "Alessandra",
        "last_name": "Bianchi",
        "favourite_category": "Fresh vegetables",
        "products": [{"product_id": "1234567", "name": "Whole milk, 1 gal"}],
    }
}
"""Typical variables, to see how long a text gets."""


def save(connection: Connection, document: Mapping[str, Any], now: datetime, directory: Path) -> tuple[int, bool]:
    """Saves a template as a new version, unless nothing has changed; returns the version and whether it is new.

    `mjml_file` in a document is read from `directory`. Raises InvalidInput that says what is wrong and where.
    """
    name, channel, sources = _read(document, directory)
    rows = {locale: (source, _compiled(locale, source)) for locale, source in sources.items()}
    latest = newest_versions(connection).get(name, 0)
    if latest and _as_saved(connection, name, latest) == (
        channel,
        {k: msgspec.to_builtins(s) for k, s in sources.items()},
    ):
        return latest, False
    connection.execute(
        insert(template),
        [
            {
                "name": name,
                "version": latest + 1,
                "channel": channel,
                "locale": locale,
                "source": msgspec.to_builtins(source),
                "compiled": fields,
                "saved_at": now,
            }
            for locale, (source, fields) in rows.items()
        ],
    )
    return latest + 1, True


def check(document: Mapping[str, Any], directory: Path) -> list[str]:
    """What is doubtful about a template that can be saved, in sentences; empty where nothing is."""
    name, channel, sources = _read(document, directory)
    warnings = []
    for locale, source in sources.items():
        fields = _compiled(locale, source)
        used = {variable for text in fields.values() for variable in parse(text, html=False).analyze().globals}
        for unknown in sorted(used - KNOWN_VARIABLES):
            warnings.append(f"{locale}: {{{{ {unknown} }}}} is not known and renders as nothing")
        if channel == "email" and UNSUBSCRIBE not in fields["html"]:
            warnings.append(f"{locale}: the e-mail shows no unsubscribe link; add {{{{ {UNSUBSCRIBE} }}}}")
        if channel == "sms":
            made = rendering.prepared(name, 0, channel, locale, fields)
            text = rendering.render(made, SAMPLE, rendering.UntrackedLinks())["text"]
            split = smsutil.split(text)
            if len(split.parts) > 1:
                kind = "GSM-7" if split.encoding == "gsm0338" else "UCS-2, because of letters that GSM-7 lacks"
                warnings.append(f"{locale}: {len(text)} characters are {len(split.parts)} SMS ({kind})")
    return warnings


def newest_versions(connection: Connection) -> dict[str, int]:
    """Each template's newest version."""
    rows = connection.execute(select(template.c.name, func.max(template.c.version)).group_by(template.c.name))
    return {row[0]: row[1] for row in rows}


def mentioned(connection: Connection, versions: Mapping[str, int], names: Iterable[str]) -> set[str]:
    """Which of the variables' names stand anywhere in those versions; one too many costs a look-up and no more."""
    chosen = tuple_(template.c.name, template.c.version).in_(list(versions.items()))
    text = cast(template.c.compiled, Text)
    return {
        name
        for name in names
        if connection.scalar(select(exists().where(chosen, text.contains(name, autoescape=True))))
    }


def find(connection: Connection, name: str, version: int, locale: str) -> rendering.Template:
    """The template in the locale, else its language, else English, else the first it has. Raises NotFound."""
    rows = connection.execute(
        select(template.c.locale, template.c.channel, template.c.compiled)
        .where(template.c.name == name, template.c.version == version)
        .order_by(template.c.locale)
    )
    found = {row.locale: row for row in rows}
    if not found:
        raise NotFound(f"There is no template {name!r} in version {version}")
    wishes = (locale, locale.replace("_", "-").split("-")[0], language(locale), "en", next(iter(found)))
    row = found[next(wish for wish in wishes if wish in found)]
    return rendering.prepared(name, version, row.channel, row.locale, row.compiled)


def _read(document: Mapping[str, Any], directory: Path) -> tuple[str, str, dict[str, Source]]:
    name, channel, locales = document.get("name"), document.get("channel"), document.get("locales")
    if not isinstance(name, str) or not name:
        raise InvalidInput("A template needs a `name`")
    if not isinstance(channel, str) or channel not in SOURCES:
        raise InvalidInput(f"channel is {channel!r}; use one of {', '.join(SOURCES)}")
    if not isinstance(locales, Mapping) or not locales:
        raise InvalidInput("A template needs `locales`, at least one, each with the channel's fields")
    sources = {}
    for locale, fields in locales.items():
        try:
            sources[str(locale)] = msgspec.convert(_with_file(fields, directory), SOURCES[channel])
        except msgspec.ValidationError as error:
            raise InvalidInput(f"{locale}: {error}") from error
    return name, channel, sources


def _with_file(fields: Any, directory: Path) -> Any:
    if not isinstance(fields, Mapping) or "mjml_file" not in fields:
        return fields
    given = str(fields["mjml_file"])
    file = (directory / given).resolve()
    if not file.is_relative_to(directory.resolve()) or not file.is_file():
        raise InvalidInput(f"mjml_file: there is no {given} in {directory}")
    return {**{key: value for key, value in fields.items() if key != "mjml_file"}, "mjml": file.read_text("utf-8")}


def _compiled(locale: str, source: Source) -> dict[str, str]:
    try:
        return compiled(source)
    except InvalidInput as error:
        raise InvalidInput(f"{locale}: {error.message}") from error


def _as_saved(connection: Connection, name: str, version: int) -> tuple[str, dict[str, Any]]:
    rows = connection.execute(
        select(template.c.locale, template.c.channel, template.c.source).where(
            template.c.name == name, template.c.version == version
        )
    ).all()
    return rows[0].channel, {row.locale: row.source for row in rows}
