"""Blocks: pieces of content that templates share, put in when a template is compiled.

`{% render 'products', items: recommended, columns: 2 %}` becomes the block's own text with the names it is given. A
block has a form for e-mail (MJML) and one for text (SMS, push, WhatsApp, call scripts, subjects), by locale. Those of
`standard_blocks.py` are there from the start; one that is saved under the same name takes its place.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from onevoice.content.language import line_of, parse
from onevoice.kernel.errors import InvalidInput, NotFound

DEEPEST = 5
"""Blocks within blocks."""

MOST_EXPANDED = 400_000
"""Characters of a template with its blocks."""

RENDER = re.compile(r"\{%-?\s*render\s+(['\"])([\w-]+)\1\s*,?\s*((?:[^%]|%(?!\}))*?)\s*-?%\}")


class Form(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A block in one locale."""

    mjml: str = ""
    text: str = ""


class Block(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A block as written. `defaults` are the values of what a template does not give."""

    kind: Literal["block"]
    name: Annotated[str, Meta(pattern=r"^[\w-]+$")]
    locales: Annotated[dict[str, Form], Meta(min_length=1)]
    title: str = ""
    defaults: dict[str, str | int | bool] = {}


Blocks = Callable[[str], Block]
"""Finds a block by name. Raises NotFound."""


def read(document: Mapping[str, Any]) -> Block:
    """The block. Raises InvalidInput naming the place."""
    try:
        block = msgspec.convert(document, Block)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Block {document.get('name', '')!r}: {error}") from error
    for locale, form in block.locales.items():
        for field in ("mjml", "text"):
            try:
                parse(blank(getattr(form, field)), html=field == "mjml", locale=locale)
            except InvalidInput as error:
                raise InvalidInput(f"Block {block.name!r}, {locale}, {field}: {error.message}") from error
    for name in block.defaults:
        if not re.fullmatch(r"[a-z_]\w*", name):
            raise InvalidInput(f"Block {block.name!r}: {name!r} in `defaults` is no name of a variable")
    return block


def blank(source: str) -> str:
    """The source without what blocks would put in, its lines where they were; to see whether the rest is right."""
    return RENDER.sub(lambda found: "\n" * found[0].count("\n"), source)


def expanded(source: str, locale: str, blocks: Blocks, field: Literal["mjml", "text"], depth: int = 0) -> str:
    """The source with its blocks put in. Raises InvalidInput with the line of one that there is not."""

    def put_in(found: re.Match[str]) -> str:
        line = line_of(source, found.start())
        if depth >= DEEPEST:
            raise InvalidInput(f"line {line}: block {found[2]!r} stands in more than {DEEPEST} others, or in itself")
        try:
            block = blocks(found[2])
        except NotFound as error:
            raise InvalidInput(f"line {line}: {error.message}") from error
        inside = expanded(_form(block, locale, field), locale, blocks, field, depth + 1)
        defaults = ", ".join(f"{name}: {_literal(value)}" for name, value in block.defaults.items())
        for given in (found[3], defaults):
            if given:
                inside = f"{{% with {given} %}}{inside}{{% endwith %}}"
        return inside

    made = RENDER.sub(put_in, source)
    if len(made) > MOST_EXPANDED:
        raise InvalidInput(f"with its blocks it has more than {MOST_EXPANDED:,} characters")
    return made


def _form(block: Block, locale: str, field: str) -> str:
    forms = block.locales
    wishes = (locale, locale.replace("_", "-").split("-")[0], "en", next(iter(forms)))
    return str(getattr(forms[next(wish for wish in wishes if wish in forms)], field)).strip()


def _literal(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "’") + "'"
