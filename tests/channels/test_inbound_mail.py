"""What an e-mail that comes back is, by the forms of the RFCs and by the habits of servers that know none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onevoice.channels.inbound_mail import What, read
from tests.channels.mails import answer, bounce, complaint
from tests.conftest import NOW

TOKEN = "abcdefghij234567abcd"


@pytest.mark.parametrize(
    ("changes", "what", "status"),
    [
        ({}, What.HARD_BOUNCE, "5.1.1"),
        ({"status": "5.4.4", "said": "dns; host not found"}, What.HARD_BOUNCE, "5.4.4"),
        ({"status": "5.0.0", "said": "smtp; 550 5.1.1 <a@b> unknown"}, What.HARD_BOUNCE, "5.1.1"),
        ({"status": "5.0.0", "said": "smtp; 550 No such user here"}, What.HARD_BOUNCE, "5.0.0"),
        ({"status": "5.2.2", "said": "smtp; 552 5.2.2 mailbox full"}, What.SOFT_BOUNCE, "5.2.2"),
        ({"status": "5.7.1", "said": "smtp; 550 5.7.1 spam"}, What.SOFT_BOUNCE, "5.7.1"),
        ({"status": "4.4.7", "said": "smtp; 421 4.4.7 expired"}, What.SOFT_BOUNCE, "4.4.7"),
        ({"action": "delayed", "status": "4.4.1"}, What.DELAY, "4.4.1"),
        ({"action": "delivered", "status": "2.1.5", "said": "smtp; 250 ok"}, What.DELIVERED, "2.1.5"),
    ],
)
def test_a_delivery_report_says_whether_the_address_is_none(changes: dict[str, Any], what: What, status: str) -> None:
    found = read(bounce(**changes), NOW)
    assert (found.what, found.status) == (what, status)


def test_a_report_names_its_message_by_what_we_signed() -> None:
    by_address = read(bounce(to=f"B+{TOKEN.upper()}@bounce.example"), NOW)
    assert by_address.return_token == TOKEN
    assert read(bounce(), NOW, f"b+{TOKEN}@bounce.example").return_token == TOKEN
    assert read(bounce(unsubscribe="x" * 16), NOW).unsubscribe_token == "x" * 16
    assert read(complaint(unsubscribe="y" * 16), NOW).unsubscribe_token == "y" * 16


def test_a_complaint_is_told_from_other_feedback() -> None:
    assert read(complaint(), NOW).what is What.COMPLAINT
    assert read(complaint(kind="not-spam"), NOW).what is What.AUTO_REPLY


@pytest.mark.parametrize(
    ("more", "subject"),
    [
        ("Auto-Submitted: auto-replied\n", "Re: Offers"),
        ("Auto-Submitted: auto-generated; x=y\n", "Re: Offers"),
        ("X-Autoreply: yes\n", "Re: Offers"),
        ("Precedence: auto_reply\n", "Re: Offers"),
        ("X-Auto-Response-Suppress: All\n", "Re: Offers"),
        ("Return-Path: <>\n", "I am away"),
        ("", "Out of office: Offers"),
        ("", "Risposta automatica: Offerte"),
        ("", "Automatic reply: Offers"),
    ],
)
def test_what_a_machine_answers_is_no_reply(more: str, subject: str) -> None:
    assert read(answer(more=more, subject=subject), NOW).what is What.AUTO_REPLY


def test_a_person_is_read_without_what_they_quote() -> None:
    ours = "12345678-1234-1234-1234-123456789abc"
    found = read(answer(answers=ours, more="Auto-Submitted: no\n"), NOW)
    assert (found.what, found.text, found.sender) == (What.REPLY, "Yes please.", "anna@mail.example")
    assert (found.answers, found.subject) == (ours, "Re: Offers")


def test_a_server_that_knows_no_rfc_is_read_too() -> None:
    qmail = answer(
        "Hi. This is the qmail-send program at mx.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        "<anna@mail.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        "--- Below this line is a copy of the message.\n\nReturn-Path: <news@shop.example>\n"
        f"List-Unsubscribe: <https://n.example/u/{'z' * 16}>\n",
        sender="MAILER-DAEMON@mx.example",
        subject="failure notice",
        more="Return-Path: <>\n",
    )
    found = read(qmail, NOW)
    assert (found.what, found.status, found.unsubscribe_token) == (What.HARD_BOUNCE, "5.1.1", "z" * 16)


SERVER, GATEWAY = "MAILER-DAEMON@mx.example", "imss@gateway.example"


@pytest.mark.parametrize(
    ("sender", "subject", "text", "what", "status"),
    [
        (
            SERVER,
            "Mail delivery failed",
            "mx.example did not like our RCPT:\n550 5.1.1 nobody\n",
            "hard_bounce",
            "5.1.1",
        ),
        (SERVER, "Returned mail: User unknown", "... 550 <a@b.example>... User unknown\n", "hard_bounce", "5.0.0"),
        (SERVER, "Delivery status notification: error", "a@b.example: 552 5.2.2 over quota\n", "soft_bounce", "5.2.2"),
        (SERVER, "Undeliverable message", "Action: failed\nStatus: 5.4.4\nhost unknown\n", "hard_bounce", "5.4.4"),
        (SERVER, "Returned mail: Cannot send message for 4 days", "421 b.example: Deferred\n", "soft_bounce", "5.0.0"),
        (SERVER, "Warning: message delayed 24 hours", "It has not yet been delivered.\n", "delay", ""),
        (SERVER, "Warning: could not send message for past 4 hours", "450 4.2.0 greylisted\n", "delay", ""),
        ("<>", "Mail Error", "Your mail cannot be delivered to:\n mailbox is full\n", "soft_bounce", "5.0.0"),
        (
            GATEWAY,
            "Mail could not be delivered",
            "Sent RCPT TO:<a@b>\n550 5.1.1 unknown user\n",
            "hard_bounce",
            "5.1.1",
        ),
        (GATEWAY, "メールエラー通知", "550 5.1.1 <a@b.example>: unknown\n", "hard_bounce", "5.1.1"),
        (
            SERVER,
            "failure notice",
            "550 no such user\n--- Original message\n5.7.1 in our text\n",
            "hard_bounce",
            "5.0.0",
        ),
    ],
)
def test_servers_that_write_as_they_please_are_understood(
    sender: str, subject: str, text: str, what: str, status: str
) -> None:
    found = read(answer(text, sender=sender, subject=subject), NOW)
    assert (found.what, found.status) == (what, status)


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Delivery problem with my order", "The delivery failed: I paid 450 euros and got nothing."),
        ("Failed delivery!", "Nobody rang. Order 512-3 came back undeliverable, says the courier."),
        ("Re: Offers", "Your 5.1.1 coupon could not be delivered?"),
    ],
)
def test_a_customer_who_writes_about_a_parcel_is_a_person(subject: str, text: str) -> None:
    found = read(answer(text, subject=subject), NOW)
    assert (found.what, found.text) == (What.REPLY, text)


def test_a_holiday_notice_to_the_return_path_is_no_bounce() -> None:
    away = "I am away until Monday and mail may be delayed; nothing will be forwarded.\n"
    told = answer(away, subject="Away: Offers", to=f"b+{TOKEN}@bounce.example", more="Auto-Submitted: auto-replied\n")
    assert read(told, NOW).what is What.AUTO_REPLY


@pytest.mark.parametrize("kind", ["fraud", "opt-out", "virus"])
def test_every_kind_of_complaint_counts(kind: str) -> None:
    assert read(complaint(kind=kind), NOW).what is What.COMPLAINT


def test_a_complaint_in_outlooks_own_form_is_read() -> None:
    told = complaint().replace(b"Abuse report", b"complaint about message from 192.0.2.1")
    told = told.replace(b"report; report-type=feedback-report", b"mixed").replace(b"message/feedback-report", b"text/x")
    assert read(told, NOW).what is What.COMPLAINT


@given(st.binary(max_size=400), st.integers(0, 1200))
def test_whatever_comes_is_read(noise: bytes, at: int) -> None:
    whole = bounce()
    read(noise, NOW)
    read(whole[:at] + noise + whole[at + len(noise) :], NOW)
