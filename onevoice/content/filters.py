"""What Liquid's filters lack for a shop's messages: money, numbers, dates and plurals as a locale writes them (CLDR, by
Babel), dates moved and compared, parameters added to addresses; and the built-in filters that could run away, bounded.

A template's filters are those of its own variant's locale. What is no number or no date comes out as it came in, as
Liquid's filters do it: a message with an odd value is better than none.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError, dates, numbers
from babel.numbers import UnknownCurrencyError, UnknownCurrencyFormatError
from liquid import Markup, escape
from liquid.context import RenderContext
from liquid.exceptions import FilterArgumentError
from liquid.filter import with_context
from liquid.stringify import to_liquid_string

from onevoice.content.buffer import MARK, WEB

MOST_CHARACTERS = 100_000
"""What one filter may put out."""

MOST_DIGITS = 40
"""A number of more digits is no shop's."""

PLANNED_AT = "planned_at"
"""The variable with the instant at which the message was planned: what `now` is, also when it is rendered again."""

STYLES = ("short", "medium", "long", "full")

Filter = Callable[..., Any]


def of_locale(tag: str, *, plain: bool = False) -> dict[str, Filter]:
    """The filters by name, for a locale's tag. `plain`: no spaces and marks that would make an SMS a costlier one."""
    locale = _locale(tag)
    written: dict[str, Filter] = {
        "money": partial(_money, locale),
        "number": partial(_number, locale),
        "percent": partial(_percent, locale),
        "plural": partial(_plural, locale),
        "date": with_context(_Date(locale)),
    }
    if plain:
        written = {name: _plain(filter) for name, filter in written.items()}
    return {**written, **_FILTERS}


def _plain(filter: Filter) -> Filter:
    """The filter with plain spaces and without marks of direction: GSM-7 has neither."""

    def plain(*given: Any, **named: Any) -> Any:
        made = filter(*given, **named)
        return made.translate(_PLAIN) if type(made) is str else made

    return with_context(plain) if getattr(filter, "with_context", False) else plain


_PLAIN = {0xA0: " ", 0x202F: " ", 0x200E: None, 0x200F: None, 0x061C: None, 0x2019: "'"}


@lru_cache(maxsize=256)
def _locale(tag: str) -> Locale:
    for wish in (tag, tag.replace("_", "-").split("-")[0]):
        try:
            return Locale.parse(wish.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("en")


# -- numbers


def _decimal(value: object) -> Decimal | None:
    """The number a value stands for; also one that came as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    if isinstance(value, str) and len(value) > MOST_DIGITS:
        return None
    try:
        made = Decimal(value if isinstance(value, int) else str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return made if made.is_finite() and -MOST_DIGITS < made.adjusted() < MOST_DIGITS else None


def _money(locale: Locale, value: object, currency: object = "", *, cents: object = True) -> object:
    """An amount with its currency (ISO 4217): `12.5 | money: 'EUR'` is 12,50 € in Italian."""
    amount = _decimal(value)
    if amount is None:
        return value
    code = str(currency or "").upper()
    if not re.fullmatch("[A-Z]{3}", code):
        raise FilterArgumentError(f"money needs a currency such as 'EUR', not {code!r}", token=None)
    return _formatted_money(locale, amount, code, bool(cents))


@lru_cache(maxsize=20_000)
def _formatted_money(locale: Locale, amount: Decimal, code: str, cents: bool) -> str:
    try:
        if cents:
            return numbers.format_currency(amount, code, locale=locale)
        pattern = re.sub(r"[.]0+", "", str(locale.currency_formats["standard"].pattern))
        return numbers.format_currency(amount, code, format=pattern, locale=locale, currency_digits=False)
    except (UnknownCurrencyError, UnknownCurrencyFormatError) as error:
        raise FilterArgumentError(str(error), token=None) from error


def _number(locale: Locale, value: object, digits: object = None) -> object:
    """A number as the locale writes it, with so many digits after the point."""
    amount = _decimal(value)
    return value if amount is None else _formatted_number(locale, amount, _digits(digits))


def _percent(locale: Locale, value: object, digits: object = 0) -> object:
    """A share: `0.2 | percent` is 20 %."""
    amount = _decimal(value)
    if amount is None:
        return value
    places = _digits(digits) or 0
    pattern = re.sub("0(?=[^0]*$)", "0." + "0" * places if places else "0", locale.percent_formats[None].pattern)
    return numbers.format_percent(amount, format=pattern, locale=locale)


@lru_cache(maxsize=20_000)
def _formatted_number(locale: Locale, amount: Decimal, digits: int | None) -> str:
    if digits is None:
        return numbers.format_decimal(amount, locale=locale)
    return numbers.format_decimal(amount, format="#,##0" + ("." + "0" * digits if digits else ""), locale=locale)


def _digits(value: object) -> int | None:
    digits = _decimal(value)
    return None if digits is None else max(0, min(10, int(digits)))


def _plural(locale: Locale, value: object, **forms: object) -> object:
    """The form for a number, by CLDR's names: zero, one, two, few, many, other. `#` in it becomes the number."""
    amount = _decimal(value)
    if amount is None:
        return value
    if "other" not in forms:
        raise FilterArgumentError("plural needs at least the form `other`", token=None)
    category = "zero" if amount == 0 and "zero" in forms else locale.plural_form(abs(amount))
    form = forms.get(category, forms["other"])
    return to_liquid_string(form, False).replace("#", _formatted_number(locale, amount, None))


# -- dates


class _Date:
    """`date`, also with a style (short, medium, long, full) and a zone; names of months and days in the locale."""

    def __init__(self, locale: Locale) -> None:
        self.locale = locale

    def __call__(self, value: object, style: object = "medium", *, zone: object = "", context: RenderContext) -> object:
        at = _instant(value, context)
        if at is None:
            return value
        at = _in_zone(at, zone)
        wish = str(style)
        if wish in STYLES:
            return dates.format_date(at, wish, self.locale)
        if wish in {f"{one} time" for one in STYLES}:
            return dates.format_datetime(at, wish.split()[0], locale=self.locale)
        if wish == "time":
            return dates.format_time(at, "short", locale=self.locale)
        return _CODE.sub(lambda found: self._code(at, found[1]), wish[:200])

    def _code(self, at: datetime, code: str) -> str:
        if code in ("%", "n", "t"):
            return {"%": "%", "n": "\n", "t": "\t"}[code]
        if code == "s":
            return str(int(at.timestamp()))
        pattern = _CODES.get(code)
        if pattern is None:
            raise FilterArgumentError(f"date: %{code} is not known; see the reference of the language", token=None)
        return dates.format_datetime(at, pattern, locale=self.locale)


_CODE = re.compile(r"%(-?[A-Za-z%])")
_CODES: Mapping[str, str] = {
    "a": "EEE", "A": "EEEE", "b": "MMM", "h": "MMM", "B": "MMMM", "d": "dd", "-d": "d", "e": "d", "H": "HH", "-H": "H",
    "I": "hh", "-I": "h", "j": "DDD", "m": "MM", "-m": "M", "M": "mm", "p": "a", "P": "a", "S": "ss", "y": "yy",
    "Y": "yyyy", "Z": "z", "z": "Z", "F": "yyyy-MM-dd", "T": "HH:mm:ss", "R": "HH:mm", "D": "MM/dd/yy", "u": "e",
    "V": "ww", "G": "YYYY",
}  # fmt: skip
"""strftime's codes as CLDR's patterns."""


def _instant(value: object, context: RenderContext | None) -> datetime | None:
    """The instant a value names: ISO 8601, seconds since 1970, `now`. None where it is none."""
    if isinstance(value, str) and value in ("now", "today"):
        planned = context.resolve(PLANNED_AT, default=None) if context is not None else None
        if planned is None or planned in ("now", "today"):
            raise FilterArgumentError(f"'{value}' is not known where there is no {PLANNED_AT}", token=None)
        return _instant(planned, None)
    try:
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if not isinstance(value, str) or len(value) > MOST_DIGITS:
            return None
        if value.isdecimal() and len(value) > 8:
            return datetime.fromtimestamp(int(value), UTC)
        at = datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _in_zone(at: datetime, zone: object) -> datetime:
    try:
        return at.astimezone(ZoneInfo(str(zone))) if zone else at
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return at


_UNITS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


def _moved(sign: int, value: object, number: object, unit: object = "days", *, context: RenderContext) -> object:
    """`date_plus: 3, 'days'`: also hours, weeks and months (the last day of a shorter month)."""
    at, by = _instant(value, context), _decimal(number)
    name = str(unit).removesuffix("s")
    if at is None or by is None:
        return value
    try:
        if name in ("month", "year"):
            return _months_later(at, sign * int(by) * (12 if name == "year" else 1)).isoformat()
        if name in _UNITS:
            return (at + sign * float(by) * _UNITS[name]).isoformat()
    except (OverflowError, ValueError):
        return value
    raise FilterArgumentError(f"{unit!r} is no unit; use hours, days, weeks, months or years", token=None)


def _months_later(at: datetime, months: int) -> datetime:
    years, month = divmod(at.month - 1 + months, 12)
    for day in (at.day, 30, 29, 28):
        try:
            return at.replace(year=at.year + years, month=month + 1, day=day)
        except ValueError:
            if day == 28:
                raise
    raise AssertionError("28 days are in every month")


class _DaysUntil:
    """Whole days from now, or from another date, to a date; below zero when it is past."""

    def __call__(self, value: object, since: object = "now", *, context: RenderContext) -> object:
        at, start = _instant(value, context), _instant(since, context)
        return value if at is None or start is None else (at.date() - start.astimezone(at.tzinfo).date()).days


# -- addresses


def _url_param(value: object, name: object, content: object = "") -> str:
    """The address with a parameter set, whether it had any or not."""
    address = str(value or "")
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != str(name)]
    query = urlencode([*kept, (str(name), to_liquid_string(content, False))])
    return urlunsplit(parts._replace(query=query))


def _track(value: object) -> str:
    address = str(value).strip()
    marked = f"{MARK}{address}{MARK}" if address.startswith(WEB) else address
    return Markup(escape(marked)) if isinstance(value, Markup) else marked


# -- bounds on what the language has of its own


def bounded(filters: Mapping[str, Filter]) -> dict[str, Filter]:
    """The language's own filters, none making more than MOST_CHARACTERS; one that could at a blow is asked before."""
    replace, join, rounded, times = (filters[name] for name in ("replace", "join", "round", "times"))

    def checked_replace(value: object, old: object, new: object = "") -> Any:
        text, written = to_liquid_string(value, False), to_liquid_string(new, False)
        _check(len(text) + text.count(to_liquid_string(old, False)) * len(written))
        return replace(value, old, new)

    def checked_join(value: Any, separator: object = " ", **named: Any) -> Any:
        _check(len(value) * len(str(separator)) if isinstance(value, (list, tuple)) else 0)
        return join(value, separator, **named)

    def checked_round(value: object, digits: object = None) -> Any:
        places = _digits(digits)
        return rounded(value) if places is None else rounded(value, places)

    def checked_times(value: object, other: object) -> Any:
        for number in (value, other):
            if isinstance(number, int) and number.bit_length() > 4 * MOST_DIGITS:
                raise FilterArgumentError("times: the number is too large", token=None)
        return times(value, other)

    own: dict[str, Filter] = {
        "replace": checked_replace,
        "join": checked_join,
        "round": checked_round,
        "times": checked_times,
    }
    own |= {name: _unmarked(filters[name]) for name in DECODING}
    made = {}
    for name, filter in filters.items():
        wrapped = made[name] = _small(own.get(name, filter))
        for mark in ("with_context", "with_environment"):
            if getattr(filter, mark, False):
                setattr(wrapped, mark, True)
    return made


DECODING = ("url_decode", "base64_decode", "base64_url_safe_decode")


def _unmarked(filter: Filter) -> Filter:
    """A filter that may decode a MARK, without it: no value may make itself a link."""

    def unmarked(*given: Any, **named: Any) -> Any:
        return filter(*given, **named).replace(MARK, "")

    return unmarked


def _small(filter: Filter) -> Filter:
    def small(*given: Any, **named: Any) -> Any:
        made = filter(*given, **named)
        if isinstance(made, (str, list)) and len(made) > MOST_CHARACTERS:
            _check(len(made))
        return made

    return small


def _check(characters: int) -> None:
    if characters > MOST_CHARACTERS:
        raise FilterArgumentError(f"a filter would make more than {MOST_CHARACTERS:,} characters", token=None)


_FILTERS: dict[str, Filter] = {
    "days_until": with_context(_DaysUntil()),
    "date_plus": with_context(partial(_moved, 1)),
    "date_minus": with_context(partial(_moved, -1)),
    "url_param": _url_param,
    "track": _track,
}
