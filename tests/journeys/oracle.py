"""A model of the tick that walks one person after the other in plain Python, and random journeys for it to walk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from onevoice.journeys.matching import REPLIED
from onevoice.journeys.spans import WEEKDAYS, duration
from onevoice.kernel.ids import identifier_id
from tests.journeys.builders import CHANNELS

LATEST = timedelta(days=3)
PRIME = 2**31 - 1
ZONES = {1: "UTC", 2: "Asia/Tokyo", 3: "America/New_York", 4: "Europe/Rome"}
PEOPLE = tuple(ZONES)
KEYS = ("k1", "k2")


class Exit(Exception):
    """Out of the journey."""


@dataclass(frozen=True)
class Did:
    """Something a person did."""

    at: datetime
    name: str
    key: str
    channel: str


@dataclass
class Message:
    """What a person was sent."""

    node: str
    channel: str
    at: datetime
    content: str
    opened: bool = False
    failed: bool = False


@dataclass
class Person:
    """One person: where they live and can be reached, how well they answer on a channel, what they did."""

    number: int
    channels: tuple[str, ...]
    rates: dict[str, float] = field(default_factory=dict)
    events: list[Did] = field(default_factory=list)
    ways: list["Way"] = field(default_factory=list)
    heard: int = 0  # how many of the events let them in already, or did not

    def tick(self, document: dict[str, Any], now: datetime) -> None:
        """Comes in where they may, and goes as far as they can."""
        entry = document["entry"]
        for at, key in self._entries(entry, now):
            self.ways.append(Way(document, self, at, key))
        self.heard = len(self.events)
        for way in self.ways:
            way.tick(now)

    def _entries(self, entry: dict[str, Any], now: datetime) -> list[tuple[datetime, str]]:
        rule = entry.get("reentry", "never")
        if "segment" in entry:
            come = [(now, "")]
        else:
            news = [did for did in self.events[self.heard :] if did.name == "enter" and did.at > now - LATEST]
            has_key = "key" in entry["event"]
            come = [(did.at, did.key if has_key else "") for did in sorted(news, key=lambda did: did.at)]
        if rule == "per key":
            inside = {way.key for way in self.ways}
            return [one for place, one in enumerate(come) if one[1] not in {*inside, *(k for _, k in come[:place])}]
        if not come or any(not way.is_over for way in self.ways):
            return []
        last = max((way.entered for way in self.ways), default=None)
        if rule == "never":
            return [] if self.ways else come[:1]
        if rule == "always" or last is None:
            return come[:1]
        return come[:1] if last <= now - duration(rule, "") else []


class Way:
    """One person's way through a journey. `at` is when they are due where they are."""

    def __init__(self, document: dict[str, Any], person: Person, entered: datetime, key: str) -> None:
        self.document, self.person, self.entered, self.key = document, person, entered, key
        self.at = self.now = entered
        self.passes = 0
        self.messages: list[Message] = []
        self.passed: list[tuple[str, str]] = []
        self.effects: list[str] = []
        self.is_over = False
        self.walk = self._journey(document["steps"])

    def tick(self, now: datetime) -> None:
        """Goes as far as they can at `now`."""
        self.now = now
        if self.is_over:
            return
        if self._reached_goal():
            self.is_over = True
            return
        try:
            while next(self.walk):
                pass
        except (Exit, StopIteration):
            self.is_over = True

    def _reached_goal(self) -> bool:
        goal = self.document.get("goal") or {}
        return any(
            did.name == goal.get("event") and did.at > self.entered and ("key" not in goal or did.key == self.key)
            for did in self.person.events
        )

    def _journey(self, steps: list[dict[str, Any]]) -> Iterator[bool]:
        """Yields False where they must wait for another tick."""
        place = 0
        while place < len(steps):
            step = steps[place]
            place += 1
            if "jump" in step:
                if self.passes < step["jump"]["times"]:
                    place = [one["id"] for one in steps].index(step["jump"]["to"])
                self.passes += 1
                continue
            yield from self._step(step)

    def _step(self, step: dict[str, Any]) -> Iterator[bool]:
        (kind,) = set(step) - {"id"}
        asked, name = step[kind], step["id"]
        if kind == "send":
            if not self._has_answered(asked) and self._sent(name, asked):
                yield from self._until(self.now + duration(asked.get("wait", "0 days"), ""))
        elif kind == "cascade":
            yield from self._cascade(name, asked)
        elif kind == "update":
            self.effects.append(name)
        elif kind == "exit":
            raise Exit
        elif kind == "branch":
            yield from self._branch(name, asked)
        elif kind == "split":
            yield from self._split(name, asked)
        elif isinstance(asked, str):
            yield from self._until(self.at + duration(asked, ""))
        elif "at" in asked:
            # In a loop the same instant does not come again.
            since = self.now + timedelta(microseconds=1) * ("jump" in self.document["steps"][-1])
            yield from self._until(max(self.at, self._clock(since, asked["at"], asked.get("on", ()))))
        else:
            yield from self._happening(name, asked)

    def _until(self, at: datetime) -> Iterator[bool]:
        self.at = at
        while self.now < at:
            yield False

    def _clock(self, since: datetime, wall: str, days: Any) -> datetime:
        """When their clock shows the time next. A time that is skipped counts as an hour later, of two the first."""
        zone, at = ZoneInfo(ZONES[self.person.number]), time.fromisoformat(wall)
        first = since.astimezone(zone).date() - timedelta(days=1)
        for day in (first + timedelta(days=number) for number in range(10)):
            found = _shown(zone, day, at) or _shown(zone, day, time(at.hour + 1, at.minute))
            assert found is not None
            if found >= since and (not days or WEEKDAYS[day.weekday()] in days):
                return found
        raise AssertionError("no such day")

    def _happening(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        since, end = self.at, self.at + duration(asked["timeout"], "")
        while True:
            came = self._came(asked, since, end)
            if came or end <= self.now:
                break
            yield False
        self.at = min(came) if came else end
        self.passed.append((name, "met" if came else "late"))
        for one in asked["then"] if came else asked["else"]:
            yield from self._step(one)

    def _came(self, asked: dict[str, Any], since: datetime, end: datetime) -> list[datetime]:
        if "when" in asked:
            return [self.now] if self.now <= end and self._meets(asked["when"]) else []
        name = REPLIED if "reply" in asked else asked["event"]
        return [
            did.at
            for did in self.person.events
            if did.name == name
            and since < did.at <= end
            and asked.get("reply", True) in (True, did.channel)
            and ("key" not in asked or did.key == self.key)
        ]

    def _meets(self, condition: dict[str, Any]) -> bool:
        if "trait" in condition:
            return self.person.number == condition["trait"]["equals"]
        counted = sum(did.name == condition["event"]["name"] for did in self.person.events)
        return counted >= condition["event"]["at_least"]

    def _branch(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        met = [number for number, path in enumerate(asked["paths"]) if self._meets(path["if"])]
        self.passed.append((name, str(met[0]) if met else "else"))
        for one in asked["paths"][met[0]]["steps"] if met else asked["else"]:
            yield from self._step(one)

    def _split(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        salt = identifier_id("split", f"random|{name}") % (PRIME - 2) + 1
        share = self.person.number * salt % PRIME / PRIME
        total, so_far = sum(variant["weight"] for variant in asked["variants"]), 0
        for variant in asked["variants"]:
            so_far += variant["weight"]
            if share < so_far / total:
                break
        self.passed.append((name, variant["name"]))
        for one in variant["steps"]:
            yield from self._step(one)

    def _cascade(self, name: str, asked: dict[str, Any]) -> Iterator[bool]:
        first, reached = len(self.messages), min(self.at, self.now)
        sends, prices = asked["channels"], asked.get("prices", {})
        if asked.get("order") == "best":
            score = {one["channel"]: self.person.rates.get(one["channel"], 0) for one in sends}
            sends = sorted(sends, key=lambda one: prices.get(one["channel"], 0) - score[one["channel"]])
        gives_way = asked.get("on_failure", "next") == "next"
        for place, send in enumerate(sends):
            if self.now - self.at > LATEST or (place and self._stopped(asked, first, reached)):
                return
            if self._has_answered(send):
                return
            if self._sent(f"{name}/{place}", send):
                sent, is_last = self.messages[-1], place == len(sends) - 1
                at = self.now + duration(send.get("wait", "0 days"), "")
                while self.now < at:
                    if sent.failed and gives_way and not is_last:
                        at = self.now
                        break
                    yield False
                self.at = at

    def _stopped(self, asked: dict[str, Any], first: int, reached: datetime) -> bool:
        for stop in (one if isinstance(one, str) else one["event"] for one in asked.get("stop_on", ["opened"])):
            if stop == "opened" and any(message.opened for message in self.messages[first:]):
                return True
            if stop != "opened" and any(did.name == stop and did.at > reached for did in self.person.events):
                return True
        return False

    def _has_answered(self, send: dict[str, Any]) -> bool:
        """Whether they have opened the same content before, wherever it came from; what is too late is not asked."""
        content = send.get("content", "")
        if not content or self.now - self.at > LATEST:
            return False
        sent = [message for way in self.person.ways for message in way.messages]
        return any(message.opened and message.content == content for message in sent)

    def _sent(self, node: str, send: dict[str, Any]) -> bool:
        if self.now - self.at > LATEST or send["channel"] not in self.person.channels:
            return False
        self.messages.append(Message(node, send["channel"], self.now, send.get("content", "")))
        self.at = self.now
        return True


def _shown(zone: ZoneInfo, day: date, at: time) -> datetime | None:
    """The first instant at which the clocks of a zone show a time on a day; None where they skip it."""
    around = datetime.combine(day, at, UTC)
    offsets = {(around + timedelta(hours=hours)).astimezone(zone).utcoffset() or timedelta() for hours in (-24, 24)}
    wall = datetime.combine(day, at)
    shown = [found for away in offsets if (found := around - away).astimezone(zone).replace(tzinfo=None) == wall]
    return min(shown, default=None)


# -- random journeys

WAIT = st.sampled_from(["1 hour", "5 hours", "30 hours", "4 days"])
CHANNEL = st.sampled_from(CHANNELS)
SEND = st.fixed_dictionaries(
    {"channel": CHANNEL, "template": st.just("t"), "wait": st.just("0 days") | WAIT},
    optional={"content": st.just("same")},
)
CONDITION = st.one_of(
    st.builds(lambda number: {"trait": {"name": "number", "equals": number}}, st.sampled_from(PEOPLE)),
    st.builds(lambda name, n: {"event": {"name": name, "at_least": n}}, st.sampled_from("ab"), st.integers(1, 2)),
)
STOP = st.sampled_from([["opened"], ["clicked"], ["opened", {"event": "a"}]])


def _cascade(sends: list[Any], is_best: bool, prices: Any, options: dict[str, Any]) -> dict[str, Any]:
    best = {"order": "best", "prices": {k: v for k, v in prices.items() if k in {one["channel"] for one in sends}}}
    return {"cascade": {"channels": sends, **options, **(best if is_best else {})}}


CASCADE = st.builds(
    _cascade,
    st.lists(SEND, min_size=2, max_size=3, unique_by=lambda one: str(one["channel"])),
    st.booleans(),
    st.dictionaries(CHANNEL, st.sampled_from([0.25, 0.75])),
    st.fixed_dictionaries({}, optional={"stop_on": STOP, "on_failure": st.sampled_from(["next", "wait"])}),
)
CLOCK = st.fixed_dictionaries(
    {"at": st.sampled_from(["02:30", "09:00", "18:30"])},
    optional={"on": st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3, unique=True)},
)
PLAIN = st.one_of(
    CASCADE,
    st.fixed_dictionaries({"send": SEND}),
    CASCADE,
    st.fixed_dictionaries({"wait": CLOCK}),
    st.fixed_dictionaries({"wait": WAIT}),
    CASCADE,
    st.sampled_from([{"update": {"seen": 1}}, {"update": {"seen": 1}}, {"update": {"seen": 1}}, {"exit": {}}]),
)


def _branch(paths: list[Any], others: list[Any]) -> dict[str, Any]:
    return {"branch": {"paths": [{"if": condition, "steps": steps} for condition, steps in paths], "else": others}}


def _split(variants: list[Any]) -> dict[str, Any]:
    named = [{"name": f"v{n}", "steps": steps, "weight": weight} for n, (weight, steps) in enumerate(variants)]
    return {"split": {"variants": named}}


def _wait(what: dict[str, Any], timeout: str, steps: list[Any], others: list[Any]) -> dict[str, Any]:
    return {"wait": {**what, "timeout": timeout, "then": steps, "else": others}}


HAPPENING = st.one_of(
    st.builds(lambda name: {"event": name}, st.sampled_from("ab")),
    st.builds(lambda name: {"event": name, "key": "k"}, st.sampled_from("ab")),
    st.builds(lambda tree: {"when": tree}, CONDITION),
    st.builds(lambda by: {"reply": by}, st.just(True) | CHANNEL),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=2)
    return st.one_of(
        st.builds(_branch, st.lists(st.tuples(CONDITION, some), min_size=1, max_size=2), some),
        st.builds(_split, st.lists(st.tuples(st.integers(1, 3), some), min_size=2, max_size=3)),
        st.builds(_wait, HAPPENING, WAIT, some, some),
        st.builds(_wait, HAPPENING, st.just("4 days"), some, some),
    )


STEP = st.recursive(PLAIN, _nested, max_leaves=4)


def named(step: dict[str, Any], count: Iterator[int]) -> dict[str, Any]:
    """The step and those in it with ids."""
    ((kind, asked),) = step.items()

    def inside(steps: list[Any]) -> list[Any]:
        return [named(one, count) for one in steps]

    if kind == "branch":
        paths = [{**path, "steps": inside(path["steps"])} for path in asked["paths"]]
        asked = {"paths": paths, "else": inside(asked["else"])}
    elif kind == "split":
        asked = {"variants": [{**one, "steps": inside(one["steps"])} for one in asked["variants"]]}
    elif kind == "wait" and "timeout" in asked:
        asked = {**asked, **{side: inside(asked[side]) for side in ("then", "else")}}
    return {"id": f"s{next(count)}", kind: asked}


ENTRY = st.one_of(
    st.just({"segment": "dormant"}),
    st.just({"segment": "dormant", "reentry": "2 days"}),
    st.builds(
        lambda rule: {"event": {"name": "enter"}, "reentry": rule}, st.sampled_from(["never", "always", "2 days"])
    ),
    st.just({"event": {"name": "enter", "key": "k"}, "reentry": "per key"}),
)


def _document(steps: tuple[Any, ...], loop: int | None, goal: Any, entry: dict[str, Any]) -> dict[str, Any]:
    count = iter(range(1_000))
    found = [named(step, count) for step in steps]
    found.append({"id": "last", "update": {"seen": 2}})
    if loop is not None:
        back = {"id": "back", "jump": {"to": found[loop % len(found)]["id"], "times": 2}}
        found += [{"id": "pause", "wait": "20 hours"}, back]
    return {"steps": found, "goal": goal, "entry": entry}


DOCUMENT = st.builds(
    _document,
    st.tuples(CASCADE | STEP, STEP, CASCADE | STEP) | st.tuples(STEP, CASCADE),
    st.none() | st.integers(0, 5),
    st.sampled_from([None, None, None, {"event": "goal"}, {"event": "goal", "key": "k"}]),
    ENTRY,
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 60) | st.integers(0, 200),
        st.sampled_from(PEOPLE),
        st.sampled_from(["enter", "enter", "enter", "a", "a", "b", "b", "goal", REPLIED]),
        st.sampled_from(KEYS),
        CHANNEL,
    ),
    min_size=8,
    max_size=24,
)
PAUSES = st.lists(st.sampled_from([1, 2, 3, 7, 24, 100]), min_size=5, max_size=8)
OF_PEOPLE = st.fixed_dictionaries({number: st.sets(CHANNEL, min_size=2) for number in PEOPLE})
ON_CHANNELS = st.sets(st.tuples(st.sampled_from(PEOPLE), CHANNEL), min_size=2, max_size=7)
RATES = st.dictionaries(
    st.tuples(st.sampled_from(PEOPLE), CHANNEL), st.sampled_from([0.25, 0.5, 1.0]), min_size=2, max_size=8
)
