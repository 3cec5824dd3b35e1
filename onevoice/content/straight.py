"""Makes one Python function of a row of template nodes, so that rendering them is not a row of dispatches.

Static text, outputs of plain paths and of filters over them, links, conditions and plain loops are written out as code;
any other node is rendered by itself. The code is made of our own words only: whatever a template holds comes in as a
constant.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from liquid import Environment, Markup, escape
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.arguments import PositionalArgument
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral, StringLiteral
from liquid.builtin.tags.if_tag import IfNode
from liquid.context import RenderContext
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.stringify import to_liquid_string

from onevoice.content.buffer import WEB

special = re.compile(r"""[<>&"']""").search
"""Whether a text holds what HTML must have escaped; most values do not, and asking is faster than escaping."""

MOST_ALTERNATIVES = 50
"""Of a condition written out as code; Python reads each within the one before."""

Straight = Callable[[RenderContext, Any], None]


def look(context: RenderContext, name: str) -> Any:
    """The value of a name in the innermost scope that has it; None where none has."""
    for scope in context.scope._maps:
        if name in scope:
            return scope[name]
    return None


def plain_path(expression: object) -> list[str]:
    """The names of a path made of names alone, `customer.first_name`; of anything else none."""
    if isinstance(expression, FilteredExpression) and type(expression) is FilteredExpression and not expression.filters:
        expression = expression.left
    if type(expression) is Path and all(type(step) is str for step in expression.path):
        return [str(step) for step in expression.path]
    return []


def straight(nodes: Sequence[Node], env: Environment) -> Straight:
    """A function that renders the nodes in turn; where the environment says so what they put out is escaped."""
    writer = _Writer(env)
    writer.row(nodes)
    made: dict[str, Any] = {"look": look, "escape": escape, "special": special, "text": to_liquid_string}
    made |= {"inside": _inside, "WEB": WEB, "FAULTS": (LiquidError, TypeError), **writer.constants}
    exec("\n ".join(["def render(c, b):", "link = b.link", *writer.lines]), made)  # noqa: S102 - see _Writer
    function: Straight = made["render"]
    return function


def _inside(context: RenderContext, names: Mapping[str, object], expression: Expression) -> object:
    """What an expression is within a loop that runs as code, whose name the context does not know."""
    with context.extend(names):
        return expression.evaluate(context)


class _Writer:
    """Collects lines of code and the constants they name. `c` is the context, `b` the buffer."""

    def __init__(self, env: Environment) -> None:
        self.env, self.html = env, bool(env.autoescape)
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.roots: dict[str, str] = {}  # names looked up already, until a node may have changed them
        self.loop: dict[str, str] = {}  # the loop's name and what it is in the code
        self.pairs: list[list[str]] = []  # what is to go into the buffer next
        self.names = 0
        self.indent = ""

    def row(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if isinstance(node, ContentNode):
                self.pairs.append([self.constant(node.text), "''"])
            elif self.is_output(node):
                self.value(self.output(node))
            elif (block := getattr(node, "address", None)) is not None:
                self.value(self.link(node, block.nodes))
            elif type(node) is IfNode and not node.blank and len(node.alternatives) < MOST_ALTERNATIVES:
                self.condition(node)
            elif (found := self.plain_loop(node)) is not None:
                self.each(node, *found)
            else:
                self.flush()
                self.line(f"{self.constant(node)}.render(c, b)")
                self.roots.clear()
        self.flush()

    def value(self, name: str) -> None:
        if self.pairs and self.pairs[-1][1] == "''":
            self.pairs[-1][1] = name
        else:
            self.pairs.append(["''", name])

    def flush(self) -> None:
        if self.pairs:
            self.line(f"b += ({', '.join(name for pair in self.pairs for name in pair)})")
            self.pairs.clear()

    # -- what is put out

    def is_output(self, node: Node) -> bool:
        return hasattr(node, "root")

    def output(self, node: Any) -> str:
        """Writes the code for an output; what it puts out is in the variable returned."""
        expression, filters = node.expression, None
        path = [node.root, *node.steps] if node.root else []
        if not path and type(expression) is FilteredExpression:
            filters = self.filters(expression)
            path = plain_path(expression.left) if filters else []
        else:
            filters = []
        out, evaluated = self.name("o"), self.evaluated(expression)
        if not path:
            self.line(f"{out} = text({evaluated}, {self.html})")
            return out
        value = self.path(path)
        shown = f"escape({value}) if special({value}) else {value}" if self.html else value
        if filters:
            self.line(f"if type({value}) is str:")
            self.line(" try:")
            for filter, given in filters:
                self.line(f"  v = {self.constant(filter)}({', '.join([value, *map(self.constant, given)])})")
                value = "v"
            self.line(f" except FAULTS: v = {evaluated}")
            self.line(f"else: v = {evaluated}")
            shown = "escape(v) if special(v) else v" if self.html else "v"
            self.line(f"{out} = ({shown}) if type(v) is str else text(v, {self.html})")
        else:
            self.line(f"if type({value}) is str: {out} = {shown}")
            self.line(f"else: {out} = text({evaluated} if {value} is None else {value}, {self.html})")
        return out

    def filters(self, expression: FilteredExpression) -> list[tuple[Any, list[object]]]:
        """An expression's filters, each with its arguments; none where that is not known beforehand."""
        found: list[tuple[Any, list[object]]] = []
        for filter in expression.filters or ():
            function = self.env.filters.get(filter.name)
            if function is None or hasattr(function, "with_context") or hasattr(function, "with_environment"):
                return []
            given: list[object] = []
            for argument in filter.args:
                value = argument.value
                if type(argument) is not PositionalArgument or not isinstance(value, _LITERALS):
                    return []
                is_text = self.html and isinstance(value, StringLiteral)
                given.append(Markup(value.value) if is_text else value.value)
            found.append((function, given))
        return found

    def path(self, path: Sequence[str]) -> str:
        """The variable that holds the value at a path into JSON objects; None where it leads to anything else."""
        root, *steps = path
        value = self.loop.get(root) or self.root(root)
        for step in steps:
            self.line(f"v = {value}.get({self.constant(step)}) if type({value}) is dict else None")
            value = "v"
        return value

    def root(self, name: str) -> str:
        if name not in self.roots:
            self.roots[name] = self.name("r")
            self.line(f"{self.roots[name]} = look(c, {self.constant(name)})")
        return self.roots[name]

    def evaluated(self, expression: Expression) -> str:
        """The code for an expression's value, the slow way."""
        if not self.loop:
            return f"{self.constant(expression)}.evaluate(c)"
        names = ", ".join(f"{self.constant(name)}: {variable}" for name, variable in self.loop.items())
        return f"inside(c, {{{names}}}, {self.constant(expression)})"

    def link(self, node: Any, nodes: Sequence[Node]) -> str:
        out = self.name("s")
        texts = [one.text for one in nodes if isinstance(one, ContentNode)]
        if len(texts) == len(nodes):  # the same for everybody
            name = self.constant(address := "".join(texts).strip())
            self.line(f"{out} = link({name})" if address.startswith(WEB) else f"{out} = {name}")
            return out
        if not self.is_plain(nodes):
            self.line(f"{out} = {self.constant(node)}.written(c)")
        else:
            parts = [self.constant(one.text) if isinstance(one, ContentNode) else self.output(one) for one in nodes]
            self.line(f"{out} = f'{''.join(f'{{{part}}}' for part in parts)}'.strip()")
        self.line(f"if {out}.startswith(WEB): {out} = link({out})")
        return out

    def is_plain(self, nodes: Iterable[Node]) -> bool:
        return all(isinstance(node, ContentNode) or self.is_output(node) for node in nodes)

    # -- what is put out or not, and again and again

    def condition(self, node: IfNode) -> None:
        self.flush()
        word = "if"
        for expression, block in (
            (node.condition, node.consequence),
            *((one.expression, one.block) for one in node.alternatives),
        ):
            self.line(f"{word} {self.evaluated(expression)}:")
            self.branch(block)
            word = "elif"
        if node.default:
            self.line("else:")
            self.branch(node.default)

    def branch(self, block: BlockNode) -> None:
        roots = dict(self.roots)
        with self.indented():
            self.row([block] if block.blank else block.nodes)  # Liquid leaves out one of nothing but white space
            self.line("pass")
        self.roots = {name: variable for name, variable in roots.items() if self.roots.get(name) == variable}

    def plain_loop(self, node: Any) -> tuple[str, list[str], Sequence[Node]] | None:
        """Name, path and body of a loop over all of a list that nothing within it needs to know of but its name."""
        expression = getattr(node, "expression", None)
        if type(expression) is not LoopExpression or self.loop or node.block.blank or node.counts:
            return None
        path = plain_path(expression.iterable)
        if not path or expression.limit or expression.offset or expression.reversed or expression.cols:
            return None
        nodes = node.block.nodes
        links = [one for one in nodes if getattr(one, "address", None) is not None]
        within = [one for one in nodes if one not in links] + [inner for one in links for inner in one.address.nodes]
        return (str(expression.identifier), path, nodes) if self.is_plain(within) else None

    def each(self, node: Any, name: str, path: Sequence[str], nodes: Sequence[Node]) -> None:
        self.flush()
        items, item = self.name("x"), self.name("i")
        self.line(f"{items} = {self.path(path)}")
        self.line(f"if type({items}) is list and {items}:")
        with self.indented():
            self.line(f"c.stopindex({self.constant(f'{name}-{node.expression.iterable}')}, len({items}))")
            self.line(f"for {item} in c.rounds({items}, len({items})):")
            roots, self.loop = dict(self.roots), {name: item}
            with self.indented():
                self.row(nodes)
            self.roots, self.loop = roots, {}
        self.line(f"else: {self.constant(node)}.render(c, b)")

    # -- the code

    def line(self, code: str) -> None:
        self.lines.append(self.indent + code)

    @contextmanager
    def indented(self) -> Iterator[None]:
        self.indent += " "
        yield
        self.indent = self.indent[1:]

    def constant(self, value: Any) -> str:
        name = self.name("k")
        self.constants[name] = value
        return name

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"


_LITERALS = (StringLiteral, IntegerLiteral, FloatLiteral)
