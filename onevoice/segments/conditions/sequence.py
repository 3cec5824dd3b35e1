"""One thing after another: ordered steps with gaps, absences, and references to what an earlier step was about.

    sequence:
      steps:
        - {of: lines, where: {category: Coffee machines}}
        - {of: lines, where: {category: Capsules}, absent: true, within: 30 days}
      within: 365 days

A customer meets it who has rows for all steps, each later than the one before, with nothing where a step is `absent`.
"""

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import msgspec

from onevoice.kernel.errors import InvalidInput
from onevoice.segments.conditions.kind import Kind, Measured, Reads, Scope
from onevoice.segments.conditions.sources import Rows, SourceName, check_rows, reads_rows, selected
from onevoice.segments.conditions.values import Filter, Where, as_filter
from onevoice.segments.conditions.windows import Windowed, check_window, days, is_relative

MOST_STEPS = 10
"""Each step is one join or two."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step: an `event`, or rows `of` a table of facts, later than the step before.

    `within` and `after` are the longest and the shortest time since the step before; "the step before" is always one
    that is there. An `absent` step says that there is no such row: in the time `within` after the step before, all of
    which must have passed; or, without `within`, up to the next step, or up to now where it is the last. `where` may
    refer to an earlier step: `{product_id: {same_as: 1}}`.
    """

    event: str | None = None
    of: SourceName | None = None
    where: Where = msgspec.field(default_factory=dict)
    absent: bool = False
    within: str | None = None
    after: str | None = None


class Sequence(Windowed, frozen=True, kw_only=True):
    """Steps in order; all rows, present and absent ones, are looked for in the window."""

    steps: list[Step]


def _measured(asked: Sequence, scope: Scope) -> Measured:
    walk = _Walk(asked, scope)
    found: ir.Table | None = None  # customer_id, the references (r1_sku, ...) and `at` of the step walked to
    waiting: list[int] = []  # absent steps that last until the next one
    for number, step in enumerate(asked.steps, start=1):
        if found is None:
            found = walk.first()
        elif not step.absent:
            found, waiting = walk.next(found, number, waiting), []
        elif step.within is None:
            waiting.append(number)
        else:
            found = walk.without(found, number)
    assert found is not None
    for number in waiting:
        found = walk.without(found, number)
    matched = found.group_by("customer_id").aggregate(last_step_at=found["at"].max())
    return Measured(matched, matched.last_step_at.notnull())


@dataclass(frozen=True)
class _Walk:
    """Goes from step to step.

    What is kept of a customer is where a walk can go on from: each moment of the last step reached, with the references
    that later steps need, once.
    """

    asked: Sequence
    scope: Scope

    def first(self) -> ir.Table:
        return self._kept(self._rows(1), 1)

    def next(self, found: ir.Table, number: int, waiting: list[int]) -> ir.Table:
        """From each walk to the rows of the next step, with none of the steps waiting in between."""
        if not waiting and self._is_simple(found, number):
            return self._kept(self._reached(found, number), number)
        pairs = self._joined(found, number)
        pairs = pairs.filter(*self._gap(pairs, number))
        if not waiting:
            return self._kept(pairs, number)
        keys = [*found.columns, *self._own(number), "next_at"]
        pairs = pairs.select(*keys).distinct()
        for absent in waiting:
            between = self._joined(pairs, absent, "between_at")
            between = between.filter(between.between_at > between["at"], between.between_at < between.next_at)
            between = between.filter(*self._since(between, absent, "between_at"))
            pairs = pairs.anti_join(between.select(*keys).distinct(), keys)
        return self._kept(pairs, number)

    def without(self, found: ir.Table, number: int) -> ir.Table:
        """The walks after which there is no row of an absent step: for so long, or until now."""
        step, now = self.asked.steps[number - 1], self.scope.at(self.scope.now)
        if step.within is not None:
            found = found.filter(found["at"] <= self.scope.at(self.scope.now - days(step.within)))
        if self._is_simple(found, number):
            return self._left_alone(found, number)
        hits = self._joined(found, number)
        hits = hits.filter(hits.next_at <= now, *self._gap(hits, number)).select(*found.columns).distinct()
        return found.anti_join(hits, found.columns)

    # Where a step looks at the moment alone, beside equal references, the nearest row decides: one pass over both in
    # order. To pair all rows would cost the square of what a busy customer did.

    def _is_simple(self, found: ir.Table, number: int) -> bool:
        references = self._references(number)
        compared = {_reference(one.same_as, one.property or name) for name, one in references if one.same_as}
        return all(one.differs_from is None for _, one in references) and set(found.columns) == {
            "customer_id",
            "at",
            *compared,
        }

    def _equal(self, number: int) -> list[tuple[str, str]]:
        """The columns of walks and rows that must be equal."""
        references = self._references(number)
        equal = [(_reference(one.same_as or 0, one.property or name), f"ref_{name}") for name, one in references]
        return [("customer_id", "customer_id"), *equal]

    def _reached(self, found: ir.Table, number: int) -> ir.Table:
        """The rows of a step that a walk leads to: from the last one early enough."""
        step = self.asked.steps[number - 1]
        rows = self._rows(number).rename(next_at="at")
        walks = found.rename(walk_at="at", **{f"w_{name}": name for name in found.columns if name != "at"})
        walks = walks.mutate(ready_at=walks.walk_at + _interval(step.after or "0 days"))
        equal = [rows[mine] == walks[f"w_{theirs}"] for theirs, mine in self._equal(number)]
        both = rows.asof_join(walks, on=self._late_enough(walks, rows, number), predicates=equal)
        both = both.filter(both.walk_at.notnull())
        if step.within is not None:
            both = both.filter(both.next_at <= both.walk_at + _interval(step.within))
        return both.rename({theirs: f"w_{theirs}" for theirs, _ in self._equal(number) if theirs != "customer_id"})

    def _left_alone(self, found: ir.Table, number: int) -> ir.Table:
        """The walks after which the nearest row of an absent step comes too late, or never."""
        step = self.asked.steps[number - 1]
        rows = self._rows(number).rename(next_at="at", owner_id="customer_id")
        walks = found.mutate(ready_at=found["at"] + _interval(step.after or "0 days"))
        names = [(theirs, "owner_id" if mine == "customer_id" else mine) for theirs, mine in self._equal(number)]
        equal = [walks[theirs] == rows[mine] for theirs, mine in names]
        both = walks.asof_join(rows, on=self._late_enough(walks, rows, number), predicates=equal)
        is_alone = both.next_at.isnull()
        if step.within is not None:
            is_alone = is_alone | (both.next_at > both["at"] + _interval(step.within))
        return both.filter(is_alone).select(*found.columns)

    def _late_enough(self, walks: ir.Table, rows: ir.Table, number: int) -> ir.BooleanValue:
        shortest = days(self.asked.steps[number - 1].after or "0 days")
        return walks.ready_at <= rows.next_at if shortest else walks.ready_at < rows.next_at

    def _joined(self, found: ir.Table, number: int, moment: str = "next_at") -> ir.Table:
        """Each walk beside each row of a step that its references allow; the row's moment under a name."""
        rows = self._rows(number).rename({moment: "at"})
        keys: list[object] = ["customer_id"]
        differing = []
        for name, wanted in self._references(number):
            mine = f"ref_{name}"
            if wanted.same_as is not None:
                keys.append((_reference(wanted.same_as, wanted.property or name), mine))
            if wanted.differs_from is not None:
                differing.append((_reference(wanted.differs_from, wanted.property or name), mine))
        both = found.join(rows, keys)
        for theirs, mine in differing:
            both = both.filter(both[theirs] != both[mine], both[theirs] != "", both[mine] != "")
        return both

    def _rows(self, number: int) -> ir.Table:
        """customer_id, `at`, what the step's references compare (ref_NAME), what later steps refer to (rN_NAME)."""
        step = self.asked.steps[number - 1]
        window = {name: getattr(self.asked, name) for name in Windowed.__struct_fields__}
        rows = Rows(event=step.event, of=step.of, where=step.where, **window)
        needed = [name for name, _ in self._references(number)] + [name for _, name in self._referred(number)]
        together = [one.where for one in self.asked.steps if (one.event, one.of) == (step.event, step.of)]
        found = selected(self.scope, rows, tuple(needed), together=together)
        columns = {f"ref_{name}": found.operand(name).text for name, _ in self._references(number)}
        columns |= {column: ibis.coalesce(found.operand(name).text, "") for column, name in self._referred(number)}
        return found.rows.select("customer_id", "at", **columns)

    def _references(self, number: int) -> list[tuple[str, Filter]]:
        where = {name: as_filter(wanted) for name, wanted in self.asked.steps[number - 1].where.items()}
        return [(name, one) for name, one in where.items() if one.same_as is not None or one.differs_from is not None]

    def _referred(self, number: int) -> list[tuple[str, str]]:
        """(column, property) of a step that later ones refer to."""
        names: dict[str, str] = {}
        for later in range(number + 1, len(self.asked.steps) + 1):
            for name, wanted in self._references(later):
                if number in (wanted.same_as, wanted.differs_from):
                    names[_reference(number, wanted.property or name)] = wanted.property or name
        return list(names.items())

    def _own(self, number: int) -> list[str]:
        return [column for column, _ in self._referred(number)]

    def _gap(self, pairs: ir.Table, number: int, moment: str = "next_at") -> list[ir.BooleanValue]:
        step = self.asked.steps[number - 1]
        met = [*self._since(pairs, number, moment)]
        if step.within is not None:
            met.append(pairs[moment] <= pairs["at"] + _interval(step.within))
        return met

    def _since(self, pairs: ir.Table, number: int, moment: str) -> list[ir.BooleanValue]:
        after = self.asked.steps[number - 1].after
        met = [pairs[moment] > pairs["at"]]
        return [*met, pairs[moment] >= pairs["at"] + _interval(after)] if after is not None else met

    def _kept(self, walks: ir.Table, number: int) -> ir.Table:
        """The walks that differ in what later steps look at; the first or the last of many where that is as good."""
        later = range(number + 1, len(self.asked.steps) + 1)
        needed = {
            _reference(step, wanted.property or name)
            for one in later
            for name, wanted in self._references(one)
            for step in (wanted.same_as, wanted.differs_from)
            if step is not None
        }
        keys = ["customer_id", *(name for name in walks.columns if name in needed)]
        moment = walks["next_at"] if "next_at" in walks.columns else walks["at"]
        rest = self.asked.steps[number:]
        if not rest or all(step.absent and step.within is None for step in rest):
            return walks.group_by(keys).aggregate(at=moment.max())
        if not rest[0].absent and rest[0].within is None:
            return walks.group_by(keys).aggregate(at=moment.min())
        walks = walks.select(*keys, at=moment)
        return (
            walks if all(step.absent for step in rest) else walks.distinct()
        )  # absences take away, and never multiply


def _reference(step: int, name: str) -> str:
    return f"r{step}_{name}"


def _interval(text: str) -> ir.IntervalScalar:
    return ibis.interval(seconds=int(days(text).total_seconds()))


def _reads(asked: Sequence) -> Reads:
    found = Reads(windows=is_relative(asked))
    for step in asked.steps:
        rows = Rows(event=step.event, of=step.of, where=step.where)
        found = found | reads_rows(rows, relative=step.absent and step.within is not None)
    return found


def _check(asked: Sequence, here: str) -> None:
    check_window(asked, here)
    if not 2 <= len(asked.steps) <= MOST_STEPS:
        raise InvalidInput(f"{here}.steps: expected from 2 to {MOST_STEPS} steps; got {len(asked.steps)}")
    if asked.steps[0].absent:
        raise InvalidInput(f"{here}.steps[0]: the first step must be there; what should be absent comes after it")
    for index, step in enumerate(asked.steps):
        place = f"{here}.steps[{index}]"
        referred = tuple(
            wanted.property or name
            for later in asked.steps[index + 1 :]
            for name, one in later.where.items()
            for wanted in [as_filter(one)]
            if index + 1 in (wanted.same_as, wanted.differs_from)
        )
        check_rows(Rows(event=step.event, of=step.of, where=step.where), place, referred, steps=index)
        lengths = {name: days(text, f"{place}.{name}") for name in ("within", "after") if (text := getattr(step, name))}
        if index == 0 and lengths:
            raise InvalidInput(f"{place}: the first step has no step before to measure {', '.join(lengths)} from")
        if len(lengths) == 2 and lengths["within"] < lengths["after"]:
            raise InvalidInput(f"{place}: within must not be shorter than after")
        for name, one in step.where.items():
            wanted = as_filter(one)
            for reference in (wanted.same_as, wanted.differs_from):
                if reference is not None and asked.steps[reference - 1].absent:
                    raise InvalidInput(f"{place}.where.{name}: step {reference} is absent; nothing of it is known")


SEQUENCE = Kind("sequence", Sequence, _measured, _reads, _check)
