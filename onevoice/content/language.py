"""The template language: Liquid, sandboxed and bounded, with a mark for links that are to be tracked.

`{% link %}https://...{% endlink %}` is put around links when a template is compiled; `{{ url | track }}` is for
authors. The renderer puts a tracked one in its place: at once, or where the address came out between two MARKs.
"""

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from liquid import Environment, escape
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.for_tag import ForLoop, ForNode, ForTag
from liquid.context import RenderContext
from liquid.exceptions import (
    BreakLoop,
    ContinueLoop,
    LiquidError,
    LiquidInterrupt,
    LiquidSyntaxError,
    ResourceLimitError,
)
from liquid.expression import Expression
from liquid.extra.tags import WithTag
from liquid.output import NullIO
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string
from liquid.tag import Tag
from liquid.template import BoundTemplate
from liquid.token import TOKEN_TAG, Token

from onevoice.content import filters
from onevoice.content.buffer import MARK, WEB, PieceBuffer
from onevoice.content.straight import Straight, look, plain_path, special, straight
from onevoice.kernel.errors import InvalidInput

MOST_SECONDS = 1.0
"""What rendering a field may take of a processor; a usual one takes a ten-thousandth of that."""

MOST_ROUNDS = 10_000
"""Of all loops of a field together."""

FEW_ROUNDS = 32
"""So few are over before it is known how long they take; a loop of fewer looks at the clock once."""

MOST_WRITTEN = 500_000
"""Characters of a template's field as written."""


class _Context(RenderContext):
    """Renders what is captured into pieces, too, and ends what takes too long."""

    loops_run = 0
    until = 0.0
    used = 0.0

    def get_buffer(self, buf: object = None) -> Any:
        return PieceBuffer()

    def rounds(self, items: Any, length: int) -> Any:
        """The items of a loop, counted with those of all loops before it; over many of them the time is watched."""
        self.loops_run += length
        if self.loops_run > MOST_ROUNDS:
            raise ResourceLimitError(f"more than {MOST_ROUNDS:,} rounds of loops", token=None)
        if self.loops_run < FEW_ROUNDS:
            return items
        if not self.until:
            self.until, self.used = time.perf_counter() + MOST_SECONDS, time.thread_time()
        elif time.perf_counter() > self.until:
            self._late()
        return items if length < FEW_ROUNDS else self._watched(items)

    def _watched(self, items: Any) -> Iterator[Any]:
        for item in items:
            if time.perf_counter() > self.until:
                self._late()
            yield item

    def _late(self) -> None:
        """Raises unless it was other programs that took the time."""
        left = MOST_SECONDS - (time.thread_time() - self.used)
        if left < 0:
            raise ResourceLimitError(f"it takes longer than {MOST_SECONDS:g} s", token=None)
        self.until = time.perf_counter() + left


class _Template(BoundTemplate):
    """A template as one function."""

    context_class = _Context

    def __init__(self, env: Environment, nodes: list[Node], *args: Any, **named: Any) -> None:
        super().__init__(env, nodes, *args, **named)
        self._straight = straight(nodes, env)

    def render_with_context(self, context: RenderContext, buffer: Any, *args: Any, **named: Any) -> None:
        try:
            self._straight(context, buffer)
        except LiquidInterrupt as error:
            raise LiquidSyntaxError(f"unexpected '{error}'", token=None) from error


class _Content(ContentNode):
    """Static text."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        if type(buffer) is NullIO:  # where Liquid leaves out a block of nothing but white space
            return 0
        buffer += (self.text, "")
        return 1

    render = render_to_output


class _ContentTag(Literal):
    node_class = _Content


class _Output(OutputNode):
    """`{{ ... }}`, with a short way for a plain path into JSON objects, which is what most outputs are."""

    __slots__ = ("root", "steps")

    def __init__(self, token: Token, expression: Any) -> None:
        super().__init__(token, expression)
        self.root, *self.steps = plain_path(expression) or [""]

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        if self.root:
            value = look(context, self.root)
            for step in self.steps:
                value = value.get(step) if type(value) is dict else None
            if type(value) is str:
                buffer += ("", escape(value) if context.autoescape and special(value) else value)
                return 1
        buffer += ("", to_liquid_string(self.expression.evaluate(context), context.autoescape))
        return 1

    render = render_to_output


class _OutputTag(Output):
    node_class = _Output


class _For(ForNode):
    """`for`, its body as one function."""

    __slots__ = ("counts", "straight")

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.straight: Straight | None = None
        self.counts = "forloop" in str(self.block)  # without, nobody asks how far the loop has come

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        items, length = self.expression.evaluate(context)
        if not length or self.block.blank:
            return super().render_to_output(context, buffer)
        if self.straight is None:
            self.straight = straight(self.block.nodes, context.env)
        body = self.straight
        name = str(self.expression.identifier)  # its own class compares slowly
        loop = ForLoop(
            name=f"{name}-{self.expression.iterable}", it=items, length=length, parentloop=context.parentloop()
        )
        namespace: dict[str, object] = {name: None, "forloop": loop}
        rounds = context.rounds(loop if self.counts else items, length)  # type: ignore[attr-defined]  # ours
        with context.loop(namespace, loop):
            for item in rounds:
                namespace[name] = item
                try:
                    body(context, buffer)
                except ContinueLoop:
                    continue
                except BreakLoop:
                    break
        return 1


class _ForTag(ForTag):
    node_class = _For


class _Link(Node):
    """The address inside, or what stands for it where it leads to the web."""

    __slots__ = ("address",)

    def __init__(self, token: Token, block: BlockNode) -> None:
        super().__init__(token)
        self.address = block
        self.blank = False

    def __str__(self) -> str:
        return f"{{% link %}}{self.address}{{% endlink %}}"

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        address = self.written(context)
        buffer += ("", buffer.link(address) if address.startswith(WEB) else address)
        return 1

    render = render_to_output

    def written(self, context: RenderContext) -> str:
        """The address inside."""
        inside = PieceBuffer()
        for node in self.address.nodes:
            node.render(context, inside)  # type: ignore[arg-type]  # all of a TextIO that nodes use
        return "".join(inside).strip()

    def children(self, static_context: RenderContext, *, include_partials: bool = True) -> list[Node]:
        return [self.address]


class _LinkTag(Tag):
    name = "link"
    end = "endlink"

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        block = get_parser(self.env).parse_block(stream, frozenset((self.end,)))
        stream.expect(TOKEN_TAG, value=self.end)
        return _Link(token, block)


class _Liquid(Environment):
    """Bounded: a template must not be able to stop a worker."""

    template_class = _Template
    loop_iteration_limit = MOST_ROUNDS
    local_namespace_limit = 200_000  # bytes of `assign` and `capture`
    context_depth_limit = 20
    block_nesting_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        # What other templates hold is put in when a template is compiled (see blocks.py); tables are laid out by hand.
        for unavailable in ("include", "render", "tablerow"):
            self.tags.pop(unavailable, None)
        self.filters.pop("safe", None)  # nothing that is told of a customer may become HTML
        self.filters.update(filters.bounded(self.filters))
        for tag in (_ContentTag, _OutputTag, _ForTag, _LinkTag, WithTag):
            self.add_tag(tag)


@lru_cache(maxsize=256)
def _environment(html: bool, locale: str, plain: bool) -> Environment:
    made = _Liquid(autoescape=html)
    made.filters.update(filters.of_locale(locale, plain=plain))
    return made


def parse(source: str, *, html: bool, locale: str = "en", plain: bool = False) -> BoundTemplate:
    """The template, parsed; with `html`, what it puts out is escaped. Raises InvalidInput that says what is wrong.

    Filters write as `locale` does; `plain`: in letters that leave an SMS a cheap one, where there is a choice.
    """
    if MARK in source or "\0" in source:
        raise InvalidInput("The template holds the control character U+0001 or U+0000; take it out")
    if len(source) > MOST_WRITTEN:
        raise InvalidInput(f"The template has {len(source):,} characters; {MOST_WRITTEN:,} are the most")
    try:
        template = _environment(html, locale, plain).from_string(source)
        _check(template, source)
    except LiquidError as error:
        raise InvalidInput(f"Liquid{_where(error)}: {error.message}") from error
    except RecursionError as error:
        raise InvalidInput("Liquid: an expression holds too many others within one another") from error
    return template


def line_of(source: str, index: int) -> int:
    """The line, from 1, of a place in a text."""
    return source.count("\n", 0, index) + 1


def _where(error: LiquidError) -> str:
    if error.token is None:
        return ""
    if not 0 <= error.token.start_index <= len(error.token.source):
        return " at the end"
    return f" in line {line_of(error.token.source, error.token.start_index)}"


def _check(template: BoundTemplate, source: str) -> None:
    """Refuses filters that there are not, and ranges anywhere but in `for`, which counts them."""
    for node in nodes(template.nodes):
        for expression in node.expressions():
            for one in _within(expression):
                if isinstance(one, RangeLiteral):
                    raise LiquidSyntaxError("a range such as (1..3) may stand in `for` only", token=one.token)
    for name, places in template.analyze(include_partials=False).filters.items():
        if name not in template.env.filters:
            raise InvalidInput(f"Liquid in line {line_of(source, places[0].index)}: unknown filter {name}")


def nodes(found: list[Node]) -> Iterator[Node]:
    """All nodes of a template, each before those within it."""
    for node in found:
        yield node
        yield from nodes(list(node.children(None)))  # type: ignore[arg-type]  # only tags that load others ask for it


def _within(expression: Expression) -> Iterator[Expression]:
    yield expression
    in_loop = isinstance(expression, LoopExpression)
    for child in expression.children():
        if in_loop and isinstance(child, RangeLiteral):
            yield from (one for bound in child.children() for one in _within(bound))
        else:
            yield from _within(child)
