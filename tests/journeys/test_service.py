"""Journeys saved: a change is a version, and a journey stays in its status until somebody says otherwise."""

from datetime import timedelta

import pytest
import yaml
from sqlalchemy import Engine

from onevoice.delivery import holds
from onevoice.journeys import service
from onevoice.kernel.errors import InvalidInput, NotFound
from tests.conftest import NOW
from tests.journeys.builders import WINBACK

DRAFT = {key: value for key, value in yaml.safe_load(WINBACK).items() if key != "status"}


def test_a_change_is_a_new_version_and_the_same_again_is_none(db: Engine) -> None:
    with db.begin() as connection:
        assert service.save(connection, DRAFT, NOW) == (1, True)
        assert service.save(connection, DRAFT, NOW) == (1, False)
        assert service.save(connection, {**DRAFT, "holdout": 0.2}, NOW + timedelta(days=1)) == (2, True)
        found = service.get(connection, "win-back")
    assert (found.version, found.document.holdout, found.status) == (2, 0.2, "draft")
    assert found.saved_at == NOW + timedelta(days=1)


def test_only_a_launched_journey_is_moved_and_saving_it_again_does_not_stop_it(db: Engine) -> None:
    with db.begin() as connection:
        service.save(connection, DRAFT, NOW)
        assert service.live(connection) == []
        service.launch(connection, "win-back", NOW)
        assert [journey.name for journey in service.live(connection)] == ["win-back"]
        assert service.save(connection, DRAFT, NOW) == (1, False)
        assert service.save(connection, {**DRAFT, "title": "New"}, NOW) == (2, True)
        assert [journey.version for journey in service.live(connection)] == [2]
        service.pause(connection, "win-back", NOW)
        assert service.live(connection) == []


def test_a_document_that_names_its_status_sets_it(db: Engine) -> None:
    with db.begin() as connection:
        assert service.save(connection, {**DRAFT, "status": "live"}, NOW) == (1, True)
        assert len(service.live(connection)) == 1
        service.save(connection, {**DRAFT, "status": "archived"}, NOW)
        assert service.live(connection) == []


def test_what_is_wrong_is_not_saved_and_what_is_not_there_not_found(db: Engine) -> None:
    with db.begin() as connection:
        with pytest.raises(InvalidInput):
            service.save(connection, {**DRAFT, "steps": []}, NOW)
        for missing in (service.launch, service.pause, service.stop, service.archive):
            with pytest.raises(NotFound):
                missing(connection, "win-back", NOW)


def test_what_a_journey_has_queued_stands_goes_on_and_is_cancelled_with_it(db: Engine) -> None:
    def in_force() -> list[tuple[str, str]]:
        with db.connect() as connection:
            return [(hold.action, hold.scope.journey) for hold in holds.in_force(connection)]

    with db.begin() as connection:
        service.save(connection, {**DRAFT, "status": "live"}, NOW)
        service.pause(connection, "win-back", NOW)
    assert in_force() == [("pause", "win-back")]
    with db.begin() as connection:
        service.resume(connection, "win-back", NOW)
    assert in_force() == []
    with db.begin() as connection:
        service.pause(connection, "win-back", NOW)
        service.stop(connection, "win-back", NOW)
    assert in_force() == [("cancel", "win-back")]
