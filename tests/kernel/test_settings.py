"""Settings come from defaults, one TOML file and the environment, and what is wrong is named."""

from pathlib import Path

import pytest

from onevoice.kernel.errors import ConfigurationError
from onevoice.kernel.settings import Settings, as_environment, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_wins_over_the_file() -> None:
    Path("onevoice.toml").write_text('port = 9000\n[channels.email]\nadapter = "smtp"\nport = 2525\n')
    settings = load({"ONEVOICE_PORT": "9001"})
    assert settings.port == 9001
    assert settings.channels["email"] == {"adapter": "smtp", "port": 2525}


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"ONEVOICE_PORT": "many"}, "port"),
        ({"ONEVOICE_PORT": "70000"}, "port"),
        ({"ONEVOICE_PROT": "1"}, "ONEVOICE_PROT"),
        ({"ONEVOICE_IN_FLIGHT": "0"}, "in_flight"),
        ({"ONEVOICE_CONFIG": "nowhere.toml"}, "nowhere.toml"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load(environment)


def test_an_unknown_name_in_the_file_is_named() -> None:
    Path("onevoice.toml").write_text("prot = 1\n")
    with pytest.raises(ConfigurationError, match="prot"):
        load({})


def test_a_child_process_gets_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=1234, channels={"sms": {"adapter": "twilio", "price": "0.05"}})
    assert load(as_environment(settings)) == settings


def test_the_secret_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    assert settings.secret() == settings.secret()
    assert len(settings.secret()) == 32
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o077 == 0
