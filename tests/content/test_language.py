"""The template language is Liquid: bounded, and the short ways we take through it change nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import Environment
from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from onevoice.content.buffer import MARK, PieceBuffer
from onevoice.content.language import parse
from onevoice.kernel.errors import InvalidInput


def rendered(source: str, variables: dict[str, Any], *, html: bool = False) -> str:
    return buffered(parse(source, html=html), variables)


def buffered(template: BoundTemplate, variables: dict[str, Any]) -> str:
    buffer = PieceBuffer()
    template.render_with_context(template.context_class(template, globals=variables), buffer)  # type: ignore[arg-type]
    return buffer.getvalue()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-2, 2), st.text("ab<&\"' é", max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
PATHS = st.sampled_from(
    ["a", "b", "a.b", "a.b.c", "b.size", "b.first", "a[0]", "c.first.a", "item", "item.a", "nothing"]
)
PLAIN = st.one_of(
    st.sampled_from(["text ", "<b>", "\n"]),
    PATHS.map(lambda path: f"{{{{ {path} }}}}"),
    PATHS.map(lambda path: f'{{{{ {path} | default: "x" | upcase }}}}'),
    PATHS.map(lambda path: f"{{% assign a = {path} %}}"),
    st.just("{{ forloop.index }}{% if forloop.last %}.{% endif %}"),
)


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        st.builds(lambda path, text: f"{{% for item in {path} %}}{text}{{% endfor %}}", PATHS, body),
        st.builds(lambda path, text: f"{{% for b in {path} limit: 2 %}}{text}{{% else %}}-{{% endfor %}}", PATHS, body),
        st.builds(
            lambda path, text: f"{{% for item in a %}}{{% if {path} %}}{{% break %}}{{% endif %}}{text}{{% endfor %}}",
            PATHS,
            body,
        ),
        st.builds(lambda path, text: f"{{% if {path} %}}{text}{{% else %}}!{{% endif %}}", PATHS, body),
        st.builds(lambda text: f"{{% capture c %}}{text}{{% endcapture %}}{{{{ c }}}}", body),
        body,
    )


@settings(max_examples=400, deadline=None)
@given(
    source=st.lists(st.recursive(PLAIN, blocks, max_leaves=6), max_size=5).map("".join),
    variables=st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
    html=st.booleans(),
)
def test_it_renders_what_the_library_renders(source: str, variables: dict[str, Any], html: bool) -> None:
    try:
        expected = Environment(autoescape=html).from_string(source).render(**variables)
    except LiquidError:
        with pytest.raises(LiquidError):
            rendered(source, variables, html=html)
        return
    assert rendered(source, variables, html=html) == expected


@pytest.mark.parametrize(
    "source", ["{% if a %}", "{{ a", "{% include 'b' %}", "{% render 'b' %}", "{% nonsense %}", "a\x01b"]
)
def test_what_is_wrong_is_refused_when_parsed(source: str) -> None:
    with pytest.raises(InvalidInput):
        parse(source, html=False)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in (1..100000) %}x{% endfor %}",
        "{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}",
        "{% assign a = 'x' %}{% for i in (1..50) %}{% assign a = a | append: a %}{% endfor %}",
    ],
)
def test_a_template_cannot_run_away(source: str) -> None:
    with pytest.raises(LiquidError):
        rendered(source, {})


def test_objects_of_python_are_out_of_reach() -> None:
    assert rendered("{{ a.__class__ }}{{ a.keys }}{{ b.__init__ }}{{ b.c.d }}", {"a": {"x": 1}, "b": "text"}) == ""


def test_a_link_within_a_loop_sees_how_far_the_loop_has_come() -> None:
    source = "{% for a in b %}{% link %}https://x.example/{{ forloop.index }}{% endlink %} {% endfor %}"
    assert rendered(source, {"b": [1, 2]}).replace(MARK, "") == "https://x.example/1 https://x.example/2 "
