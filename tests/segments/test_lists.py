"""Lists from files: what was imported counts, an import and a removal can be undone, membership follows identity."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from onevoice.cli.main import app
from onevoice.customers.facts import IDENTIFIERS
from onevoice.customers.identifiers import Identifier
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.settings import Settings
from onevoice.segments import lists
from onevoice.segments.compiler import members
from onevoice.segments.tree import condition
from onevoice.warehouse import Warehouse
from tests.conftest import NOW
from tests.segments.shop import TODAY


def known(warehouse: Warehouse, customers: dict[str, int]) -> None:
    """Loyalty cards and whose they are."""
    ids = [Identifier("loyalty_card", value).id for value in customers]
    columns: dict[str, list[object]] = {name: [None] * len(ids) for name in IDENTIFIERS.columns} | {
        "identifier_id": list(ids),
        "namespace": ["loyalty_card"] * len(ids),
        "value": list(customers),
        "customer_id": list(customers.values()),
        "first_seen_at": [TODAY] * len(ids),
        "revision": [1] * len(ids),
    }
    warehouse.replace(IDENTIFIERS, ["identifier_id"], IDENTIFIERS.arrow(columns))


def on_list(warehouse: Warehouse, name: str) -> set[int]:
    found = members(condition({"list": {"name": name}}), warehouse, NOW)
    return {row["customer_id"] for row in warehouse.rows(found)}


def test_who_is_on_a_list_follows_the_list_and_the_identity(db: Engine, store: Warehouse) -> None:
    known(store, {"c1": 1, "c2": 2, "c3": 3})
    with db.begin() as connection:
        lists.save(connection, "vip", "loyalty_card", ["c1", " c2 ", "c2", "c9"], NOW)
        assert lists.sync(store, connection) == ["vip"] and lists.sync(store, connection) == []
    assert on_list(store, "vip") == {1, 2}
    known(store, {"c2": 1, "c9": 4})
    assert on_list(store, "vip") == {1, 4}
    with db.begin() as connection:
        lists.save(connection, "vip", "loyalty_card", ["c3"], NOW)
        lists.sync(store, connection)
    assert on_list(store, "vip") == {3}


def cards(*values: str) -> list[Identifier]:
    return [Identifier("loyalty_card", value) for value in values]


def test_who_comes_onto_a_list_is_added_to_it_and_who_goes_is_taken_off_once(db: Engine, store: Warehouse) -> None:
    known(store, {"c1": 1, "c2": 2, "c3": 3})

    def changed(added: list[Identifier], removed: list[Identifier]) -> tuple[list[str], set[int]]:
        with db.begin() as connection:
            lists.change(connection, "vip", added, removed, NOW)
            return lists.sync(store, connection), on_list(store, "vip")

    with db.begin() as connection:
        lists.save(connection, "vip", "loyalty_card", ["c1"], NOW, "file")
        lists.sync(store, connection)
    assert changed(cards("c2", "c3"), []) == (["vip"], {1, 2, 3})
    assert changed(cards("c2"), []) == ([], {1, 2, 3})
    assert changed([], cards("c2")) == (["vip"], {1, 3})
    assert changed([], cards("c2")) == ([], {1, 3})
    assert changed(cards("c2"), cards("c1", "c3")) == (["vip"], {2})
    assert changed([], cards("c2")) == (["vip"], set())
    with db.begin() as connection:
        (row,) = lists.lists(connection)
        assert (row["size"], row["origin"]) == (0, "file")
        counted = connection.execute(text("SELECT count(*) FROM segment_list")).scalar()
    assert counted == 1  # nothing was copied


def test_an_import_and_a_removal_can_be_undone_once(db: Engine, duck: Warehouse) -> None:
    known(duck, {"c1": 1, "c2": 2})
    with db.begin() as connection:
        lists.save(connection, "vip", "loyalty_card", ["c1"], NOW)
        lists.save(connection, "vip", "loyalty_card", ["c2"], NOW)
        lists.undo(connection, "vip")
        lists.sync(duck, connection)
        assert on_list(duck, "vip") == {1}
        lists.remove(connection, "vip", NOW)
        assert lists.lists(connection) == []
        lists.sync(duck, connection)
        assert on_list(duck, "vip") == set()
        lists.undo(connection, "vip")
        lists.sync(duck, connection)
        assert on_list(duck, "vip") == {1}
        with pytest.raises(NotFound, match="nothing to go back to"):
            lists.undo(connection, "vip")
        with pytest.raises(NotFound, match="no list 'nobody'"):
            lists.remove(connection, "nobody", NOW)


def test_a_file_of_nothing_usable_leaves_the_list_as_it_was(db: Engine) -> None:
    with db.begin() as connection:
        lists.save(connection, "vip", "email", ["a@example.com"], NOW)
        with pytest.raises(InvalidInput, match="nothing in the file can be a email; the list stays"):
            lists.save(connection, "vip", "email", ["not an address", ""], NOW)
        assert [(row["name"], row["size"]) for row in lists.lists(connection)] == [("vip", 1)]


def test_a_file_is_imported_and_undone_on_the_command_line(
    db: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    file = tmp_path / "vip.csv"
    file.write_text("name,mail\nAnna,a@example.com\nBea,nonsense\n", encoding="utf-8")
    place = ["--data-dir", str(settings.data_dir)]
    asked = ["list", "import", "vip", str(file), "--namespace", "email", "--column", "mail", "--json", *place]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and '"size": 1' in done.output and "'nonsense'" in done.output
    assert CliRunner().invoke(app, ["list", "remove", "vip", *place]).exit_code == 0
    assert CliRunner().invoke(app, ["list", "undo", "vip", *place]).exit_code == 0
    assert '"origin": "vip.csv"' in CliRunner().invoke(app, ["list", "show", "--json", *place]).output
    schema = CliRunner().invoke(app, ["segment", "schema"])
    assert schema.exit_code == 0 and '"rfm"' in schema.output
