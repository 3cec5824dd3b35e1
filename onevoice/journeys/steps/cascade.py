"""`cascade`: channels one after the other until the person has reacted, as one step."""

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import ibis
import ibis.expr.types as ir
import msgspec
from msgspec import Meta

from onevoice.catalog.facts import ORDERS
from onevoice.catalog.orders import made
from onevoice.delivery.facts import MESSAGES
from onevoice.events.facts import EVENTS
from onevoice.journeys.best import priced, ranks
from onevoice.journeys.facts import DECISIONS
from onevoice.journeys.keeping import passes
from onevoice.journeys.matching import REPLIED, matching
from onevoice.journeys.spans import Name, duration
from onevoice.journeys.steps.kind import Layout, Node, Step, StepKind
from onevoice.journeys.steps.send import Send, alike, rested, told
from onevoice.journeys.worth import ELSEWHERE, Prices
from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.values import Where, check_where

if TYPE_CHECKING:
    from onevoice.journeys.turn import Turn

Reaction = Literal["delivered", "opened", "clicked", "replied", "ordered"]


class StopEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event that stops a cascade."""

    event: Name
    where: Where = msgspec.field(default_factory=dict)


class Cascade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whoever does one of `stop_on` gets no further channel. `opened` is by a person, never by a machine.

    `order`: as listed, or `best`, the channel first that the person answers best for what it costs (best.py). What a
    message costs is what it did cost lately, in the person's country; `prices` says it where that is not known yet, or
    will change: `{sms: 0.05}`, or by country, `{sms: {IT: 0.07, else: 0.05}}`. `on_failure`: a message that a provider
    could not deliver gives way to the `next` channel at once, or its `wait` is waited out.
    """

    channels: Annotated[list[Send], Meta(min_length=1, max_length=20)]
    stop_on: list[Reaction | StopEvent] = msgspec.field(default_factory=lambda: ["opened", "clicked"])
    order: Literal["listed", "best"] = "listed"
    prices: Prices = msgspec.field(default_factory=dict)
    on_failure: Literal["next", "wait"] = "next"


def usual_prices(asked: Cascade) -> dict[str, float]:
    """By channel what the document says that a message costs, where nothing is said of a country."""
    told = {name: price.get(ELSEWHERE) if isinstance(price, dict) else price for name, price in asked.prices.items()}
    return {name: price for name, price in told.items() if price is not None}


def _check(asked: Cascade, place: str) -> None:
    for number, send in enumerate(asked.channels):
        duration(send.wait, f"{place}.channels[{number}].wait")
    for number, stop in enumerate(asked.stop_on):
        if isinstance(stop, StopEvent):
            check_where(stop.where, f"{place}.stop_on[{number}].where")
    if stray := sorted(set(asked.prices) - {send.channel for send in asked.channels}):
        raise InvalidInput(f"there is no channel {stray[0]!r} in it - at `{place}.prices`")
    if asked.order == "best" and len({send.channel for send in asked.channels}) < len(asked.channels):
        raise InvalidInput(f"an order by `best` names each channel once - at `{place}.channels`")


def _lay(step: Step, after: str, layout: Layout) -> str:
    channels = step.asked.channels
    # In the order `best` any of them may be the last.
    lasts = channels if step.asked.order == "best" else channels[-1:]
    wait = max((send.wait for send in lasts), key=lambda wait: duration(wait, ""))
    following = after
    for place in reversed(range(len(channels))):
        is_last = place == len(channels) - 1
        sent = rested(step, wait, after, layout) if is_last else following
        ways = {"next": following, "sent": sent, "beyond": after}
        following = layout.add(step, ways, str(place))
    return following


def _move(turn: "Turn", here: ir.Table) -> ir.Table:
    from onevoice.journeys.contact import contacted, moved  # the policy reads the document, which reads this file

    if turn.node.part == "rest":
        return turn.remembered("moved", lambda: turn.go(here))
    place = int(turn.node.part)
    reacted = _reacted(turn, here, place) if place and turn.node.asked.stop_on else None
    if turn.node.asked.order == "best":
        return _best(turn, here, reacted)
    send = turn.node.asked.channels[place]
    return moved(turn, contacted(turn, here, send, reacted), send.wait)


def _best(turn: "Turn", here: ir.Table, reacted: ir.Table | None) -> ir.Table:
    """Each on the best of the channels on which the cascade has not tried them yet."""
    from onevoice.journeys.contact import contacted, moved

    warehouse, sends = turn.warehouse, turn.node.asked.channels
    held = priced(warehouse, [send.channel for send in sends], turn.node.asked.prices)
    chosen = warehouse.stage("chosen_channels", turn.remembered("chosen", lambda: _chosen(turn, here, held)))
    counts = turn.remembered("counts", lambda: chosen.group_by("channel").aggregate(n=chosen.count()))
    used = {row["channel"] for row in warehouse.rows(counts)}
    parts = []
    for number, send in enumerate(sends):
        if send.channel in used:
            name, some = f"decided_{number}", f"best_{number}"
            on_it = turn.remembered(some, partial(_on, here, chosen, send.channel))
            decided = contacted(turn, warehouse.stage(some, on_it), send, reacted, name)
            parts.append(moved(turn, decided, send.wait, name))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _on(here: ir.Table, chosen: ir.Table, channel: str) -> ir.Table:
    return here.semi_join(chosen.filter(chosen.channel == channel), "enrolment_id")


def _chosen(turn: "Turn", here: ir.Table, held: ir.Table) -> ir.Table:
    """enrolment_id, channel: of each here the best they were not tried on."""
    warehouse = turn.warehouse
    best = ranks(warehouse, here, held, turn.at)
    decisions = warehouse.table(DECISIONS)
    before = [f"{turn.node.step}/{place}" for place in range(int(turn.node.part))]
    tried = decisions.filter(decisions.journey == turn.journey.name, decisions.step.isin(before))
    # Not by their instants: where a tick is late, several passings of the step are decided at one.
    passing = here.select("enrolment_id", passes=passes(here))
    tried = tried.filter(tried.outcome != "defer").mutate(passes=passes(tried))
    tried = tried.semi_join(passing, ["enrolment_id", "passes"]).select("enrolment_id", "channel").distinct()
    open_ = (
        here.select("enrolment_id", "customer_id")
        .join(best, "customer_id")
        .anti_join(tried, ["enrolment_id", "channel"])
    )
    first = open_.mutate(place=ibis.row_number().over(group_by="enrolment_id", order_by=[open_["rank"], open_.channel]))
    return first.filter(first.place == 0).select("enrolment_id", "channel")


def _reacted(turn: "Turn", here: ir.Table, place: int) -> ir.Table:
    """Those here who did, since they came to this step, what stops it."""
    return turn.remembered("reacted", lambda: stopped(turn, here, place))


def stopped(turn: "Turn", here: ir.Table, place: int) -> ir.Table:
    stops = turn.node.asked.stop_on
    found = []
    named = [f"{stop}_at" for stop in stops if stop in ("delivered", "opened", "clicked")]
    here = here.mutate(since=ibis.coalesce(here.reached_at, here.entered_at))
    since = here.select("enrolment_id", "customer_id", "since")
    if named:
        messages = turn.warehouse.table(MESSAGES)
        mine = messages.filter(ibis.or_(*(messages[name].notnull() for name in named)))
        if turn.alike is not None:
            own = here.select("enrolment_id", "since", own=turn.own(here, "step", turn.node.step))
            mine = mine.select("enrolment_id", "planned_at", "step").join(own, "enrolment_id")
            mine = mine.filter(ibis.or_(*(mine.step == mine.own + f"/{number}" for number in range(place))))
        else:
            earlier = [f"{turn.node.step}/{number}" for number in range(place)]
            mine = mine.filter(mine.journey == turn.journey.name, mine.step.isin(earlier))
            mine = mine.select("enrolment_id", "planned_at")
            mine = mine.join(since, "enrolment_id") if turn.journey.has_jumps else mine
        if turn.journey.has_jumps:  # those of an earlier round do not count
            mine = mine.filter(mine.planned_at >= mine.since)
        found.append(mine.select("enrolment_id"))
    if "ordered" in stops:
        orders = made(turn.warehouse.table(ORDERS)).select("customer_id", "ordered_at").join(since, "customer_id")
        found.append(orders.filter(orders.ordered_at > orders.since).select("enrolment_id"))
    if "replied" in stops:
        found.append(_did(turn, since, StopEvent(REPLIED)))
    found += [_did(turn, since, stop) for stop in stops if isinstance(stop, StopEvent)]
    return ibis.union(*found) if len(found) > 1 else found[0]


def _did(turn: "Turn", since: ir.Table, stop: StopEvent) -> ir.Table:
    events = matching(turn.warehouse, turn.warehouse.table(EVENTS), stop.event, stop.where)
    did = events.select("customer_id", "occurred_at").join(since, "customer_id")
    return did.filter(did.occurred_at > did.since).select("enrolment_id")


def _likeness(node: Node) -> Hashable | None:
    if node.part == "rest":
        return ()
    if node.asked.order == "best":
        return None
    return alike(node.asked.channels[int(node.part)]), msgspec.json.encode(node.asked.stop_on)


def _tells(node: Node) -> dict[str, str | int]:
    return {} if node.part == "rest" or node.asked.order == "best" else told(node.asked.channels[int(node.part)])


CASCADE = StepKind(
    "cascade",
    Cascade,
    _check,
    lay=_lay,
    move=_move,
    likeness=_likeness,
    tells=_tells,
    contacts=True,
    needs_habits=lambda asked: asked.order == "best",
)
