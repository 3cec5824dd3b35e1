"""Brands, blocks and templates in a terminal: their versions, and back to one, with what is made of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from onevoice.content import templates
from onevoice.kernel.errors import NotFound
from tests.conftest import NOW


def brand(title: str) -> dict[str, Any]:
    return {"kind": "brand", "name": "corner", "title": title}


def test_a_brand_goes_back_to_a_version_and_takes_its_templates_along(typed: Any, db: Engine) -> None:
    fields = {"subject": "{{ brand.name }}", "mjml": "<mjml><mj-body></mj-body></mjml>"}
    mail = {"name": "hello", "channel": "email", "locales": {"en": fields}}
    with db.begin() as connection:
        templates.save_part(connection, brand("Corner"), NOW)
        templates.save(connection, mail, NOW, Path())
        templates.save_part(connection, brand("Korner"), NOW)
    assert [row["version"] for row in json.loads(typed("brand", "versions", "corner", "--json")[1])] == [2, 1]
    assert json.loads(typed("brand", "show", "corner", "--version", "1", "--json")[1])["title"] == "Corner"
    (done,) = json.loads(typed("brand", "revert", "corner", "1", "--json")[1])
    assert done == {"name": "corner", "version": 3, "changed": True}
    assert "title: Corner" in typed("brand", "show", "corner")[1]
    assert [row["name"] for row in json.loads(typed("brand", "list", "--json")[1])] == ["corner"]
    with db.connect() as connection:
        hello = templates.get(connection, "hello")
    assert (hello.version, hello.variants[0].brand["name"]) == (3, "Corner")
    (again,) = json.loads(typed("brand", "revert", "corner", "1", "--json")[1])
    assert again["changed"] is False


def test_a_template_goes_back_to_a_version(typed: Any, db: Engine) -> None:
    with db.begin() as connection:
        for said in ("One", "Two"):
            push = {"name": "p", "channel": "push", "locales": {"en": {"title": said, "body": "x"}}}
            templates.save(connection, push, NOW, Path())
    typed("template", "revert", "p", "1")
    assert [row["version"] for row in json.loads(typed("template", "versions", "p", "--json")[1])] == [3, 2, 1]
    assert "title: One" in typed("template", "show", "p")[1]
    assert "title: Two" in typed("template", "show", "p", "--version", "2")[1]


def test_a_block_that_is_there_from_the_start_is_shown_and_what_is_not_is_named(typed: Any) -> None:
    assert "name: footer" in typed("block", "show", "footer")[1]
    assert json.loads(typed("block", "list", "--json")[1]) == []
    for words in (("block", "versions", "hi"), ("block", "show", "hi"), ("brand", "revert", "corner", "1")):
        with pytest.raises(NotFound, match=words[2]):
            typed(*words)
