"""Limits changed in a terminal, and a Maildir read there."""

import json
from mailbox import Maildir
from pathlib import Path
from typing import Any

import pytest

from onevoice.kernel.errors import InvalidInput
from tests.channels.mails import answer, bounce


def test_a_limit_is_changed_shown_and_taken_back(typed: Any) -> None:
    (changed,) = json.loads(typed("delivery", "limit", "domain:Gmail.com", "5/second", "--json")[1])
    assert (changed["key"], changed["value"], bool(changed["set_by"])) == ("domain:gmail.com", "5/second", True)
    assert "domain:gmail.com" in typed("delivery", "limits", "--json")[1]
    assert any(
        row["throttle"] == "domain:gmail.com"
        for row in json.loads(typed("delivery", "status", "--json")[1])["throttles"]
    )
    assert typed("delivery", "unlimit", "domain:gmail.com")[0] == 0
    assert "domain:gmail.com" not in typed("delivery", "limits", "--json")[1]
    with pytest.raises(InvalidInput, match="breaker:least_ill"):
        typed("delivery", "limit", "gmail", "5")


def test_a_maildir_is_read_and_what_came_is_told(typed: Any, tmp_path: Path) -> None:
    box = Maildir(tmp_path / "box")
    for raw in (bounce(), answer(), answer(id="r2")):
        box.add(raw)
    status, told = typed("mail", "collect", str(tmp_path / "box"), "--json")
    assert status == 0
    assert json.loads(told[told.index("[") :]) == [{"what": "foreign", "mails": 1}, {"what": "reply", "mails": 2}]
