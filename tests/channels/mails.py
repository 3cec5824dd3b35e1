"""E-mails that come back, built in the forms of the RFCs: bounces, complaints, automatic answers, answers."""

ORIGINAL = """From: news@shop.example
To: anna@mail.example
Subject: Offers
Message-ID: <{id}@shop.example>
List-Unsubscribe: <https://n.example/u/{unsubscribe}>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
"""


def bounce(
    *,
    to: str = "news@shop.example",
    status: str = "5.1.1",
    action: str = "failed",
    said: str = "smtp; 550 5.1.1 no such user",
    unsubscribe: str = "A" * 16,
) -> bytes:
    """A delivery report (RFC 3464)."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.mail.example
To: {to}
Date: Mon, 02 Mar 2026 09:00:00 +0000
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn-1@mx.mail.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.mail.example

Final-Recipient: rfc822; anna@mail.example
Action: {action}
Status: {status}
Diagnostic-Code: {said}

--b
Content-Type: message/rfc822

{ORIGINAL.format(id="0" * 8 + "-0000-0000-0000-" + "0" * 12, unsubscribe=unsubscribe)}
Hello
--b--
""".encode()


def complaint(*, kind: str = "abuse", unsubscribe: str = "A" * 16) -> bytes:
    """An abuse report (RFC 5965), the recipient blackened as most senders of them do."""
    return f"""From: feedback@mail.example
To: fbl@shop.example
Date: Mon, 02 Mar 2026 09:00:00 +0000
Subject: Abuse report
Message-ID: <arf-1@mail.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an e-mail abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: redacted@mail.example

--b
Content-Type: message/rfc822

{ORIGINAL.format(id="0" * 8 + "-0000-0000-0000-" + "0" * 12, unsubscribe=unsubscribe)}
Hello
--b--
""".encode()


def answer(
    text: str = "Yes please.\n\nOn Mon, 2 Mar 2026 Shop <news@shop.example> wrote:\n> Hello",
    *,
    answers: str = "",
    more: str = "",
    sender: str = "Anna <anna@mail.example>",
    subject: str = "Re: Offers",
    to: str = "news@shop.example",
    id: str = "r1",
) -> bytes:
    """What a mail program sends."""
    named = f"In-Reply-To: <{answers}@shop.example>\n" if answers else ""
    return f"""From: {sender}
To: {to}
Date: Mon, 02 Mar 2026 09:30:00 +0000
Subject: {subject}
Message-ID: <{id}@mail.example>
{named}{more}MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

{text}
""".encode()
