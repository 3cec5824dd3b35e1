"""The template language: Liquid, sandboxed and bounded, with a mark for links that are to be tracked.

`{% link %}https://...{% endlink %}` is put around links when a template is compiled; `{{ url | track }}` is for
authors. Either way the address comes out between two MARKs, and the renderer puts a tracked one in its place.
"""

from functools import cache
from typing import Any

from liquid import Environment, Markup, escape
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.for_tag import ForLoop, ForNode, ForTag
from liquid.context import RenderContext
from liquid.exceptions import BreakLoop, ContinueLoop, LiquidError, LiquidInterrupt, LiquidSyntaxError
from liquid.output import NullIO
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string
from liquid.tag import Tag
from liquid.template import BoundTemplate
from liquid.token import TOKEN_TAG, Token

from onevoice.content.buffer import MARK, WEB, PieceBuffer
from onevoice.content.straight import Straight, look, special, straight
from onevoice.kernel.errors import InvalidInput


class _Context(RenderContext):
    """Renders what is captured into pieces, too."""

    def get_buffer(self, buf: object = None) -> Any:
        return PieceBuffer()


class _Template(BoundTemplate):
    """A template as one function."""

    context_class = _Context

    def __init__(self, env: Environment, nodes: list[Node], *args: Any, **named: Any) -> None:
        super().__init__(env, nodes, *args, **named)
        self._straight = straight(nodes, env.autoescape)

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
        buffer.append(self.text)
        return 1

    render = render_to_output


class _ContentTag(Literal):
    node_class = _Content


class _Output(OutputNode):
    """`{{ ... }}`, with a short way for a plain path into JSON objects, which is what most outputs are."""

    __slots__ = ("root", "steps")

    def __init__(self, token: Token, expression: Any) -> None:
        super().__init__(token, expression)
        path = expression.left.path if _is_plain_path(expression) else [""]
        self.root, self.steps = path[0], path[1:]

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        if self.root:
            value = look(context, self.root)
            for step in self.steps:
                value = value.get(step) if type(value) is dict else None
            if type(value) is str:
                buffer.append(escape(value) if context.autoescape and special(value) else value)
                return 1
        buffer.append(to_liquid_string(self.expression.evaluate(context), context.autoescape))
        return 1

    render = render_to_output


def _is_plain_path(expression: Any) -> bool:
    return (
        type(expression) is FilteredExpression
        and not expression.filters
        and type(expression.left) is Path
        and all(type(step) is str for step in expression.left.path)
    )


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
            self.straight = straight(self.block.nodes, context.autoescape)
        body = self.straight
        name = str(self.expression.identifier)  # its own class compares slowly
        loop = ForLoop(
            name=f"{name}-{self.expression.iterable}", it=items, length=length, parentloop=context.parentloop()
        )
        namespace: dict[str, object] = {name: None, "forloop": loop}
        with context.loop(namespace, loop):
            for item in loop if self.counts else items:
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
    """The address inside, noted for the renderer where it leads to the web."""

    __slots__ = ("address",)

    def __init__(self, token: Token, block: BlockNode) -> None:
        super().__init__(token)
        self.address = block
        self.blank = False

    def __str__(self) -> str:
        return f"{{% link %}}{self.address}{{% endlink %}}"

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        inside = PieceBuffer()
        for node in self.address.nodes:
            node.render(context, inside)  # type: ignore[arg-type]  # all of a TextIO that nodes use
        address = "".join(inside).strip()
        if address.startswith(WEB):
            buffer.links.append(len(buffer))
        buffer.append(address)
        return 1

    render = render_to_output

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


def _track(value: object) -> str:
    address = str(value).strip()
    marked = f"{MARK}{address}{MARK}" if address.startswith(WEB) else address
    return Markup(escape(marked)) if isinstance(value, Markup) else marked


class _Liquid(Environment):
    """Bounded: a template must not be able to stop a worker."""

    template_class = _Template
    loop_iteration_limit = 10_000
    local_namespace_limit = 200_000  # bytes of `assign` and `capture`
    context_depth_limit = 10
    block_nesting_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for unavailable in ("include", "render"):  # there are no other templates to include
            self.tags.pop(unavailable, None)
        for tag in (_ContentTag, _OutputTag, _ForTag, _LinkTag):
            self.add_tag(tag)
        self.add_filter("track", _track)


@cache
def _environment(html: bool) -> Environment:
    return _Liquid(autoescape=html)


def parse(source: str, *, html: bool) -> BoundTemplate:
    """The template, parsed; with `html`, what it puts out is escaped. Raises InvalidInput that says what is wrong."""
    if MARK in source:
        raise InvalidInput("The template holds the control character U+0001; take it out")
    try:
        return _environment(html).from_string(source)
    except LiquidError as error:
        raise InvalidInput(f"Liquid: {error}") from error
