"""Which column of a file is which of our fields, and how the file writes amounts and dates: guessed once from headers
and values, kept as YAML, and then what the YAML says.

    columns:
      order_id: Scontrino
      ordered_at: Data
    decimal: ","
    date_format: "%d/%m/%Y"
    time_zone: Europe/Rome
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from onevoice.events.imports.fields import FIELDS, MOMENT, TEXT, Field, lacking
from onevoice.kernel.documents import document
from onevoice.kernel.errors import InvalidInput

ALIKE = 0.86
"""From here on two headers are one misspelt (difflib's ratio: a letter in seven)."""

FITTING = 0.5
"""The part of a column's values that must fit for the column to be guessed by a likeness."""

DATE_FORMATS = tuple(
    f"%{first}{mark}%{second}{mark}%Y{clock}"
    for first, second in ("dm", "md")  # the day first, as everywhere but in one country; a value over 12 tells
    for mark in "/.-"
    for clock in ("", " %H:%M", " %H:%M:%S")
)

_THOUSANDS = r"[+-]?\d{1,3}(\.\d{3})+"
_COMMA = re.compile(rf"\s*(({_THOUSANDS}|[+-]?\d*),\d+|{_THOUSANDS})\s*")


@dataclass(frozen=True)
class Mapping:
    """`columns` is {our field: the file's column}; the rest says how the file writes its values."""

    columns: dict[str, str] = field(default_factory=dict)
    decimal: str = "."  # or a comma; the other of the two separates thousands
    date_format: str = ""  # of strptime; empty: ISO 8601
    time_zone: str = "UTC"  # of times that name none

    @property
    def document(self) -> dict[str, Any]:
        """What the YAML says: the columns, and of the rest what is not as usual."""
        usual = asdict(Mapping())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


def read(path: Path) -> Mapping:
    """The mapping a YAML file holds. Raises InvalidInput."""
    try:
        return parsed(document(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}") from error


def parsed(document: Any) -> Mapping:
    """A mapping from a document; the columns alone are one too. Raises InvalidInput."""
    if isinstance(document, dict) and not isinstance(document.get("columns"), dict):
        document = {"columns": document}
    try:
        found = msgspec.convert(document, Mapping, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"A mapping has lines of the form `our field: the file's column`; {error}") from error
    if found.decimal not in (".", ","):
        raise InvalidInput(f"decimal is {found.decimal!r}; use . or ,")
    try:
        ZoneInfo(found.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(f"time_zone is {found.time_zone!r}; use a name such as Europe/Rome") from error
    return found


def write(path: Path, kind: str, mapping: Mapping) -> None:
    """Keeps a mapping for the next file."""
    said = yaml.safe_dump(mapping.document, sort_keys=False, allow_unicode=True)
    path.write_text(f"# How a file of {kind} is read: our field, the file's column.\n{said}", encoding="utf-8")


def check(mapping: Mapping, kind: str, headers: Sequence[str], name: str) -> None:
    """Raises InvalidInput where a file with these headers cannot be read so."""
    fields = FIELDS[kind]
    if unknown := sorted(set(mapping.columns) - set(fields)):
        raise InvalidInput(f"Mapping: {', '.join(unknown)} is no field of {kind}; there are {', '.join(fields)}")
    if absent := sorted(set(mapping.columns.values()) - set(headers)):
        raise InvalidInput(f"{name} has no column {', '.join(absent)}; it has {', '.join(headers)}")
    if missing := lacking(kind, set(mapping.columns)):
        raise InvalidInput(
            f"{name}: no column for {'; '.join(missing)}. It has {', '.join(headers)}; name them with --mapping"
        )


def guess(kind: str, samples: Map[str, Sequence[str]]) -> Mapping:
    """The mapping of a file whose columns hold these values among others."""
    by_name: dict[str, str] = {}
    for header in samples:
        by_name.setdefault(plain(header), header)
    columns: dict[str, str] = {}
    for name, one in FIELDS[kind].items():
        known = [by_name[word] for word in (name, *one.headers.split()) if word in by_name]
        fitting = [header for header in known if _fits(one, samples[header]) >= FITTING]
        if found := fitting or known:
            columns[name] = found[0]
    for name, one in FIELDS[kind].items():
        if name not in columns and (alike := _alike(name, one, samples, columns.values())):
            columns[name] = alike
    amounts = [samples[column] for name, column in columns.items() if FIELDS[kind][name].kind not in (TEXT, MOMENT)]
    moments = [samples[column] for name, column in columns.items() if FIELDS[kind][name].kind == MOMENT]
    return Mapping(columns, _decimal(amounts), _date_format(moments))


def plain(header: str) -> str:
    """A header without case, accents and punctuation."""
    letters = unicodedata.normalize("NFKD", header).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


def _alike(name: str, one: Field, samples: Map[str, Sequence[str]], taken: Iterable[str]) -> str | None:
    """The free column whose header is almost a known one, and whose values fit."""
    words = [word for word in (name, *one.headers.split()) if len(word) > 4]  # shorter ones are alike by accident
    likeness = {
        header: max((SequenceMatcher(None, plain(header), word).ratio() for word in words), default=0.0)
        for header, values in samples.items()
        if header not in set(taken) and _fits(one, values) >= FITTING
    }
    best = max(likeness, key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best] >= ALIKE else None


def _fits(one: Field, values: Sequence[str]) -> float:
    """The part of the values that can be read as the field's type, whichever way of writing it."""
    given = [value for value in values if value.strip()]
    if one.kind == TEXT:
        return 1.0
    reads = _reads_as_time if one.kind == MOMENT else _reads_as_number
    return sum(map(reads, given)) / len(given) if given else 1.0


def _reads_as_number(value: str) -> bool:
    if _COMMA.fullmatch(value):
        return True
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_iso(value: str) -> bool:
    try:
        datetime.fromisoformat(value.strip().upper())
    except ValueError:
        return False
    return not value.strip().isdigit()  # 20260302 may be a number as well


def _is_of(value: str, date_format: str) -> bool:
    try:
        datetime.strptime(value.strip(), date_format)  # only whether it can be read
    except ValueError:
        return False
    return True


def _reads_as_time(value: str) -> bool:
    return _is_iso(value) or any(_is_of(value, date_format) for date_format in DATE_FORMATS)


def _decimal(columns: Iterable[Sequence[str]]) -> str:
    """A comma where some value can be read only so."""
    for values in columns:
        commas = sum(bool(_COMMA.fullmatch(value)) and "," in value for value in values)
        points = sum("." in value and "," not in value for value in values)
        if commas > points:
            return ","
    return "."


def _date_format(columns: Iterable[Sequence[str]]) -> str:
    """Of the formats that read most of the values the first; ISO 8601 (empty) where that reads as many."""
    for values in columns:
        given = [value for value in values if value.strip()]
        best = max(DATE_FORMATS, key=lambda one: sum(_is_of(value, one) for value in given))
        if sum(_is_of(value, best) for value in given) > sum(map(_is_iso, given)):
            return best
    return ""
