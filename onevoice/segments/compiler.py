"""From a condition tree to the customers who meet it: one Ibis expression, equal on every store.

`all` narrows by semi-joins, `any` unites, `not` takes away from everybody; everybody is whoever has a profile.
"""

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.catalog.facts import ORDER_LINES, ORDERS, PRODUCTS
from onevoice.customers.facts import ADDRESSES, CONSENTS, PROFILES, SUPPRESSIONS, TRAITS
from onevoice.delivery.facts import MESSAGE_EVENTS, MESSAGES
from onevoice.delivery.statuses import PERSONAL
from onevoice.events.facts import EVENTS
from onevoice.kernel.clock import naive
from onevoice.segments import tree
from onevoice.segments.facts import SEGMENT_MEMBERS
from onevoice.segments.tree import Condition
from onevoice.warehouse import Warehouse

REACTIONS = {
    "Email Opened": "email",
    "Email Link Clicked": "email",
    "Push Notification Opened": "push",
    "Push Opened": "push",
    "SMS Link Clicked": "sms",
    "SMS Clicked": "sms",
}
"""Tracked events that are a reaction on a channel, as other tools name them; news of our own messages counts too."""

REACTION = 2**32
"""What a reaction weighs in a channel's score: more than the seconds since 1970 of the last one, which break ties."""


def members(condition: Condition, warehouse: Warehouse, now: datetime) -> ir.Table:
    """The customers (`customer_id`, each once) who meet the condition at `now`."""
    return _Compiler(warehouse, now).members(condition)


class _Compiler:
    """Holds the warehouse and the time while a tree is walked."""

    def __init__(self, warehouse: Warehouse, now: datetime) -> None:
        self.warehouse = warehouse
        self.now = now

    def members(self, condition: Condition) -> ir.Table:
        match condition:
            case tree.All(conditions):
                return self._all(conditions)
            case tree.Any_(conditions):
                first, *rest = [self.members(one) for one in conditions]
                return ibis.union(first, *rest, distinct=True) if rest else first
            case tree.Not(inner):
                return self._everybody().anti_join(self.members(inner), "customer_id")
            case tree.Trait():
                return self._trait(condition)
            case tree.Event():
                return self._event(condition)
            case tree.Orders():
                return self._orders(condition)
            case tree.LastOrder():
                return self._last_order(condition)
            case tree.Category():
                return self._category(condition)
            case tree.Prefers():
                return self._prefers(condition)
            case tree.Consent():
                return self._consent(condition)
            case tree.Reachable():
                return self._reachable(condition)
            case tree.InSegment():
                inside = self.warehouse.table(SEGMENT_MEMBERS)
                return inside.filter(inside.segment == condition.name).select("customer_id")

    def _all(self, conditions: tuple[Condition, ...]) -> ir.Table:
        wanted = [one for one in conditions if not isinstance(one, tree.Not)]
        unwanted = [one.condition for one in conditions if isinstance(one, tree.Not)]
        found = self.members(wanted[0]) if wanted else self._everybody()
        for one in wanted[1:]:
            found = found.semi_join(self.members(one), "customer_id")
        for excluded in unwanted:
            found = found.anti_join(self.members(excluded), "customer_id")
        return found

    def _everybody(self) -> ir.Table:
        return self.warehouse.table(PROFILES).select("customer_id")

    def _without(self, found: ir.Table) -> ir.Table:
        return self._everybody().anti_join(found, "customer_id")

    def _since(self, rows: ir.Table, moment: str, within: str | None) -> ir.Table:
        """The rows of the window (now - within, now]; what lies ahead of `now` never counts."""
        rows = rows.filter(rows[moment] <= self._at(self.now))
        return rows.filter(rows[moment] > self._at(self.now - tree.days(within))) if within else rows

    @staticmethod
    def _at(moment: datetime) -> ir.TimestampScalar:
        return ibis.timestamp(naive(moment))

    def _trait(self, asked: tree.Trait) -> ir.Table:
        traits = self.warehouse.table(TRAITS)
        named = traits.filter(traits.name == asked.name)
        newest = named.mutate(
            rank=ibis.row_number().over(
                group_by="customer_id", order_by=[ibis.desc("occurred_at"), ibis.desc("event_id")]
            )
        )
        current = newest.filter(newest.rank == 0, newest.value.notnull())
        return current.filter(self._comparison(current.value, asked)).select("customer_id")

    @staticmethod
    def _comparison(value: ir.StringColumn, asked: tree.Trait) -> ir.BooleanValue:
        """`value` is a trait's JSON, never null."""
        number = value.try_cast("float64")
        if asked.exists:
            return ibis.literal(True)
        if asked.contains is not None:
            quoted = _json(asked.contains)
            in_text = value.startswith('"') & value.contains(quoted[1:-1])
            return in_text | (value.startswith("[") & value.contains(quoted))
        if asked.at_least is not None:
            return number >= asked.at_least
        if asked.at_most is not None:
            return number <= asked.at_most
        if asked.above is not None:
            return number > asked.above
        if asked.below is not None:
            return number < asked.below
        if asked.not_equals is not None:
            return ~_equals(value, number, [asked.not_equals])
        return _equals(value, number, asked.one_of if asked.one_of is not None else [asked.equals])

    def _event(self, asked: tree.Event) -> ir.Table:
        events = self.warehouse.table(EVENTS)
        rows = self._since(events.filter(events.name == asked.name), "occurred_at", asked.within)
        for name, value in asked.where.items():
            found = self.warehouse.json_value(rows.properties, name)
            same = found.try_cast("float64") == value if _is_number(value) else found == _text(value)
            rows = rows.filter(same)
        counted = rows.group_by("customer_id").aggregate(n=rows.count())
        if asked.at_most is not None:
            return self._without(counted.filter(counted.n > asked.at_most))
        if asked.exactly is not None:
            exact = counted.filter(counted.n == asked.exactly).select("customer_id")
            return exact if asked.exactly else self._without(counted)
        least = 1 if asked.at_least is None else asked.at_least
        return counted.filter(counted.n >= least).select("customer_id") if least > 0 else self._everybody()

    def _orders(self, asked: tree.Orders) -> ir.Table:
        rows = self._since(self.warehouse.table(ORDERS), "ordered_at", asked.within)
        revenue = rows.revenue.sum().cast("float64")
        measure = {"count": rows.count(), "revenue": revenue, "average": revenue / rows.count()}[asked.measure]
        totals = rows.group_by("customer_id").aggregate(measure=measure)
        if asked.at_least is not None:
            met, nothing_meets = totals.measure >= asked.at_least, asked.at_least <= 0
        elif asked.exactly is not None:
            met, nothing_meets = totals.measure == asked.exactly, asked.exactly == 0
        else:
            met, nothing_meets = totals.measure <= asked.at_most, (asked.at_most or 0) >= 0
        # Who ordered nothing has 0 orders and 0 revenue, but no average.
        if nothing_meets and asked.measure != "average":
            return self._without(totals.filter(~met))
        return totals.filter(met).select("customer_id")

    def _last_order(self, asked: tree.LastOrder) -> ir.Table:
        rows = self._since(self.warehouse.table(ORDERS), "ordered_at", None)
        last = rows.group_by("customer_id").aggregate(last_at=rows.ordered_at.max())
        limit = self._at(self.now - tree.days(asked.before or asked.within or ""))
        return last.filter(last.last_at <= limit if asked.before else last.last_at > limit).select("customer_id")

    def _category(self, asked: tree.Category) -> ir.Table:
        products = self.warehouse.table(PRODUCTS).select("product_id", "category")
        rows = self._since(self.warehouse.table(ORDER_LINES), "ordered_at", asked.within)
        if asked.measure == "lines":
            inside = rows.semi_join(products.filter(products.category == asked.name), "product_id")
            counted = inside.group_by("customer_id").aggregate(n=inside.count())
            return counted.filter(counted.n >= asked.at_least).select("customer_id")
        # What the catalogue does not know was bought all the same: it counts in the whole, in no category.
        bought = rows.left_join(products, "product_id")
        if asked.measure == "share":
            spent = bought.group_by("customer_id").aggregate(
                inside=bought.revenue.sum(where=bought.category == asked.name).cast("float64"),
                total=bought.revenue.sum().cast("float64"),
            )
            return spent.filter(spent.total > 0, spent.inside >= spent.total * asked.at_least).select("customer_id")
        known = bought.filter(bought.category.notnull())
        spent = known.group_by("customer_id", "category").aggregate(n=known.count(), revenue=known.revenue.sum())
        first = spent.mutate(
            rank=ibis.row_number().over(
                group_by="customer_id", order_by=[ibis.desc("n"), ibis.desc("revenue"), spent.category]
            )
        )
        return first.filter(first.rank == 0, first.category == asked.name).select("customer_id")

    def _prefers(self, asked: tree.Prefers) -> ir.Table:
        reactions = self._reactions(asked.within)
        counted = reactions.group_by("customer_id", "channel").aggregate(
            score=reactions.count() * REACTION + reactions.occurred_at.max().epoch_seconds()
        )
        best = counted.group_by("customer_id").aggregate(
            here=counted.score.max(where=counted.channel == asked.channel),
            earlier=counted.score.max(where=counted.channel < asked.channel),
            later=counted.score.max(where=counted.channel > asked.channel),
        )
        ahead = (best.here > ibis.coalesce(best.earlier, 0)) & (best.here >= ibis.coalesce(best.later, 0))
        return best.filter(ahead).select("customer_id")

    def _reactions(self, within: str) -> ir.Table:
        """customer_id, channel, occurred_at of what people opened and clicked, whoever sent it."""
        events = self.warehouse.table(EVENTS)
        tracked = self._since(events.filter(events.name.isin(list(REACTIONS))), "occurred_at", within)
        tracked = tracked.select("customer_id", "occurred_at", channel=tracked.name.cases(*REACTIONS.items(), else_=""))
        news, messages = self.warehouse.table(MESSAGE_EVENTS), self.warehouse.table(MESSAGES)
        personal = self._since(news.filter(news.news.isin(PERSONAL), ~news.machine), "occurred_at", within)
        owned = personal.select("message_id", "occurred_at").join(
            messages.select("message_id", "customer_id", "channel"), "message_id"
        )
        columns = ("customer_id", "channel", "occurred_at")
        return tracked.select(*columns).union(owned.select(*columns))

    def _consent(self, asked: tree.Consent) -> ir.Table:
        consents = self.warehouse.table(CONSENTS)
        here = consents.filter(consents.channel.isin([asked.channel, "*"]), consents.topic.isin([asked.topic, "*"]))
        words = here.group_by("customer_id").aggregate(
            granted_at=here.occurred_at.max(where=here.state == "granted"),
            refused_at=here.occurred_at.max(where=here.state != "granted"),
        )
        granted = words.granted_at.notnull() & (words.refused_at.isnull() | (words.granted_at > words.refused_at))
        return words.filter(granted).select("customer_id")

    def _reachable(self, asked: tree.Reachable) -> ir.Table:
        addresses, listed = self.warehouse.table(ADDRESSES), self.warehouse.table(SUPPRESSIONS)
        here = addresses.filter(addresses.channel == asked.channel)
        return here.anti_join(listed.filter(listed.channel == asked.channel), "address_hash").select("customer_id")


def _equals(value: ir.StringColumn, number: ir.FloatingColumn, wanted: list[Any]) -> ir.BooleanValue:
    """Whether a trait's JSON is one of the values; `number` is the same as a number, null where it is none."""
    numbers = [float(one) for one in wanted if _is_number(one)]
    others = [_json(one) for one in wanted if not _is_number(one)]
    return value.isin(others) | ibis.coalesce(number.isin(numbers), False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _text(value: object) -> str:
    """A property's value as the store's JSON functions give it as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
