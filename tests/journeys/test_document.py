"""A journey as a document: read and written without loss, refused with the place that is wrong, made into positions."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onevoice.journeys.document import parse, plan, written
from onevoice.kernel.errors import InvalidInput
from tests.journeys.builders import WINBACK

WORD = st.text("abcdefghij -_é", min_size=1, max_size=12)
WAIT = st.builds(
    "{} {}{}".format, st.integers(0, 500), st.sampled_from(["minute", "hour", "day"]), st.sampled_from("s")
)
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
SEND = st.fixed_dictionaries({"channel": WORD, "template": WORD}, optional={"wait": WAIT})
CASCADE = st.fixed_dictionaries(
    {"channels": st.lists(SEND, min_size=1, max_size=4)},
    optional={"stop_on": st.lists(st.sampled_from(["opened", "clicked"]), unique=True)},
)
KIND = st.one_of(
    st.fixed_dictionaries({"cascade": CASCADE}),
    st.fixed_dictionaries({"send": SEND}),
    st.fixed_dictionaries({"wait": WAIT}),
)
HOURS = st.tuples(CLOCK, CLOCK).filter(lambda pair: pair[0] != pair[1]).map(lambda p: {"from": p[0], "to": p[1]})
CAP = st.fixed_dictionaries({"messages": st.integers(1, 50), "days": st.integers(1, 90)})
DOCUMENT = st.fixed_dictionaries(
    {
        "kind": st.just("journey"),
        "name": WORD,
        "entry": st.fixed_dictionaries({"segment": WORD}, optional={"reentry": st.just("never")}),
        "topic": WORD,
        "steps": st.lists(KIND, min_size=1, max_size=5)
        .filter(lambda kinds: any("wait" not in kind for kind in kinds))
        .map(lambda kinds: [{"id": f"s{number}", **kind} for number, kind in enumerate(kinds)]),
    },
    optional={
        "title": WORD,
        "holdout": st.floats(0, 0.99),
        "goal": st.fixed_dictionaries({"event": WORD}),
        "policy": st.fixed_dictionaries({}, optional={"cap": CAP, "quiet_hours": HOURS}),
        "status": st.sampled_from(["draft", "live", "paused", "archived"]),
    },
)


@given(DOCUMENT)
def test_a_document_is_written_as_it_was_read(document: dict[str, Any]) -> None:
    journey = parse(document)
    again = yaml.safe_load(yaml.safe_dump(written(journey)))
    assert parse(again) == journey
    assert written(parse(again)) == written(journey)


def test_what_is_not_said_is_not_written() -> None:
    document = yaml.safe_load(WINBACK)
    assert written(parse(document)) == {**document, "entry": {"segment": "dormant", "reentry": "never"}}


def changed(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(WINBACK), **changes}


def steps(*found: dict[str, Any]) -> dict[str, Any]:
    return changed(steps=list(found))


SEND_ONE = {"channel": "email", "template": "t"}


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
        (steps({"id": "a", "wait": "3 days"}), "sends nothing"),
        (steps({"id": "a", "wait": "3 dyas"}), "$.steps[0].wait"),
        (steps({"id": "a", "wait": "99999 weeks"}), "at most 3660 days"),
        (steps({"id": "a", "send": {**SEND_ONE, "wait": "soon"}}), "$.steps[0].send.wait"),
        (steps({"id": "a", "cascade": {"channels": [SEND_ONE, {**SEND_ONE, "wait": "-1 days"}]}}), "channels[1].wait"),
        (steps({"id": "a", "cascade": {"channels": []}}), "$.steps[0].cascade.channels"),
        (steps({"id": "a", "cascade": {"channels": [SEND_ONE], "stop_on": ["bought"]}}), "stop_on[0]"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "b", "branch": {}}), "there is no step `branch`"),
        (
            steps({"id": "a", "send": SEND_ONE}, {"id": "b", "branch": {}}),
            "steps are cascade, send, wait - at `$.steps[1]",
        ),
        (steps({"id": "a"}), "exactly one of cascade, send, wait - at `$.steps[0]`"),
        (steps({"id": "a", "send": SEND_ONE, "wait": "1 day"}), "exactly one"),
        (steps({"id": "a", "send": SEND_ONE}, {"id": "a", "send": SEND_ONE}), "same id"),
        (steps({"id": "a/0", "send": SEND_ONE}), "$.steps[0].id"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(document: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(document)
    assert told in refused.value.message


def test_a_plan_knows_the_next_position_the_next_step_and_the_pause_between() -> None:
    channels = [{**SEND_ONE, "wait": "3 days"}, {"channel": "push", "template": "p", "wait": "2 hours"}]
    found = plan(
        parse(
            steps(
                {"id": "first", "wait": "30 minutes"},
                {"id": "reach", "cascade": {"channels": channels}},
                {"id": "rest", "wait": "1 week"},
                {"id": "more", "wait": "1 day"},
                {"id": "last", "send": {"channel": "sms", "template": "s"}},
            )
        )
    )
    assert [(p.key, p.channel, p.delay, p.wait) for p in found.positions] == [
        ("reach/0", "email", timedelta(minutes=30), timedelta(days=3)),
        ("reach/1", "push", timedelta(), timedelta(hours=2)),
        ("last", "sms", timedelta(days=8), timedelta()),
    ]
    assert found.after(0) == found.positions[1] and found.after(2) is None
    assert found.beyond(0) == found.beyond(1) == found.positions[2] and found.beyond(2) is None
    assert found.earlier(1) == ["reach/0"] and found.earlier(0) == found.earlier(2) == []
