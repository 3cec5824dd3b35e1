"""Brands and blocks saved and found: every change is a new version, none is ever overwritten."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from onevoice.content import blocks, brand, standard_blocks
from onevoice.content.blocks import Block
from onevoice.content.brand import Brand
from onevoice.content.models import content_part
from onevoice.kernel.errors import InvalidInput, NotFound

READERS: Mapping[str, Any] = {"brand": brand.read, "block": blocks.read}
"""What there is, by kind."""


@dataclass(frozen=True)
class SavedPart:
    """A version of a brand or block."""

    kind: str
    name: str
    version: int
    saved_at: datetime
    document: dict[str, Any]


@dataclass(frozen=True)
class Kit:
    """What templates are compiled with."""

    brands: Mapping[str, Brand]
    blocks: Mapping[str, Block]

    def brand(self, name: str = "") -> Brand | None:
        """The brand of that name; without one, the default brand, or the only one. Raises InvalidInput."""
        if name:
            if name not in self.brands:
                raise InvalidInput(f"There is no brand {name!r}; there is {', '.join(self.brands) or 'none yet'}")
            return self.brands[name]
        default = [one for one in self.brands.values() if one.default]
        if not default and len(self.brands) == 1:
            default = list(self.brands.values())
        return default[0] if default else None

    def block(self, name: str) -> Block:
        """The block of that name. Raises NotFound."""
        return self.blocks.get(name) or standard_blocks.find(name)


def save(connection: Connection, document: Mapping[str, Any], now: datetime) -> tuple[int, bool]:
    """Saves a brand or block as a new version, unless nothing has changed; returns the version and whether it is new.

    The templates that use it are to be renewed in the same transaction (`templates.renew`). Raises InvalidInput.
    """
    read = READERS[document["kind"]](document)
    document_written = written(read)
    kind, name = document["kind"], read.name
    if isinstance(read, Brand) and read.default:
        _only_default(connection, name)
    latest = _latest(connection, kind, name)
    if latest is not None and latest.document == document_written:
        return latest.version, False
    version = latest.version + 1 if latest else 1
    row = {"kind": kind, "name": name, "version": version, "document": document_written, "saved_at": now}
    connection.execute(insert(content_part).values(row))
    return version, True


def written(part: Brand | Block) -> dict[str, Any]:
    """The part as a document."""
    made: dict[str, Any] = msgspec.to_builtins(part)
    return made


def _only_default(connection: Connection, name: str) -> None:
    others = [one.name for one in all_parts(connection, "brand") if one.document.get("default") and one.name != name]
    if others:
        raise InvalidInput(f"Brand {others[0]!r} is the default already; take `default` from it first")


def all_parts(connection: Connection, kind: str) -> list[SavedPart]:
    """The newest version of each brand or block, by name."""
    newest = (
        select(content_part.c.name, func.max(content_part.c.version).label("version"))
        .where(content_part.c.kind == kind)
        .group_by(content_part.c.name)
        .subquery()
    )
    rows = connection.execute(
        select(content_part)
        .join(newest, (content_part.c.name == newest.c.name) & (content_part.c.version == newest.c.version))
        .where(content_part.c.kind == kind)
        .order_by(content_part.c.name)
    )
    return [SavedPart(row.kind, row.name, row.version, row.saved_at, row.document) for row in rows]


def get(connection: Connection, kind: str, name: str, version: int | None = None) -> SavedPart:
    """A version, or the newest. Raises NotFound."""
    found = _latest(connection, kind, name, version)
    if found is None:
        raise NotFound(f"There is no {kind} {name!r}{f' in version {version}' if version is not None else ''}")
    return found


def versions(connection: Connection, kind: str, name: str) -> list[dict[str, Any]]:
    """All versions with when they were saved, the newest first. Raises NotFound."""
    rows = connection.execute(
        select(content_part.c.version, content_part.c.saved_at)
        .where(content_part.c.kind == kind, content_part.c.name == name)
        .order_by(content_part.c.version.desc())
    )
    found = [dict(row) for row in rows.mappings()]
    if not found:
        raise NotFound(f"There is no {kind} {name!r}")
    return found


def kit(connection: Connection) -> Kit:
    """All brands and blocks as they are now."""
    return Kit(
        {part.name: brand.read(part.document) for part in all_parts(connection, "brand")},
        {part.name: blocks.read(part.document) for part in all_parts(connection, "block")},
    )


def _latest(connection: Connection, kind: str, name: str, version: int | None = None) -> SavedPart | None:
    which = (content_part.c.kind == kind) & (content_part.c.name == name)
    if version is not None:
        which &= content_part.c.version == version
    row = connection.execute(
        select(content_part).where(which).order_by(content_part.c.version.desc()).limit(1)
    ).one_or_none()
    return SavedPart(row.kind, row.name, row.version, row.saved_at, row.document) if row else None
