"""A journey as a document: read and written without loss, refused with the place that is wrong, made into positions."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.journeys.document import graph, parse, written
from onevoice.kernel.errors import InvalidInput
from tests.journeys.builders import WINBACK

WORD = st.text("abcdefghij -_é", min_size=1, max_size=12)
WAIT = st.builds("{} {}s".format, st.integers(1, 500), st.sampled_from(["minute", "hour", "day"]))
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
WHERE = st.dictionaries(WORD, st.one_of(st.integers(), st.booleans(), st.just({"at_least": 2})), max_size=2)
CONDITION = st.sampled_from(
    [{"segment": {"name": "vip"}}, {"not": {"trait": {"name": "city", "equals": "Roma"}}}, {"orders": {"at_least": 2}}]
)
EVENT = st.fixed_dictionaries({"event": WORD}, optional={"where": WHERE, "key": WORD})
HAPPENING = st.one_of(EVENT, st.fixed_dictionaries({"when": CONDITION}))


def some(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


SEND = some({"channel": WORD, "template": WORD}, wait=WAIT, content=WORD)
STOPS = st.lists(st.one_of(st.sampled_from(["delivered", "opened", "replied", "ordered"]), some({"event": WORD})))
CASCADE = some(
    {"channels": st.lists(SEND, min_size=1, max_size=4)}, stop_on=STOPS, on_failure=st.sampled_from(["next", "wait"])
)
SCHEDULE = st.one_of(
    some({"at": CLOCK, "every": st.just("day")}, zone=st.just("Africa/Cairo")),
    st.just({"at": "09:00", "every": "week", "on": ["monday", "friday"]}),
    st.just({"at": "09:00", "every": "month", "on": [1, "last"]}),
    st.just({"at": "09:00", "dates": ["2026-12-24"]}),
)
ENTRY = st.one_of(
    some({"segment": WORD}, reentry=st.sampled_from(["never", "always", "30 days"]), who=CONDITION),
    some({"left": WORD}),
    st.just({"event": {"name": "Cart Updated", "key": "cart_id", "where": {"total": {"above": 5}}}}),
    some({"event": some({"name": WORD}, where=WHERE)}, reentry=WAIT),
    some({"schedule": SCHEDULE}, who=CONDITION),
    st.just({"date": {"trait": "birthday", "offset": "-3 days", "at": "10:00"}}),
    st.just({"api": True}),
    st.just({"code": {"to": "https://shop.example/"}}),
)
PLAIN = st.one_of(
    some({"cascade": CASCADE}),
    some({"send": SEND}),
    some({"wait": WAIT}),
    some({"wait": some({"at": CLOCK}, on=st.just(["saturday"]))}),
    st.just({"wait": {"date": "expires", "offset": "-2 days", "at": "09:00"}}),
    st.just({"update": {"tier": "gold", "score": 2.5, "old": None}}),
    some({"event": some({"name": WORD}, properties=st.just({"a": [1, {"b": None}]}))}),
    st.just({"webhook": {"url": "https://shop.example/hook", "data": {"x": 1}}}),
    some({"call": some({"template": WORD}, wait=WAIT)}),
    some({"audience": some({"add": WORD})}),
    some({"coupon": some({"pool": WORD}, valid=WAIT)}),
    some({"points": some({"amount": st.integers(1, 900)})}),
    some({"note": WORD}),
    some({"exit": some({}, reason=WORD)}),
)


def _nesting(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    steps = st.lists(inner, max_size=2)
    path = st.fixed_dictionaries({"if": CONDITION, "steps": steps}, optional={"title": WORD})
    until = st.one_of(EVENT, st.just({"reply": True}), st.fixed_dictionaries({"when": CONDITION}))
    return st.one_of(
        some({"branch": some({"paths": st.lists(path, min_size=1, max_size=2)}, **{"else": steps})}),
        some({"wait": st.tuples(until, steps).map(lambda two: {**two[0], "timeout": "3 days", "then": two[1]})}),
        st.tuples(steps, steps).map(
            lambda two: {"split": {"variants": [{"name": f"v{n}", "steps": one} for n, one in enumerate(two)]}}
        ),
    )


KIND = st.recursive(PLAIN, _nesting, max_leaves=5)
HOURS = st.tuples(CLOCK, CLOCK).filter(lambda pair: pair[0] != pair[1]).map(lambda p: {"from": p[0], "to": p[1]})
CAP = st.fixed_dictionaries({"messages": st.integers(1, 50), "days": st.integers(1, 90)})


def document_of(entry: Any, kinds: list[Any], rest: dict[str, Any]) -> dict[str, Any]:
    steps = [_step_of(kind, count) for count in [iter(range(10_000))] for kind in kinds]
    last = {"id": "last", "send": {"channel": "email", "template": "t"}}
    return {"kind": "journey", "name": "j", "topic": "offers", "entry": entry, "steps": [*steps, last], **rest}


def _step_of(kind: dict[str, Any], count: Any) -> dict[str, Any]:
    """A kind with an id, and its nested steps with theirs."""
    ((name, asked),) = kind.items()
    inside = {"branch": ["else"], "wait": ["then", "else"], "split": []}.get(name)
    if inside is not None and isinstance(asked, dict):
        asked = {
            key: [_step_of(one, count) for one in value] if key in inside else value for key, value in asked.items()
        }
        for several in ("paths", "variants"):
            if several in asked:
                asked[several] = [
                    {**one, "steps": [_step_of(step, count) for step in one["steps"]]} for one in asked[several]
                ]
    return {"id": f"s{next(count)}", name: asked}


DOCUMENT = st.builds(
    document_of,
    ENTRY,
    st.lists(KIND, max_size=5),
    some(
        {},
        title=WORD,
        holdout=st.floats(0, 0.99),
        control=st.booleans(),
        goal=HAPPENING,
        exit=HAPPENING,
        priority=st.integers(-5, 5),
        transactional=st.booleans(),
        policy=some({}, cap=CAP, quiet_hours=HOURS),
        status=st.sampled_from(["draft", "live", "paused", "stopped", "archived"]),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENT)
def test_a_document_is_written_as_it_was_read(document: dict[str, Any]) -> None:
    journey = parse(document)
    again = yaml.safe_load(yaml.safe_dump(written(journey)))
    assert parse(again) == journey
    assert written(parse(again)) == written(journey)


def test_what_is_not_said_is_not_written() -> None:
    document = yaml.safe_load(WINBACK)
    assert written(parse(document)) == document


def changed(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(WINBACK), **changes}


def steps(*found: dict[str, Any]) -> dict[str, Any]:
    return changed(steps=list(found))


SEND_ONE = {"channel": "email", "template": "t"}


def branch(condition: Any, *inner: Any) -> dict[str, Any]:
    return steps({"id": "a", "branch": {"paths": [{"if": condition, "steps": list(inner)}]}})


def inside(step: dict[str, Any]) -> dict[str, Any]:
    return branch({"orders": {"at_least": 1}}, step)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (["no mapping"], "Expected `object`"),
        (changed(nmae="x"), "unknown field `nmae`"),
        (changed(entry={}), "$.entry"),
        (changed(entry={"segment": "a", "reentry": "daily"}), "$.entry.reentry"),
        (changed(holdout=1.0), "$.holdout"),
        (changed(holdout=-0.1), "$.holdout"),
        (changed(policy={"cap": {"messages": 0, "days": 7}}), "$.policy.cap.messages"),
        (changed(policy={"cap": {"messages": 3, "days": 0}}), "$.policy.cap.days"),
        (changed(policy={"quiet_hours": {"from": 1260, "to": "08:00"}}), "$.policy.quiet_hours.from"),
        (changed(policy={"quiet_hours": {"from": "9pm", "to": "08:00"}}), "$.policy.quiet_hours.from"),
        (changed(policy={"quiet_hours": {"from": "21:00", "to": "08:00+02:00"}}), "$.policy.quiet_hours.to"),
        (changed(policy={"quiet_hours": {"from": "21:00", "to": "21:00"}}), "$.policy.quiet_hours"),
        (steps(), "$.steps"),
        (steps({"id": "a", "wait": "3 days"}), "does nothing"),
        (steps({"id": "a", "wait": "3 dyas"}), "$.steps[0].wait"),
        (steps({"id": "a", "wait": "99999 weeks"}), "at most 3660 days"),
        (steps({"id": "a", "send": {**SEND_ONE, "wait": "soon"}}), "$.steps[0].send.wait"),
        (steps({"id": "a", "cascade": {"channels": [SEND_ONE, {**SEND_ONE, "wait": "-1 days"}]}}), "channels[1].wait"),
        (steps({"id": "a", "cascade": {"channels": []}}), "$.steps[0].cascade.channels"),
        (steps({"id": "a", "cascade": {"channels": [SEND_ONE], "stop_on": ["bought"]}}), "stop_on[0]"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "b", "brnch": {}}), "there is no step `brnch`"),
        (
            steps({"id": "a", "send": SEND_ONE}, {"id": "b", "brnch": {}}),
            "exit - at `$.steps[1].brnch`",
        ),
        (steps({"id": "a"}), "give exactly one of send, cascade, wait"),
        (steps({"id": "a", "send": SEND_ONE, "wait": "1 day"}), "exactly one"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "a", "send": SEND_ONE}), "two steps have the id `a`"),
        (steps({"id": "a/0", "send": SEND_ONE}), "$.steps[0].id"),
        (
            inside({"id": "b", "send": {"channel": 1, "template": "t"}}),
            "$.steps[0].branch.paths[0].steps[0].send.channel`",
        ),
        (inside({"id": "b", "wait": "soon"}), "$.steps[0].branch.paths[0].steps[0].wait"),
        (inside({"id": "a", "wait": "1 day"}), "two steps have the id `a` - at `$.steps[0].branch.paths[0].steps[0]`"),
        (branch({"orders": {"at_lest": 2}}), "branch.paths[0].if.orders"),
        (steps({"id": "a", "wait": {"event": "Order Completed"}}), "give a `timeout`"),
        (
            steps({"id": "a", "wait": {"event": "X", "reply": True, "timeout": "1 day"}}),
            "one of event, when, reply",
        ),
        (steps({"id": "a", "wait": {"at": "09:00", "then": []}, "x": 1}), "no step `x`"),
        (steps({"id": "a", "wait": {"at": "9"}}), "$.steps[0].wait.at"),
        (steps({"id": "a", "split": {"variants": [{"name": "x"}]}}), "$.steps[0].split.variants"),
        (steps({"id": "a", "split": {"variants": [{"name": "x"}, {"name": "x"}]}}), "the same name"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "b", "jump": {"to": "c"}}), "no step `c`; steps are a, b"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "b", "jump": {"to": "a"}}), "lead back to each other"),
        (
            steps({"id": "a", "send": SEND_ONE}, {"id": "w", "wait": "0 days"}, {"id": "b", "jump": {"to": "a"}}),
            "lead back",
        ),
        (steps({"id": "a", "webhook": {"url": "ftp://x"}}), "$.steps[0].webhook.url"),
        (steps({"id": "a", "audience": {}}), "exactly one of add, remove"),
        (changed(entry={"segment": "a", "left": "a"}), "exactly one of segment, left, event"),
        (changed(entry={"segment": "a", "reentry": "per key"}), "needs an entry by `event` with a `key`"),
        (changed(entry={"schedule": {"at": "09:00"}}), "exactly one of every, dates"),
        (changed(entry={"schedule": {"at": "09:00", "every": "week"}}), "which weekdays"),
        (changed(entry={"schedule": {"at": "09:00", "every": "day", "zone": "Roma"}}), "$.entry.schedule.zone"),
        (changed(goal={"event": "X", "when": {"orders": {"at_least": 1}}}), "exactly one of event, when - at `$.goal`"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(document: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(document)
    assert told in refused.value.message


def test_a_graph_has_a_node_for_each_place_where_one_may_stand_and_the_ways_from_it() -> None:
    channels = [{**SEND_ONE, "wait": "3 days"}, {"channel": "push", "template": "p", "wait": "2 hours"}]
    found = graph(
        parse(
            steps(
                {"id": "begin", "wait": "30 minutes"},
                {"id": "reach", "cascade": {"channels": channels}},
                {
                    "id": "ask",
                    "branch": {"paths": [{"if": {"orders": {"at_least": 1}}, "steps": [{"id": "bye", "exit": {}}]}]},
                },
                {"id": "word", "note": "nothing to do here"},
                {"id": "last", "send": SEND_ONE},
            )
        )
    )
    assert found.first == "begin"
    assert {key: dict(node.ways) for key, node in found.nodes.items()} == {
        "begin": {"held": "begin/held"},
        "begin/held": {"next": "reach/0"},
        "reach/0": {"next": "reach/1", "sent": "reach/1", "beyond": "ask"},
        "reach/1": {"next": "ask", "sent": "reach/rest", "beyond": "ask"},
        "reach/rest": {"next": "ask"},
        "ask": {"0": "bye", "else": "last"},
        "bye": {"next": ""},
        "last": {"next": "", "sent": ""},
    }
    order = list(found.nodes)
    assert all(order.index(key) < order.index(to) for key in order for to in found.nodes[key].ways.values() if to)
