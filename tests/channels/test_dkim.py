"""Signatures that others verify (dkimpy): both kinds of key, whatever the message holds, and none survives a change."""

from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onevoice.channels.adapter import OutboundMessage
from onevoice.channels.dkim import record
from onevoice.channels.smtp import SmtpAdapter
from onevoice.kernel.errors import ConfigurationError


class VerifyKey:
    """dkimpy wants PyNaCl for the bare Ed25519 check; all the rest of what it checks is its own."""

    def __init__(self, encoded: bytes, encoder: None) -> None:
        self.key = Ed25519PublicKey.from_public_bytes(b64decode(encoded))

    def verify(self, signed: bytes, code: bytes) -> None:
        self.key.verify(code, signed)


dkim.nacl = SimpleNamespace(
    signing=SimpleNamespace(VerifyKey=VerifyKey),
    encoding=SimpleNamespace(Base64Encoder=None),
    exceptions=SimpleNamespace(ValueError=ValueError, BadSignatureError=InvalidSignature),
)

PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A file per selector."""
    folder = tmp_path_factory.mktemp("keys")
    made = {"r1": generate_private_key(65537, 1024), "e1": Ed25519PrivateKey.generate()}  # short, for speed
    for selector, key in made.items():
        (folder / selector).write_bytes(key.private_bytes(*PRIVATE))
    return {selector: str(folder / selector) for selector in made}


def wire(keys: dict[str, str], content: dict[str, str], **changes: Any) -> bytes:
    """A message as the server has it."""
    adapter = SmtpAdapter(sender="news@shop.example", sender_name="Il Negozio", reply_to="a@shop.example", dkim=keys)
    message = OutboundMessage("m-1", "email", "a@b.example", content, "https://n.example/u/T", "tok", "j:s", **changes)
    return adapter.encoded(message).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")


def verified(keys: dict[str, str], raw: bytes) -> list[bool]:
    """Whether each signature holds, the public keys taken from the records we tell people to publish."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return record(Path(keys[name.decode().partition("._domainkey.")[0]]).read_bytes()).encode()

    found = []
    for number in range(2):
        try:
            found.append(bool(dkim.DKIM(raw).verify(idx=number, dnsfunc=txt)))
        except dkim.DKIMException:
            found.append(False)
    return found


CONTENT = {"subject": "Ciao è ora, " * 9, "text": ".\n..\nHello  \n\n\n", "html": "<p>Hello</p>"}


def test_rsa_and_ed25519_verify_and_sign_every_header_that_matters(keys: dict[str, str]) -> None:
    raw = wire(keys, CONTENT)
    assert verified(keys, raw) == [True, True]
    signed = raw.partition(b" h=")[2].partition(b";")[0].split(b":")
    for name in (b"list-unsubscribe", b"list-unsubscribe-post", b"from", b"subject", b"to"):
        assert signed.count(name) == 2  # oversigned: a second one breaks it
    for name in (b"message-id", b"feedback-id", b"date", b"reply-to", b"content-type"):
        assert name in signed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"From: ", b"From: evil@elsewhere.example\r\nFrom: "),
        (b"Subject: ", b"Subject: Win\r\nSubject: "),
        (b"List-Unsubscribe: <https://n.example", b"List-Unsubscribe: <https://evil.example"),
        (b"One-Click", b"Two-Clicks"),
        (b"Hello", b"Hullo"),
    ],
)
def test_no_signature_survives_a_change(keys: dict[str, str], old: bytes, new: bytes) -> None:
    raw = wire(keys, CONTENT)
    assert old in raw
    assert verified(keys, raw.replace(old, new, 1)) == [False, False]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200), st.text(st.characters(exclude_categories=("Cs",)), max_size=300))
def test_whatever_is_written_verifies(keys: dict[str, str], subject: str, text: str) -> None:
    subject = subject.encode("utf-8", "replace").decode()
    raw = wire({"e1": keys["e1"]}, {"subject": subject, "text": text, "html": f"<p>.\n.{text}</p>"})
    assert verified(keys, raw)[0]


def test_a_key_that_cannot_sign_is_named(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("nothing")
    with pytest.raises(ConfigurationError, match="onevoice mail keys"):
        SmtpAdapter(sender="a@b.example", dkim={"s": str(tmp_path / "no")})
