"""A segment's definitions: every version kept, compared, brought back; deleted only where nothing needs it."""

import pytest
from sqlalchemy import Engine

from onevoice.journeys import service as journeys
from onevoice.kernel.errors import Conflict, InvalidInput, NotFound
from onevoice.segments import service
from tests.conftest import NOW
from tests.journeys.builders import journey

ONE = {"kind": "segment", "name": "buyers", "where": {"orders": {"at_least": 1}}}
TWO = {"kind": "segment", "name": "buyers", "where": {"orders": {"at_least": 2}}}


def test_every_version_is_kept_with_who_and_when_and_two_can_be_compared(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, ONE, NOW, by="anna")
        service.save(connection, TWO, NOW, by="bruno")
        service.save(connection, TWO, NOW, by="carla")
        kept = service.versions(connection, "buyers")
        assert [(one.version, one.saved_by, one.document) for one in kept] == [(2, "bruno", TWO), (1, "anna", ONE)]
        lines = service.difference(connection, "buyers", 1, 2).splitlines()
        assert [line for line in lines if line[0] in "+-"][2:] == ["-    at_least: 1", "+    at_least: 2"]
        with pytest.raises(NotFound, match="no version 7"):
            service.difference(connection, "buyers", 1, 7)


def test_an_earlier_version_comes_back_as_a_new_one(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, ONE, NOW)
        service.save(connection, TWO, NOW)
        assert service.restore(connection, "buyers", NOW, version=1) == (3, True)
        assert service.get(connection, "buyers").document == ONE


def test_a_deleted_segment_is_gone_and_comes_back(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, ONE, NOW)
        service.delete(connection, "buyers", NOW, {})
        assert service.all_segments(connection) == []
        assert [one.name for one in service.archived(connection)] == ["buyers"]
        with pytest.raises(NotFound, match="deleted; restore it first"):
            service.get(connection, "buyers")
        with pytest.raises(InvalidInput, match="no segment buyers"):
            service.save(connection, {"name": "others", "where": {"not": {"segment": {"name": "buyers"}}}}, NOW)
        assert service.restore(connection, "buyers", NOW) == (2, True)
        assert service.get(connection, "buyers").document == ONE
        with pytest.raises(InvalidInput, match="not deleted"):
            service.restore(connection, "buyers", NOW)


def test_deleting_what_others_need_is_refused_with_the_path(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, ONE, NOW)
        service.save(connection, {"name": "dormant", "where": {"not": {"segment": {"name": "buyers"}}}}, NOW)
        service.save(connection, {"name": "asleep", "where": {"segment": {"name": "dormant"}}}, NOW)
        with pytest.raises(Conflict, match="segment buyers → segment dormant → segment asleep"):
            service.delete(connection, "buyers", NOW, {})
        journeys.save(connection, journey().definition, NOW)
        used = journeys.waiting(connection)
        assert used == {"dormant": ["win-back"]}
        with pytest.raises(Conflict, match="segment buyers → segment dormant → journey win-back"):
            service.delete(connection, "buyers", NOW, used)
        service.delete(connection, "asleep", NOW, used)


def test_a_segment_keeps_its_name(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, ONE, NOW)
        with pytest.raises(InvalidInput, match="keeps its name"):
            service.replace(connection, "buyers", {**ONE, "name": "customers"}, NOW)
        assert service.replace(connection, "buyers", {"where": {"orders": {"at_least": 3}}}, NOW) == (2, True)
        with pytest.raises(NotFound):
            service.replace(connection, "nobody", ONE, NOW)
