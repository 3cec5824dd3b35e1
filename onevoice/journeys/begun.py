"""The event by which somebody came into a journey, for what is said to them: their cart, the order they made."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from onevoice.events.facts import EVENTS
from onevoice.journeys.enrolment import pattern
from onevoice.journeys.entries import BY_EVENT
from onevoice.journeys.facts import ENROLMENTS
from onevoice.journeys.laid import Laid
from onevoice.journeys.matching import matching
from onevoice.warehouse import Warehouse

BEGUN = ibis.schema({"enrolment_id": "string", "customer_id": "int64", "event": "string"})


def begun(warehouse: Warehouse, rows: ir.Table, journeys: Sequence[Laid]) -> ir.Table:
    """For rows with `journey`, `enrolment_id` and `customer_id`: BEGUN, `event` being JSON with name, at, properties.

    With a key it is the newest event of that key (a cart as it stands now), else the one that let them in. Rows of
    nobody's enrolment, as previews have, get the customer's newest. Of a journey that no event begins there is none.
    """
    here = {row["journey"] for row in warehouse.rows(rows.select("journey").distinct())}
    found = [_of(warehouse, rows, one) for one in journeys if one.name in here and one.document.entry.way in BY_EVENT]
    if not found:
        return warehouse.stage("begun_by", BEGUN.to_pyarrow().empty_table())
    return warehouse.stage("begun_by", ibis.union(*found) if len(found) > 1 else found[0])


def came(warehouse: Warehouse, journey: Laid) -> ir.Table:
    """`customer_id` of whoever has ever done what lets people into the journey."""
    name, where, _ = pattern(journey)
    return matching(warehouse, warehouse.table(EVENTS), name, where).select("customer_id").distinct()


def instant(moment: ir.TimestampValue) -> ir.StringValue:
    """An instant as templates have it, to the second; not by `strftime`, whose codes mean other things elsewhere."""
    return moment.cast("string").substr(0, 19).replace(" ", "T") + "Z"


def _of(warehouse: Warehouse, rows: ir.Table, journey: Laid) -> ir.Table:
    name, where, key = pattern(journey)
    enrolments = warehouse.table(ENROLMENTS).filter(ibis._.journey == journey.name)
    people = rows.filter(rows.journey == journey.name).select("enrolment_id", "customer_id").distinct()
    entered = enrolments.select("enrolment_id", "entered_at", entry_key=ibis.coalesce(enrolments.key, ""))
    people = people.left_join(entered, "enrolment_id").drop("enrolment_id_right")
    events = matching(warehouse, warehouse.table(EVENTS).semi_join(people, "customer_id"), name, where)
    own_key = warehouse.json_text(events.properties, key) if key is not None else ibis.null("string")
    told = events.mutate(own_key=ibis.coalesce(own_key, "")).select(
        "customer_id", "event_id", "name", "occurred_at", "properties", "own_key"
    )
    both = people.inner_join(told, "customer_id")
    both = both.filter(
        both.entered_at.isnull() | ((both.occurred_at >= both.entered_at) & (both.own_key == both.entry_key))
    )
    is_first = both.entered_at.notnull() & (both.entry_key == "")
    order = [ibis.ifelse(is_first, both.occurred_at, ibis.null("timestamp(6)")), both.occurred_at.desc(), both.event_id]
    one = both.mutate(rank=ibis.row_number().over(group_by=["enrolment_id", "customer_id"], order_by=order))
    one = one.filter(one["rank"] == 0)
    text = warehouse.json_string
    return one.select(
        "enrolment_id",
        "customer_id",
        event=warehouse.json_object(name=text(one.name), at=text(instant(one.occurred_at)), properties=one.properties),
    ).cast(BEGUN)
