"""Templates as documents: saved with all their variants as one version, found by channel and the locale that fits best.

A document holds one channel (`channel`, `locales`) or several (`channels`). A version is compiled with the brand and
the blocks as they are when it is saved; when one of them changes, the templates that it changes get a new version.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, cast, exists, func, insert, select, tuple_

from onevoice.content import brand, parts, rendering, sample
from onevoice.content.compiling import Source, compiled, source_kinds
from onevoice.content.models import template
from onevoice.content.parts import Kit
from onevoice.database import driver
from onevoice.kernel.errors import InvalidInput, NotFound


class Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for all variants of a template."""

    title: str = ""
    brand: str = ""  # empty: the default brand
    transactional: bool = False  # says no more than the customer asked for; needs no way to unsubscribe
    default_locale: str = "en"  # for those in whose language there is no variant


@dataclass(frozen=True)
class Variant:
    """A template in one channel and locale: as written, and ready to be parsed."""

    channel: str
    locale: str
    source: dict[str, str]
    fields: dict[str, str]
    brand: dict[str, Any]


@dataclass(frozen=True)
class SavedTemplate:
    """A version of a template; one that is not saved yet has version 0."""

    name: str
    version: int
    options: Options
    variants: tuple[Variant, ...]
    saved_at: datetime | None = None

    def document(self) -> dict[str, Any]:
        """As it is written."""
        channels: dict[str, dict[str, Any]] = {}
        for one in self.variants:
            channels.setdefault(one.channel, {})[one.locale] = one.source
        head = {"kind": "template", "name": self.name, **msgspec.to_builtins(self.options)}
        if len(channels) == 1:
            ((channel, locales),) = channels.items()
            return {**head, "channel": channel, "locales": locales}
        return {**head, "channels": channels}

    def prepared(self, channel: str, locale: str) -> rendering.Template:
        """The variant that a customer of that locale gets. Raises NotFound."""
        ours = {one.locale: one for one in self.variants if one.channel == channel}
        if not ours:
            raise NotFound(f"Template {self.name!r} says nothing on the channel {channel!r}")
        one = ours[chosen(list(ours), locale, self.options.default_locale)]
        return rendering.prepared(self.name, self.version, one.channel, one.locale, one.fields, one.brand)


def chosen(locales: list[str], wish: str, default: str = "en") -> str:
    """Which of the locales one gets: the very one, else the language (or a variety of it), else the default, else any.

    >>> chosen(["en", "it", "pt-BR"], "it-CH"), chosen(["en", "pt-BR"], "pt"), chosen(["ro", "it"], "ar")
    ('it', 'pt-BR', 'it')
    """
    tag = wish.replace("_", "-").split("-")[0]
    varieties = sorted(one for one in locales if one.replace("_", "-").split("-")[0] == tag)
    wishes = (wish, tag, *varieties, default, "en", *sorted(locales))
    return next(one for one in wishes if one in locales)


def save(connection: Connection, document: Mapping[str, Any], now: datetime, directory: Path) -> tuple[int, bool]:
    """Saves a template as a new version, unless nothing has changed; returns the version and whether it is new.

    `mjml_file` in a document is read from `directory`. Raises InvalidInput that says what is wrong and where.
    """
    made = draft(document, directory, parts.kit(connection))
    _lock(connection)
    return _put(connection, made, now)


def draft(document: Mapping[str, Any], directory: Path, kit: Kit) -> SavedTemplate:
    """The document compiled, not saved. Raises InvalidInput that says what is wrong and where."""
    name, options, sources = _read(document, directory)
    return _compiled(name, options, sources, kit)


def save_part(connection: Connection, document: Mapping[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a brand or block, and the templates that it changes anew. Raises InvalidInput, also where one breaks."""
    _lock(connection)
    version, is_new = parts.save(connection, document, now)
    if is_new:
        _renew(connection, now)
    return version, is_new


def revert_part(connection: Connection, kind: str, name: str, version: int, now: datetime) -> tuple[int, bool]:
    """Makes a brand or block again what it was in a version, as a new one. Raises NotFound, and like `save_part`."""
    return save_part(connection, parts.get(connection, kind, name, version).document, now)


def _renew(connection: Connection, now: datetime) -> None:
    kit = parts.kit(connection)
    for found in all_templates(connection):
        sources = {(one.channel, one.locale): _source(one.channel, one.locale, one.source) for one in found.variants}
        try:
            _put(connection, _compiled(found.name, found.options, sources, kit), now)
        except InvalidInput as error:
            raise InvalidInput(f"Template {found.name!r} would be wrong with it: {error.message}") from error


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


def all_templates(connection: Connection) -> list[SavedTemplate]:
    """The newest version of each, by name."""
    return [get(connection, name, version) for name, version in sorted(newest_versions(connection).items())]


def get(connection: Connection, name: str, version: int | None = None) -> SavedTemplate:
    """A version, or the newest. Raises NotFound."""
    wanted = version or select(func.max(template.c.version)).where(template.c.name == name).scalar_subquery()
    rows = connection.execute(
        select(template)
        .where(template.c.name == name, template.c.version == wanted)
        .order_by(template.c.channel, template.c.locale)
    ).all()
    if not rows:
        told = f" in version {version}" if version is not None else ""
        raise NotFound(f"There is no template {name!r}{told}")
    variants = tuple(Variant(row.channel, row.locale, row.source, row.compiled, row.brand) for row in rows)
    first = rows[0]
    return SavedTemplate(name, first.version, msgspec.convert(first.options, Options), variants, first.saved_at)


def versions(connection: Connection, name: str) -> list[dict[str, Any]]:
    """All versions with when they were saved, the newest first. Raises NotFound."""
    rows = connection.execute(
        select(template.c.version, func.max(template.c.saved_at).label("saved_at"))
        .where(template.c.name == name)
        .group_by(template.c.version)
        .order_by(template.c.version.desc())
    )
    found = [dict(row) for row in rows.mappings()]
    if not found:
        raise NotFound(f"There is no template {name!r}")
    return found


def revert(connection: Connection, name: str, version: int, now: datetime) -> tuple[int, bool]:
    """Makes a template again what it was in a version, as a new one, with brand and blocks as they are now."""
    return save(connection, get(connection, name, version).document(), now, Path())


def find(connection: Connection, name: str, version: int, locale: str, channel: str) -> rendering.Template:
    """What a customer of that locale gets on the channel, see `chosen`. Raises NotFound."""
    if not version:
        raise NotFound(f"There is no template {name!r}")
    return get(connection, name, version).prepared(channel, locale)


# -- documents

_KEYS = frozenset(("kind", "name", "channel", "locales", "channels", *Options.__struct_fields__))
Sources = dict[tuple[str, str], Source]


def _read(document: Mapping[str, Any], directory: Path) -> tuple[str, Options, Sources]:
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput("A template needs a `name`")
    if unknown := sorted(str(key) for key in set(document) - _KEYS):
        raise InvalidInput(f"Template {name!r} has no {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    try:
        options = msgspec.convert({k: document[k] for k in Options.__struct_fields__ if k in document}, Options)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Template {name!r}: {error}") from error
    channels = document.get("channels")
    if channels is None:
        channels = {document.get("channel"): document.get("locales")}
    elif "channel" in document or "locales" in document:
        raise InvalidInput(f"Template {name!r}: use `channels`, or `channel` with `locales`, not both")
    if not isinstance(channels, Mapping) or not channels:
        raise InvalidInput(f"Template {name!r}: `channels` holds, by channel, the locales with the channel's fields")
    sources = {}
    for channel, locales in channels.items():
        if channel not in source_kinds():
            raise InvalidInput(f"channel is {channel!r}; use one of {', '.join(source_kinds())}")
        if not isinstance(locales, Mapping) or not locales:
            raise InvalidInput("A template needs `locales`, at least one, each with the channel's fields")
        for locale, fields in locales.items():
            sources[channel, str(locale)] = _source(channel, str(locale), _with_file(fields, directory))
    return name, options, sources


def _source(channel: str, locale: str, fields: Any) -> Source:
    try:
        return msgspec.convert(fields, source_kinds()[channel])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{channel}, {locale}: {error}") from error


def _with_file(fields: Any, directory: Path) -> Any:
    if not isinstance(fields, Mapping) or "mjml_file" not in fields:
        return fields
    given = str(fields["mjml_file"])
    file = (directory / given).resolve()
    if not file.is_relative_to(directory.resolve()) or not file.is_file():
        raise InvalidInput(f"mjml_file: there is no {given} in {directory}")
    return {**{key: value for key, value in fields.items() if key != "mjml_file"}, "mjml": file.read_text("utf-8")}


def _compiled(name: str, options: Options, sources: Sources, kit: Kit) -> SavedTemplate:
    chosen_brand = kit.brand(options.brand)
    variants = []
    for (channel, locale), source in sorted(sources.items()):
        values = brand.values(chosen_brand, locale)
        try:
            fields = compiled(source, locale, values, kit.block, transactional=options.transactional)
            rendering.endures(rendering.prepared(name, 0, channel, locale, fields, values), sample.VARIABLES)
        except InvalidInput as error:
            raise InvalidInput(f"{channel}, {locale}, {error.message}") from error
        variants.append(Variant(channel, locale, msgspec.to_builtins(source), fields, values))
    return SavedTemplate(name, 0, options, tuple(variants))


def _put(connection: Connection, made: SavedTemplate, now: datetime) -> tuple[int, bool]:
    latest = newest_versions(connection).get(made.name, 0)
    if latest:
        before = get(connection, made.name, latest)
        if (before.options, before.variants) == (made.options, made.variants):
            return latest, False
    rows = [
        {
            "name": made.name,
            "version": latest + 1,
            "channel": one.channel,
            "locale": one.locale,
            "source": one.source,
            "compiled": one.fields,
            "brand": one.brand,
            "options": msgspec.to_builtins(made.options),
            "saved_at": now,
        }
        for one in made.variants
    ]
    connection.execute(insert(template), rows)
    return latest + 1, True


def _lock(connection: Connection) -> None:
    """Two who save at once save one after the other."""
    with driver(connection) as raw:
        raw.execute("SELECT pg_advisory_xact_lock(hashtext('content'))")
