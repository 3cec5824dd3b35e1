"""Which variables a template asks for, and which of them it shows without minding that they may be missing."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression
from liquid.template import BoundTemplate

Names = tuple[str, ...]
"""A path: `customer.first_name` as ("customer", "first_name"), up to where it is counted or computed."""

_ASKING = (IfNode, UnlessNode, CaseNode, ConditionalBlockNode, ForNode)
"""What asks for a value before what is within it is shown; one of the same object, as `products.size`, will do."""


def paths(template: BoundTemplate) -> set[Names]:
    """All that is asked for from outside the template."""
    found = template.analyze(include_partials=False).globals
    return {_names(place.segments) for places in found.values() for place in places}


def relied_on(template: BoundTemplate) -> set[Names]:
    """What is shown without a `default` and without an `{% if %}` around it that asks for it."""
    return set(_relied_on(template.nodes, frozenset(), set()))


def value(variables: Mapping[str, Any], names: Names) -> Any:
    """The value at a path; None where there is none."""
    found: Any = variables
    for name in names:
        if isinstance(found, list) and name in ("first", "last"):
            found = (found[0] if name == "first" else found[-1]) if found else None
        elif isinstance(found, (list, str)) and name == "size":
            found = len(found)
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _relied_on(nodes: Iterable[Node], asked: frozenset[Names], local: set[str]) -> Iterator[Names]:
    for node in nodes:
        if isinstance(node, OutputNode) and isinstance(node.expression, FilteredExpression):
            names = _path(node.expression.left)
            filters = {filter.name for filter in node.expression.filters or ()}
            if names and names[0] not in local and names[:2] not in asked and "default" not in filters:
                yield names
        inside = asked
        if isinstance(node, _ASKING):
            inside = asked | {names[:2] for one in node.expressions() for names in _within(one)}
        within = local | {str(name) for name in node.block_scope()}
        yield from _relied_on(node.children(None), inside, within)  # type: ignore[arg-type]  # nothing is loaded
        local |= {str(name) for name in node.template_scope()}


def _within(expression: Expression) -> Iterator[Names]:
    if names := _path(expression):
        yield names
    for child in expression.children():
        yield from _within(child)


def _path(expression: object) -> Names:
    return _names(expression.path) if isinstance(expression, Path) else ()


def _names(segments: Iterable[object]) -> Names:
    names: list[str] = []
    for segment in segments:
        if not isinstance(segment, str):
            break
        names.append(segment)
    return tuple(names)
