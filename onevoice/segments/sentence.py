"""A segment said in one plain sentence, in each of our languages: what a customer in it has, and has not.

Every condition is said as something one has ("at least 2 orders in the last 14 days"), so that `not` is said the same
way everywhere; a `not` over several is said of each of them (De Morgan). The words are in `wording/`.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

from onevoice.kernel.locales import language
from onevoice.segments.conditions.affinity import Brand, Category
from onevoice.segments.conditions.aggregate import Aggregate, Measure, Other
from onevoice.segments.conditions.anniversary import Anniversary
from onevoice.segments.conditions.carts import Cart
from onevoice.segments.conditions.channels import Consent, Prefers, Reachable
from onevoice.segments.conditions.coupons import Coupon, Loyalty
from onevoice.segments.conditions.events import Event
from onevoice.segments.conditions.kind import Asked
from onevoice.segments.conditions.membership import InSegment, OnList, Share
from onevoice.segments.conditions.orders import Orders
from onevoice.segments.conditions.places import Country, Near
from onevoice.segments.conditions.rfm import Rfm
from onevoice.segments.conditions.sequence import Sequence, Step
from onevoice.segments.conditions.sources import Rows
from onevoice.segments.conditions.timing import First, Last, LastOrder, Returned, Stopped
from onevoice.segments.conditions.traits import Trait
from onevoice.segments.conditions.values import Filter
from onevoice.segments.conditions.windows import UNITS, Windowed, days
from onevoice.segments.tree import All, Any_, Condition, Not
from onevoice.segments.wording import Forms, Words, ar, en, id, it, ro

LANGUAGES: dict[str, Words] = {"en": en.WORDS, "it": it.WORDS, "ro": ro.WORDS, "id": id.WORDS, "ar": ar.WORDS}

COMPARED = (
    "equals", "not_equals", "one_of", "contains", "at_least", "at_most", "above", "below", "exists",
    "top_percent", "bottom_percent", "same_as", "differs_from",
)  # fmt: skip
"""Comparisons, in the order in which they are said."""

ABANDONED = "1 hour"
"""When a cart counts as abandoned where the document does not say."""


def sentence(condition: Condition, locale: str) -> str:
    """The condition in one sentence, in the language of the locale (`en` where we do not speak it)."""
    return speaker(locale).sentence(condition)


def said(leaf: Asked, locale: str) -> str:
    """What one has who meets a leaf, in the language of the locale: "at least 2 orders in the last 14 days"."""
    return speaker(locale).said(leaf)


def speaker(locale: str) -> "Speaker":
    """Of the language of the locale."""
    tongue = language(locale)
    return Speaker(tongue, LANGUAGES[tongue])


def plural(tongue: str, number: float) -> str:
    """The plural category of a number (Unicode CLDR 48, cardinal rules)."""
    whole = int(number) == number
    hundreds = int(number) % 100
    match tongue:
        case "id":
            return "other"
        case "ro":
            if whole and number == 1:
                return "one"
            return "few" if not whole or number == 0 or 1 <= hundreds <= 19 else "other"
        case "ar":
            if whole and number in (1, 2):
                return "one" if number == 1 else "two"
            if whole and 3 <= hundreds <= 10:
                return "few"
            return "many" if whole and 11 <= hundreds <= 99 else "other"
    return "one" if whole and number == 1 else "other"


class Speaker:
    """Holds a language while a tree is walked; sentences of other parts ask it for their numbers, lengths and names."""

    def __init__(self, language: str, words: Words) -> None:
        self.language, self.words = language, words

    # -- the tree

    def sentence(self, condition: Condition) -> str:
        said = self.phrase("sentence", clause=self.clause(condition, False, None))
        return said[0].upper() + said[1:]

    def clause(self, condition: Condition, is_denied: bool, within: str | None) -> str:
        """`within` is the joint of the group around it; a group of the other joint stands in parentheses."""
        if isinstance(condition, Not):
            return self.clause(condition.condition, not is_denied, within)
        if isinstance(condition, All | Any_):
            joint = "and" if isinstance(condition, All) != is_denied else "or"
            if len(condition.conditions) == 1:
                return self.clause(condition.conditions[0], is_denied, within)
            said = self.phrase(joint).join(self.clause(one, is_denied, joint) for one in condition.conditions)
            return said if within in (None, joint) else f"({said})"
        leaf, is_denied = _without_none(condition, is_denied)
        if is_denied and _is_any(leaf):
            return self.phrase("have_no", what=_tidy(self.none(leaf)))
        return self.phrase("lack" if is_denied else "have", what=self.said(leaf))

    def said(self, leaf: Asked) -> str:
        """What one has who meets a leaf."""
        return _tidy(SAYINGS[type(leaf)](self, leaf))

    def none(self, leaf: Asked) -> str:
        """What one has none of who does not meet it."""
        assert isinstance(leaf, Event | Orders)
        thing, name = ("event", self.quoted(leaf.name)) if isinstance(leaf, Event) else ("orders", "")
        return f"{self.with_(self.words.plurals[thing].format(name=name), leaf.where)} {self.window(leaf)}"

    # -- words

    def phrase(self, key: str, **parts: str) -> str:
        return self.words.phrases[key].format(**parts)

    def quoted(self, text: object) -> str:
        left, right = self.words.quotes
        return f"{left}{text}{right}"

    def number(self, number: float) -> str:
        thousands, point = self.words.marks
        text = f"{number:,.10f}".rstrip("0").rstrip(".") if isinstance(number, float) else f"{number:,}"
        return text.translate({ord(","): thousands, ord("."): point})

    def formed(self, forms: Forms, number: float, **parts: str) -> str:
        form = forms.get(plural(self.language, number)) or forms["other"]
        return form.format(n=self.number(number), **parts)

    def value(self, value: object) -> str:
        if isinstance(value, bool):
            return self.words.values["true" if value else "false"]
        if isinstance(value, int | float):
            return self.number(value)
        if isinstance(value, list | tuple):
            return self.listed(self.value(one) for one in value)
        return self.quoted(value)

    def listed(self, parts: Iterable[str]) -> str:
        *first, last = list(parts)
        return f"{self.phrase('comma').join(first)}{self.phrase('list_or')}{last}" if first else last

    def word(self, word: str) -> str:
        """A word of documents in this language; a name that is none stays as it is."""
        return self.words.values.get(word, word)

    # -- time

    def length(self, text: str) -> str:
        number, unit = _length(text)
        return self.formed(self.words.units[unit], number)

    def lately(self, text: str) -> str:
        number, unit = _length(text)
        return self.formed(self.words.lately[unit], number)

    def date(self, text: str) -> str:
        at = date.fromisoformat(text[:10])
        day = self.phrase("date", day=str(at.day), month=self.words.months[at.month - 1], year=str(at.year))
        if len(text) == len("2026-03-31"):
            return day
        return self.phrase("date_time", date=day, time=f"{datetime.fromisoformat(text):%H:%M}")

    def window(self, asked: Windowed) -> str:
        parts = []
        if asked.within and asked.before:
            parts.append(self.phrase("between", longer=self.length(asked.within), shorter=self.length(asked.before)))
        elif asked.within:
            parts.append(self.lately(asked.within))
        elif asked.before:
            parts.append(self.phrase("before", length=self.length(asked.before)))
        if asked.since:
            parts.append(self.phrase("since", date=self.date(asked.since)))
        if asked.until:
            parts.append(self.phrase("until", date=self.date(asked.until)))
        if asked.during:
            parts.append(self.word(asked.during))
        said = " ".join(parts)
        is_zoned = asked.time_zone != "UTC" and (asked.since or asked.until or asked.during)
        return self.phrase("in_zone", window=said, zone=asked.time_zone) if is_zoned else said

    # -- things and comparisons

    def count(self, thing: str, asked: Any, name: str = "") -> str:
        """So many of a thing, at least one where nothing is said."""
        for how in ("exactly", "at_most", "at_least"):
            number = getattr(asked, how, None)
            if number is not None:
                return self.phrase(how, n=self.formed(self.words.counts[thing], number, name=name))
        return self.phrase("at_least", n=self.formed(self.words.counts[thing], 1, name=name))

    def rows(self, asked: Rows | Step, table: dict[str, str]) -> str:
        """Things without a number, with their properties."""
        thing, name = ("event", self.quoted(asked.event)) if asked.event is not None else (str(asked.of), "")
        return self.with_(table[thing].format(name=name), asked.where)

    def with_(self, what: str, where: dict[str, Any]) -> str:
        filters = [self.filter(name, wanted) for name, wanted in where.items()]
        return self.phrase("with", what=what, filters=self.phrase("with_more").join(filters)) if filters else what

    def filter(self, name: str, wanted: object) -> str:
        if not isinstance(wanted, Filter):
            return self.phrase("equals", what=self.quoted(name), value=self.value(wanted))
        return self.compared(self.quoted(name), wanted)

    def compared(self, what: str, asked: Any) -> str:
        """A thing with every comparison that is set."""
        said = []
        for how in COMPARED:
            value = getattr(asked, how, None)
            if value is None:
                continue
            shown = self.figure_of(value) if isinstance(value, Other) else self.value(value)
            said.append(self.phrase(COMPARISONS.get(how, how), what=what, value=shown))
        return self.phrase("comma").join(said) or what

    def figure(self, asked: Measure) -> str:
        rows = f"{self.rows(asked, self.words.plurals)} {self.window(asked)}".strip()
        key = FIGURES.get(asked.function, asked.function)
        return self.phrase(key, property=self.quoted(asked.property or ""), rows=rows)

    def figure_of(self, asked: Other) -> str:
        figure = self.figure(asked)
        return figure if asked.times == 1 else self.phrase("times", n=self.number(asked.times), figure=figure)


COMPARISONS = {"at_least": "cmp_at_least", "at_most": "cmp_at_most"}
FIGURES = {"average": "figure_average", "first": "figure_first", "last": "figure_last"}


def _length(text: str) -> tuple[int, str]:
    """Number and unit, as written."""
    days(text)
    unit = next(unit for unit in UNITS if unit in text)
    return int(text.split(unit)[0]), unit


def _without_none(leaf: Asked, is_denied: bool) -> tuple[Asked, bool]:
    """None of something is said as not having one of it."""
    is_count = isinstance(leaf, Event) or (isinstance(leaf, Orders) and leaf.measure == "count")
    if is_count and 0 in (getattr(leaf, "exactly", None), getattr(leaf, "at_most", None)):
        values = {name: getattr(leaf, name) for name in leaf.__struct_fields__}
        return type(leaf)(**{**values, "exactly": None, "at_most": None, "at_least": 1}), not is_denied
    if isinstance(leaf, Loyalty) and leaf.member is False:
        return Loyalty(member=True), not is_denied
    return leaf, is_denied


def _is_any(leaf: Asked) -> bool:
    """Whether one of them is enough."""
    if not (isinstance(leaf, Event) or (isinstance(leaf, Orders) and leaf.measure == "count")):
        return False
    return leaf.at_least in (None, 1) and leaf.at_most is None and leaf.exactly is None


def _tidy(text: str) -> str:
    """Without the gaps that a window leaves which is not there."""
    return " ".join(text.split()).replace(" :", ":").replace(" ,", ",")


def _event(say: Speaker, asked: Event) -> str:
    counted = say.count("event", asked, say.quoted(asked.name))
    return f"{say.with_(counted, asked.where)} {say.window(asked)}"


def _orders(say: Speaker, asked: Orders) -> str:
    window = say.window(asked)
    if asked.measure == "count":
        return f"{say.with_(say.count('orders', asked), asked.where)} {window}"
    what = say.with_(say.phrase(asked.measure, window=window).strip(), asked.where)
    if asked.exactly is not None:
        return say.phrase("equals", what=what, value=say.number(asked.exactly))
    return say.compared(what, asked)


def _last_order(say: Speaker, asked: LastOrder) -> str:
    if asked.before:
        return say.phrase("last_order_before", length=say.length(asked.before))
    return say.phrase("last_order_within", window=say.lately(asked.within or ""))


def _end(say: Speaker, asked: Last | First) -> str:
    key = "last" if isinstance(asked, Last) else "first"
    return say.phrase(key, single=say.rows(asked, say.words.singles), window=say.window(asked))


def _stopped(say: Speaker, asked: Stopped) -> str:
    thing, name = ("event", say.quoted(asked.event)) if asked.event is not None else (str(asked.of), "")
    counted = say.with_(say.formed(say.words.counts[thing], asked.at_least, name=name), asked.where)
    return say.phrase("stopped", count=counted, active=say.length(asked.active), quiet=say.length(asked.quiet))


def _returned(say: Speaker, asked: Returned) -> str:
    single = say.rows(asked, say.words.singles)
    return say.phrase("returned", single=single, window=say.window(asked), quiet=say.length(asked.quiet))


def _aggregate(say: Speaker, asked: Aggregate) -> str:
    return say.compared(say.figure(asked), asked)


def _sequence(say: Speaker, asked: Sequence) -> str:
    steps = []
    for number, step in enumerate(asked.steps, 1):
        what = say.rows(step, say.words.singles)
        what = say.phrase("absent", what=what) if step.absent else what
        what = say.phrase("gap_within", what=what, length=say.length(step.within)) if step.within else what
        what = say.phrase("gap_after", what=what, length=say.length(step.after)) if step.after else what
        steps.append(say.phrase("step", number=str(number), what=what))
    return say.phrase("sequence", window=say.window(asked), steps=say.phrase("comma").join(steps))


def _category(say: Speaker, asked: Category) -> str:
    group = say.phrase("brand" if isinstance(asked, Brand) else "category")
    parts = {"group": group, "name": say.quoted(asked.name), "window": say.window(asked)}
    if asked.measure == "top":
        return say.phrase("top_group", **parts)
    if asked.measure == "share":
        return say.phrase("share_of_spend", value=say.number(round(asked.at_least * 100, 6)), **parts)
    counted = say.phrase("of_group", count=say.count("lines", asked), **parts)
    return f"{counted} {parts['window']}"


def _coupon(say: Speaker, asked: Coupon) -> str:
    counted = say.count("coupon", asked, say.word(asked.state))
    named = say.phrase("coupon_name", count=counted, name=say.quoted(asked.coupon)) if asked.coupon else counted
    return f"{named} {say.window(asked)}"


def _loyalty(say: Speaker, asked: Loyalty) -> str:
    if asked.member is not None:
        return say.phrase("loyalty_member")
    if asked.tier is not None:
        return say.phrase("loyalty_tier", value=say.value(asked.tier))
    return say.count("points", asked)


def _cart(say: Speaker, asked: Cart) -> str:
    length = say.length(asked.abandoned_after or ABANDONED)
    what = say.phrase(f"cart_{asked.state}", length=length, window=say.window(asked)).strip()
    for how in ("at_least", "at_most"):
        number = getattr(asked, how)
        if number is not None:
            what = say.phrase("cart_worth", what=what, n=say.phrase(how, n=say.number(number)))
    return say.with_(what, asked.contains)


def _rfm(say: Speaker, asked: Rfm) -> str:
    scores = []
    if asked.group is not None:
        groups = [asked.group] if isinstance(asked.group, str) else asked.group
        scores.append(say.phrase("rfm_group", value=say.listed(say.quoted(say.word(one)) for one in groups)))
    for name in ("recency", "frequency", "monetary"):
        value = getattr(asked, name)
        if value is not None:
            scores.append(say.phrase("rfm_score", value=say.value(value), name=say.word(name)))
    said, window = say.phrase("comma").join(scores), say.window(asked)
    return say.phrase("rfm", scores=said, window=window) if window else said


def _near(say: Speaker, asked: Near) -> str:
    place = f"({asked.latitude}, {asked.longitude})"
    return say.phrase(f"near_{asked.of}", km=say.number(asked.km), place=place)


def _anniversary(say: Speaker, asked: Anniversary) -> str:
    key = {(False, False): "_today", (True, False): "_ahead", (False, True): "_ago", (True, True): ""}
    ahead, ago = (say.formed(say.words.units["day"], number) for number in (asked.ahead, asked.ago))
    name = "anniversary" + key[asked.ahead > 0, asked.ago > 0]
    return say.phrase(name, trait=say.quoted(asked.trait), ahead=ahead, ago=ago)


def _share(say: Speaker, asked: Share) -> str:
    parts = {"percent": say.number(asked.percent), "salt": say.quoted(asked.salt), "skip": say.number(asked.skip)}
    return say.phrase("share_skip" if asked.skip else "share", **parts)


SAYINGS: dict[type[Asked], Callable[[Speaker, Any], str]] = {
    Trait: lambda say, asked: say.compared(say.phrase("trait", name=say.quoted(asked.name)), asked),
    Event: _event,
    Aggregate: _aggregate,
    Sequence: _sequence,
    LastOrder: _last_order,
    Last: _end,
    First: _end,
    Stopped: _stopped,
    Returned: _returned,
    Orders: _orders,
    Rfm: _rfm,
    Category: _category,
    Brand: _category,
    Cart: _cart,
    Coupon: _coupon,
    Loyalty: _loyalty,
    Prefers: lambda say, asked: say.phrase("prefers", channel=say.word(asked.channel), window=say.lately(asked.within)),
    Consent: lambda say, asked: say.phrase("consent", topic=say.quoted(asked.topic), channel=say.word(asked.channel)),
    Reachable: lambda say, asked: say.phrase("reachable", channel=say.word(asked.channel)),
    Country: lambda say, asked: say.phrase("country", value=say.listed(one.upper() for one in asked.one_of)),
    Near: _near,
    Anniversary: _anniversary,
    InSegment: lambda say, asked: say.phrase("segment", name=say.quoted(asked.name)),
    OnList: lambda say, asked: say.phrase("list", name=say.quoted(asked.name)),
    Share: _share,
}
"""How each kind of condition is said."""
