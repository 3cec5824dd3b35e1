"""A journey in words, in each of our languages: its entry, its steps, where people stand, what a new version changes.

What its conditions ask is said by the segments' own sentences; the words of journeys are in `wording/`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from onevoice.journeys.document import Document, graph
from onevoice.journeys.entries import DateEntry, Entry, Schedule
from onevoice.journeys.spans import Happening, offset
from onevoice.journeys.steps import Node, Step, kind_of
from onevoice.journeys.wording import COUNTS, PHRASES, TERMS
from onevoice.kernel.locales import RIGHT_TO_LEFT, language
from onevoice.segments.sentence import speaker
from onevoice.segments.tree import condition

ISOLATED = "\u2068{}\u2069"
"""Where text runs from right to left, a name keeps its own direction, and names side by side keep their order (Unicode
Standard Annex 9, FSI and PDI)."""


class Telling:
    """Tells of journeys in the language of a locale (`en` where we do not speak it)."""

    def __init__(self, locale: str = "en") -> None:
        self.language = language(locale)
        self.phrases, self.counts = PHRASES[self.language], COUNTS[self.language]
        self.terms = TERMS[self.language]
        self.say = speaker(locale)

    # -- words

    def phrase(self, phrase: str, /, **parts: object) -> str:
        """A phrase with its parts."""
        return self.phrases[phrase].format(**parts)

    def count(self, phrase: str, number: float, /, **parts: object) -> str:
        """A phrase that goes by a number, in the number's plural form."""
        return self.say.formed(self.counts[phrase], number, **{name: str(part) for name, part in parts.items()})

    def term(self, word: str) -> str:
        """A word of documents; one that is none stays as it is."""
        return self.terms.get(word) or self.say.word(word)

    def name(self, text: object) -> str:
        """A name that somebody gave, in quotes."""
        quoted = self.say.quoted(text)
        return ISOLATED.format(quoted) if self.language in RIGHT_TO_LEFT else quoted

    def listed(self, parts: Iterable[str]) -> str:
        """Side by side."""
        return self.say.phrase("comma").join(parts)

    def clause(self, tree: Mapping[str, Any]) -> str:
        """What those have who meet a condition: `have at least 2 orders`."""
        return self.say.clause(condition(dict(tree)), False, None)

    def happening(self, asked: Any) -> str:
        """An event with its properties."""
        return self.say.with_(self.name(asked.event), asked.where)

    # -- the parts of a document

    def entry(self, entry: Entry) -> str:
        """Who comes in."""
        who = self._enters(entry)
        if entry.who is not None:
            who = self.phrase("entry_who", who=who, clause=self.clause(entry.who))
        keys = {"never": "again_never", "always": "again_always", "per key": "again_key"}
        if entry.rule in keys:
            again = self.phrase(keys[entry.rule])
        else:
            again = self.phrase("again_after", length=self.say.length(entry.rule))
        return self.phrase("entry", who=who, again=again)

    def _enters(self, entry: Entry) -> str:
        if entry.event is not None:
            event = self.say.with_(self.name(entry.event.name), entry.event.where)
            if entry.event.key:
                return self.phrase("enter_event_key", event=event, key=self.name(entry.event.key))
            return self.phrase("enter_event", event=event)
        if entry.schedule is not None:
            return self._schedule(entry.schedule)
        if entry.date is not None:
            day = self.day(entry.date.trait, entry.date.offset)
            return self.phrase(f"enter_date_{entry.date.every}", day=day, at=entry.date.at)
        if entry.code is not None:
            return self.phrase("enter_code", to=self.name(entry.code.to))
        if entry.api:
            return self.phrase("enter_api")
        key, name = ("enter_segment", entry.segment) if entry.segment is not None else ("enter_left", entry.left)
        return self.phrase(key, name=self.name(name))

    def _schedule(self, asked: Schedule) -> str:
        key = f"every_{asked.every}" if asked.every else "on_dates"
        days = [self._on(one) for one in asked.on] or [self.say.date(str(day)) for day in asked.dates]
        when = self.phrase(key, days=self.listed(days))
        return self.phrase("enter_schedule", when=when, at=asked.at, zone=self.name(asked.zone))

    def _on(self, day: str | int) -> str:
        if isinstance(day, int):
            return self.phrase("day_of_month", n=day)
        return self.phrase("last_day") if day == "last" else self.term(day)

    def day(self, trait: str, shift: str | None) -> str:
        """The day that a trait says, or so long before it or after it."""
        away = offset(shift or DateEntry(trait).offset, "")
        if not away:
            return self.phrase("the_day", trait=self.name(trait))
        key = "day_after" if away.days >= 0 else "day_before"
        return self.phrase(key, trait=self.name(trait), length=self.say.length((shift or "").strip().lstrip("-")))

    def ends_by(self, asked: Happening | None) -> str:
        """What ends a journey; nothing where nothing does."""
        if asked is None:
            return ""
        if asked.when is not None:
            return self.phrase("happens_when", clause=self.clause(asked.when))
        if asked.key:
            return self.phrase("happens_key", event=self.happening(asked), key=self.name(asked.key))
        return self.phrase("happens", event=self.happening(asked))

    # -- steps

    def step(self, step: Step) -> str:
        """One step, without those within it."""
        tell = _KINDS.get(step.kind)
        if tell is not None:
            return tell(self, step.asked)
        return self.phrase("step_other", kind=step.kind, asked=step.asked)

    def send(self, asked: Any) -> str:
        """A message, with the time its reader is given."""
        sent = self.phrase("send", channel=self.term(asked.channel), template=self.name(asked.template))
        return sent if asked.wait.startswith("0") else self.phrase("send_wait", send=sent, length=self.length(asked))

    def length(self, asked: Any) -> str:
        """Of a step's `wait`."""
        return self.say.length(asked.wait)

    # -- places

    def place(self, node: Node) -> str:
        """Where somebody stands, as a person calls it: not by the node's key."""
        name = self.name(node.step)
        if node.part in ("", "held"):
            return self.phrase("place_waits", step=name) if node.part else name
        if node.part == "rest":
            return self.phrase("place_rest", step=name)
        channels = getattr(node.asked, "channels", ())
        if node.part.isdigit() and int(node.part) < len(channels):
            number = int(node.part)
            return self.phrase("place_channel", step=name, n=number + 1, channel=self.term(channels[number].channel))
        return self.name(node.key)

    def places(self, journey: Document) -> dict[str, str]:
        """Every place of a journey by its node's key, with the branches that lead to it."""
        trails = self.trails(journey)
        return {key: trails[node.step] + self.place(node) for key, node in graph(journey).nodes.items()}

    def trails(self, journey: Document) -> dict[str, str]:
        """By step, the steps that it is within and which of their ways leads to it: `vip › path 1 › `."""
        found: dict[str, str] = {}

        def walk(steps: Iterable[Step], so_far: str) -> None:
            for step in steps:
                found[step.id] = so_far
                for inner, nested in kind_of(step).nested(step.asked):
                    walk(nested, f"{so_far}{self.name(step.id)} › {self._way(step, inner)} › ")

        walk(journey.steps, "")
        return found

    def _way(self, step: Step, inner: str) -> str:
        if step.kind == "wait":
            return self.term("met" if inner == ".then" else "late")
        if inner == ".else":
            return self.term("else")
        number = int(inner.partition("[")[2].partition("]")[0])
        if step.kind == "branch":
            return self.path(step.asked.paths[number], number)
        return self.name(step.asked.variants[number].name)

    def path(self, path: Any, number: int) -> str:
        """A branch's path by its name or its number."""
        return self.name(path.title) if path.title else self.phrase("path_number", n=number + 1)


def said(step: Step, locale: str = "en") -> str:
    """One step as a sentence."""
    return Telling(locale).step(step)


def _cascade(tell: Telling, asked: Any) -> str:
    stops = [tell.term(one) if isinstance(one, str) else tell.happening(one) for one in asked.stop_on]
    key = "step_cascade_best" if asked.order == "best" else "step_cascade"
    sends = tell.phrase("semicolon").join(tell.send(send) for send in asked.channels)
    told = tell.phrase("stops_on", stops=tell.say.listed(stops)) if stops else tell.phrase("stops_never")
    return tell.phrase(key, sends=sends, stops=told)


def _wait(tell: Telling, asked: Any) -> str:
    if isinstance(asked, str):
        return tell.phrase("step_wait", length=tell.say.length(asked))
    days = tell.listed(tell.term(day) for day in asked.on)
    if asked.is_for_something:
        length = tell.say.length(asked.timeout)
        if asked.when is not None:
            return tell.phrase("step_wait_when", clause=tell.clause(asked.when), length=length)
        if asked.event:
            what = tell.happening(asked)
        elif isinstance(asked.reply, str):
            what = tell.phrase("reply_on", channel=tell.term(asked.reply))
        else:
            what = tell.phrase("reply")
        return tell.phrase("step_wait_for", what=what, length=length)
    if asked.date is not None:
        key = "step_wait_date_at" if asked.at else "step_wait_date"
        return tell.phrase(key, day=tell.day(asked.date, asked.offset), at=asked.at)
    key = "step_wait_best" if asked.best_hour else "step_wait_at"
    return tell.phrase(f"{key}_on" if days else key, at=asked.at, days=days)


def _branch(tell: Telling, asked: Any) -> str:
    paths = [
        tell.phrase("path", name=tell.path(path, number), clause=tell.clause(path.condition))
        for number, path in enumerate(asked.paths)
    ]
    return tell.phrase("step_branch", paths=tell.phrase("semicolon").join(paths))


def _split(tell: Telling, asked: Any) -> str:
    total = sum(variant.weight for variant in asked.variants)
    shares = [(variant.name, round(100 * variant.weight / total, 1)) for variant in asked.variants]
    parts = tell.listed(tell.phrase("part", name=tell.name(name), n=tell.say.number(share)) for name, share in shares)
    if asked.bandit:
        return tell.phrase("step_split_bandit", parts=parts, measure=tell.term(asked.bandit.by))
    if asked.winner is None:
        return tell.phrase("step_split", parts=parts)
    measure = tell.term(asked.winner.by)
    if asked.winner.people:
        people = tell.count("people", asked.winner.people)
        return tell.phrase("step_split_people", parts=parts, people=people, measure=measure)
    return tell.phrase("step_split_after", parts=parts, length=tell.say.length(asked.winner.after), measure=measure)


def _update(tell: Telling, asked: Any) -> str:
    sets = (tell.phrase("set", name=tell.name(name), value=tell.say.value(value)) for name, value in asked.items())
    return tell.phrase("step_update", sets=tell.listed(sets))


def _audience(tell: Telling, asked: Any) -> str:
    key, name = ("step_add", asked.add) if asked.add else ("step_remove", asked.remove)
    return tell.phrase(key, name=tell.name(name))


def _coupon(tell: Telling, asked: Any) -> str:
    if asked.valid:
        return tell.phrase("step_coupon_valid", pool=tell.name(asked.pool), length=tell.say.length(asked.valid))
    return tell.phrase("step_coupon", pool=tell.name(asked.pool))


def _points(tell: Telling, asked: Any) -> str:
    points = tell.say.formed(tell.say.words.counts["points"], asked.amount)
    return tell.phrase("step_points", points=points, n=tell.say.number(asked.amount))


def _jump(tell: Telling, asked: Any) -> str:
    return tell.phrase("step_jump", step=tell.name(asked.to), times=tell.count("times", asked.times))


_KINDS: dict[str, Callable[[Telling, Any], str]] = {
    "send": lambda tell, asked: tell.phrase("step_send", send=tell.send(asked)),
    "cascade": _cascade,
    "wait": _wait,
    "branch": _branch,
    "split": _split,
    "update": _update,
    "event": lambda tell, asked: tell.phrase("step_event", name=tell.name(asked.name)),
    "webhook": lambda tell, asked: tell.phrase("step_webhook", url=tell.name(asked.url)),
    "call": lambda tell, asked: tell.phrase("step_call", template=tell.name(asked.template)),
    "audience": _audience,
    "coupon": _coupon,
    "points": _points,
    "note": lambda tell, asked: tell.phrase("step_note", text=asked),
    "jump": _jump,
    "exit": lambda tell, asked: tell.phrase("step_exit", reason=tell.name(asked.reason)),
}
"""How each kind of step is said."""
