"""Makes one Python function of a row of template nodes, so that rendering them is not a row of dispatches.

Static text, plain outputs and links are written out as code; any other node is rendered by itself. That halves what a
message costs. The code is made of our own words only: whatever a template holds comes in as a constant.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from liquid import escape
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.context import RenderContext
from liquid.stringify import to_liquid_string

from onevoice.content.buffer import WEB, PieceBuffer

special = re.compile(r"""[<>&"']""").search
"""Whether a text holds what HTML must have escaped; most values do not, and asking is faster than escaping."""

Straight = Callable[[RenderContext, Any], None]


def look(context: RenderContext, name: str) -> Any:
    """The value of a name in the innermost scope that has it; None where none has."""
    for scope in context.scope._maps:
        if name in scope:
            return scope[name]
    return None


def straight(nodes: Sequence[Node], html: bool) -> Straight:
    """A function that renders the nodes in turn; with `html` what they put out is escaped."""
    writer = _Writer(html)
    writer.row(nodes, "a", "b")
    made: dict[str, Any] = {"look": look, "escape": escape, "special": special, "text": to_liquid_string}
    made |= {"Buffer": PieceBuffer, "WEB": WEB, **writer.constants}
    code = "\n ".join(["def render(c, b):", "a = b.append", *writer.lines])
    exec(code, made)  # noqa: S102 - nothing of the template is in the code, see _Writer
    function: Straight = made["render"]
    return function


class _Writer:
    """Collects lines of code and the constants they name. `a` appends to the buffer `b`, `c` is the context."""

    def __init__(self, html: bool) -> None:
        self.html = html
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.roots: dict[str, str] = {}  # names looked up already, until a node may have changed them
        self.names = 0

    def row(self, nodes: Sequence[Node], append: str, buffer: str) -> None:
        for node in nodes:
            if isinstance(node, ContentNode):
                self.lines.append(f"{append}({self.constant(node.text)})")
            elif root := getattr(node, "root", ""):
                self.output(node, root, append)
            elif (block := getattr(node, "address", None)) is not None:
                self.link(block.nodes, append, buffer)
            else:
                self.lines.append(f"{self.constant(node)}.render(c, {buffer})")
                self.roots.clear()

    def output(self, node: Any, root: str, append: str) -> None:
        if root not in self.roots:
            self.roots[root] = self.name("r")
            self.lines.append(f"{self.roots[root]} = look(c, {self.constant(root)})")
        value = self.roots[root]
        for step in node.steps:
            self.lines.append(f"v = {value}.get({self.constant(step)}) if type({value}) is dict else None")
            value = "v"
        shown = f"escape({value}) if special({value}) else {value}" if self.html else value
        self.lines.append(f"if type({value}) is str: {append}({shown})")
        self.lines.append(f"else: {append}(text({self.constant(node.expression)}.evaluate(c), {self.html}))")

    def link(self, nodes: Sequence[Node], append: str, buffer: str) -> None:
        inside, add = self.name("l"), self.name("l")
        plain = all(isinstance(node, ContentNode) or getattr(node, "root", "") for node in nodes)
        self.lines += [f"{inside} = {'[]' if plain else 'Buffer()'}", f"{add} = {inside}.append"]
        self.row(nodes, add, inside)
        self.lines += [
            f"s = ''.join({inside}).strip()",
            f"if s.startswith(WEB): {buffer}.links.append(len({buffer}))",
            f"{append}(s)",
        ]

    def constant(self, value: Any) -> str:
        name = self.name("k")
        self.constants[name] = value
        return name

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"
