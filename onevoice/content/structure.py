"""The shape of an e-mail's markup: elements closed where they were opened, no deeper than the tools can bear, and the
whole mirrored for languages that are written from right to left.
"""

import re

from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.locales import direction

DEEPEST = 150
"""Elements within one another. The MJML compiler's own recursion ends the process at some thousands."""

_TAG = re.compile(r"<!--.*?-->|<(/?)([A-Za-z][\w-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>", re.DOTALL)
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


def check(mjml: str) -> None:
    """Raises InvalidInput with the line where an MJML element is not closed, or too many are in one another."""
    opened: list[tuple[str, int]] = []
    depth = 0
    for found in _TAG.finditer(mjml):
        closes, name, _, empty = found.groups()
        if name is None or name.lower() in _VOID or empty:
            continue
        depth += -1 if closes else 1
        if depth > DEEPEST:
            raise InvalidInput(f"line {_line(mjml, found)}: more than {DEEPEST} elements within one another")
        if not name.startswith("mj"):
            continue
        if not closes:
            opened.append((name, _line(mjml, found)))
        elif not opened or opened[-1][0] != name:
            inner = f"; <{opened[-1][0]}> of line {opened[-1][1]} is still open" if opened else ""
            raise InvalidInput(f"line {_line(mjml, found)}: </{name}> closes nothing{inner}")
        else:
            opened.pop()
    if opened:
        raise InvalidInput(f"line {opened[-1][1]}: <{opened[-1][0]}> is never closed")


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def in_language(mjml: str, locale: str) -> tuple[str, bool]:
    """MJML that says its language and direction, and whether to mirror it: not where the author gave a `dir`."""
    root = re.search(r"<mjml\b([^>]*)>", mjml)
    if root is None:
        return mjml, False
    told = "".join(
        f' {name}="{value}"'
        for name, value in (("lang", locale.replace("_", "-")), ("dir", direction(locale.split("-")[0])))
        if not re.search(rf"\b{name}\s*=", root[1])
    )
    mirrored = direction(locale.split("-")[0]) == "rtl" and " dir=" in told
    return f"{mjml[: root.start()]}<mjml{told}{root[1]}>{mjml[root.end() :]}", mirrored


def mirrored(html: str) -> str:
    """HTML with left and right changed in styles and alignments, and `direction` from right to left."""
    html = _STYLE.sub(lambda found: found[1] + _declarations(found[2]), html)
    return _ALIGN.sub(lambda found: found[1] + _OTHER[found[2]], html)


_OTHER = {"left": "right", "right": "left"}
_ALIGN = re.compile(r'(<[a-z][^<>]*?\salign=")(left|right)(?=")')
_STYLE = re.compile(r'(\sstyle=")([^"]*)(?=")')
_SIDE = re.compile(r"\b(left|right)\b(?=[\w-]*\s*[:;\"}!]|\s*$)")
_WORDS = r"([^\s;]+)\s+([^\s;]+)\s+([^\s;]+)\s+([^\s;]+)"
_FOUR = re.compile(r"((?:padding|margin|border-width|border-color|border-style)\s*:\s*)" + _WORDS)
_CORNERS = re.compile(r"(border-radius\s*:\s*)" + _WORDS)


def _declarations(css: str) -> str:
    css = _SIDE.sub(lambda found: _OTHER[found[1]], css)
    css = _FOUR.sub(r"\1\2 \5 \4 \3", css)
    css = _CORNERS.sub(r"\1\3 \2 \5 \4", css)
    return re.sub(r"(direction\s*:\s*)ltr", r"\1rtl", css)
