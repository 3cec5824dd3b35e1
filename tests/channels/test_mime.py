"""The e-mail as it travels: whatever the texts hold, a mail program reads back what was meant."""

import email
import email.policy
import re
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from onevoice.channels.adapter import OutboundMessage
from onevoice.channels.mime import HEADERS, LINE, body, header_text
from onevoice.channels.pieces import Pieces
from onevoice.channels.smtp import SmtpAdapter

PIECES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=40),
        st.sampled_from(
            [
                ".",
                "..",
                "\n.\n",
                "=",
                " ",
                " \n",
                "--=_onevoice",
                "è" * LINE,
                "a" * LINE,
                "a" * (LINE + 1),
                "a" * 200,
                ".x" * LINE,
                " " * 200,
            ]
        ),
    ),
    max_size=12,
).map(lambda pieces: pieces[: len(pieces) // 2 * 2])


def read(wire: bytes) -> EmailMessage:
    """What a server takes from DATA, as a mail program reads it."""
    assert wire.endswith(b"\r\n.\r\n")
    assert b"\n." not in wire[:-3]  # so that nothing ends it before, and no dot has to be doubled
    assert max(map(len, wire.split(b"\r\n"))) <= 78  # RFC 5322 §2.1.1
    assert b"\n" not in wire.replace(b"\r\n", b"")
    plain = wire[:-3].replace(b"\r\n", b"\n")
    return email.message_from_bytes(plain, policy=email.policy.default)


def whole(headers: bytes, text: str, html: str) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in HEADERS).encode()
    return headers + more + b"\r\n" + body(text, html) + b".\r\n"


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).removesuffix("\n")


@given(PIECES, PIECES)
def test_both_parts_come_back_as_they_were(text: list[str], html: list[str]) -> None:
    message = read(whole(b"Subject: x\r\n", Pieces(text), "".join(html)))
    assert part(message, "plain") == "".join(text).removesuffix("\n")
    assert part(message, "html") == "".join(html).removesuffix("\n")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=120))
def test_a_subject_comes_back_and_never_becomes_another_header(subject: str) -> None:
    message = read(whole(f"Subject: {header_text(subject)}\r\n".encode(), "t", "h"))
    printable = re.sub(r"[\x00-\x1f\x7f]+", " ", subject) if not subject.isprintable() else subject
    assert re.sub(r"\s+", " ", message["subject"]).strip() == re.sub(r"\s+", " ", printable).strip()
    assert len(message.items()) == 3


def test_the_headers_say_who_to_whom_and_how_to_leave() -> None:
    adapter = SmtpAdapter(sender="hello@shop.example", sender_name="Caffè Verdi", reply_to="care@shop.example")
    content = {"subject": "Ciao", "text": "t", "html": "<p>h</p>"}
    message = read(adapter.encoded(OutboundMessage("m-1", "email", "a@b.example", content, "https://n.example/u/T")))
    assert str(message["from"]) == "Caffè Verdi <hello@shop.example>"
    assert message["reply-to"] == "care@shop.example"
    assert message["to"] == "a@b.example"
    assert message["message-id"] == "<m-1@shop.example>"
    assert message["list-unsubscribe"] == "<https://n.example/u/T>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert message["date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    branded = OutboundMessage("m-2", "email", "a@b.example", content, sender_name='Bottega "Uno"\r\nX-Evil: 1')
    shown = read(adapter.encoded(branded))
    assert str(shown["from"]) == '"Bottega  Uno   X-Evil: 1" <hello@shop.example>' and shown["x-evil"] is None
