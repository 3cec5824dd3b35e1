"""The commands of what comes back: a mail server's pipe, the texts a person decides on, keys that the adapters take."""

import base64
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from onevoice.channels.smtp import SmtpAdapter
from onevoice.channels.webpush import WebPushAdapter
from onevoice.cli import mail
from onevoice.cli.main import app
from onevoice.kernel.settings import Settings
from tests.channels.mails import answer, bounce

runner = CliRunner()


@pytest.fixture
def environment(settings: Settings, db: Engine) -> dict[str, str]:
    return {"ONEVOICE_DATABASE_URL": settings.database_url, "ONEVOICE_DATA_DIR": str(settings.data_dir)}


def test_a_mail_server_hands_mail_over_and_a_person_decides(environment: dict[str, str]) -> None:
    done = runner.invoke(app, ["mail", "receive", "--json"], input=bounce(), env=environment)
    assert (done.exit_code, '"foreign"' in done.output) == (0, True)
    text = answer("please do not write to me any more")
    assert '"reply"' in runner.invoke(app, ["mail", "receive", "--json"], input=text, env=environment).output
    listed = runner.invoke(app, ["opt-out", "list", "--json"], env=environment)
    assert "do not write to me" in listed.output
    identifier = listed.output.split('"id": "')[1].split('"')[0]
    assert "1 decided" in runner.invoke(app, ["opt-out", "confirm", identifier], env=environment).output
    assert runner.invoke(app, ["opt-out", "list", "--json"], env=environment).output.strip() == "[]"


def test_without_a_database_the_mail_server_is_told_to_try_again(environment: dict[str, str]) -> None:
    nowhere = environment | {"ONEVOICE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    assert runner.invoke(app, ["mail", "receive"], input=bounce(), env=nowhere).exit_code == mail.TRY_AGAIN


def test_keys_are_taken_by_the_adapters(tmp_path: Path) -> None:
    file = tmp_path / "s1.pem"
    made = runner.invoke(app, ["mail", "keys", "s1", "shop.example", "--file", str(file), "--kind", "ed25519"])
    assert made.output.startswith("s1._domainkey.shop.example. TXT")
    assert file.stat().st_mode & 0o077 == 0
    SmtpAdapter(sender="n@shop.example", dkim={"s1": str(file)})
    printed = runner.invoke(app, ["webpush", "keys"]).output
    private = printed.split('private_key = "')[1].split('"')[0]
    WebPushAdapter(private, "mailto:push@shop.example")
    point = base64.urlsafe_b64decode(printed.split('applicationServerKey = "')[1].split('"')[0] + "=")
    assert (len(point), point[0]) == (65, 4)  # an uncompressed point of P-256
