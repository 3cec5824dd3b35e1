"""Commands as typed in a terminal."""

from typing import Any

import pytest
from typer.testing import CliRunner

from onevoice.cli.main import app
from onevoice.kernel.settings import Settings


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a command; returns its exit status and output."""
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(settings.data_dir))

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    return run
