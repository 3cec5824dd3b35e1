"""The SMTP adapter: each way a server can answer or vanish is one outcome, and the others go on."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from onevoice.channels.adapter import OutboundMessage, Outcome, Status
from onevoice.channels.smtp import SmtpAdapter
from onevoice.demo.doubles import SmtpSink
from onevoice.demo.doubles.smtp_sink import CUT
from onevoice.kernel.errors import ConfigurationError


def message(number: int = 1, address: str = "") -> OutboundMessage:
    content = {"subject": "Hello", "text": "text", "html": "<p>html</p>"}
    return OutboundMessage(f"m{number}", "email", address or f"c{number}@example.com", content)


def run(sink: SmtpSink, act: Callable[[SmtpAdapter], Awaitable[Any]], **options: Any) -> Any:
    async def within() -> Any:
        await sink.start()
        adapter = SmtpAdapter(host="127.0.0.1", port=sink.port, sender="s@shop.example", **options)
        await adapter.open()
        try:
            async with asyncio.timeout(20):
                return await act(adapter)
        finally:
            await adapter.close()
            await sink.stop()

    return asyncio.run(within())


def sent(sink: SmtpSink, *messages: OutboundMessage, **options: Any) -> list[Outcome]:
    async def all_of_them(adapter: SmtpAdapter) -> list[Outcome]:
        return await asyncio.gather(*(adapter.send(one) for one in messages))

    return list(run(sink, all_of_them, **options))


def only(verb: str, recipient: str, answer: str) -> Callable[[str, str], str | None]:
    return lambda said, to: answer if (said, to) == (verb, recipient) else None


def test_many_messages_over_few_connections_arrive_once_each() -> None:
    sink = SmtpSink()
    outcomes = sent(sink, *(message(number) for number in range(200)), connections=3)
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert all(outcome.provider_id for outcome in outcomes)
    assert (len(sink.received), sink.duplicates) == (200, 0)


@pytest.mark.parametrize(
    ("verb", "answer", "status", "code", "dead"),
    [
        ("RCPT", "550 5.1.1 no such user", Status.FAILED, "5.1.1", True),
        ("RCPT", "550 5.7.1 not from you", Status.FAILED, "5.7.1", False),
        ("RCPT", "550 no", Status.FAILED, "550", False),
        ("RCPT", "452 4.2.2 mailbox full", Status.RETRY, "4.2.2", False),
        ("END", "554 5.7.1 spam", Status.FAILED, "5.7.1", False),
        ("END", "451 4.3.0 later", Status.RETRY, "4.3.0", False),
        ("RCPT", "421 4.7.0 enough", Status.RETRY, "4.7.0", False),
        ("END", "421 4.3.2 closing", Status.RETRY, "4.3.2", False),
        ("RCPT", CUT, Status.RETRY, "connection_failed", False),
        ("END", CUT, Status.IN_DOUBT, "connection_cut", False),
    ],
)
def test_each_refusal_is_its_own_outcome_and_the_others_arrive(
    verb: str, answer: str, status: Status, code: str, dead: bool
) -> None:
    sink = SmtpSink(answers=only(verb, "c1@example.com", answer))
    outcomes = sent(sink, *(message(number) for number in range(4)), connections=1)
    refused = outcomes[1]
    assert (refused.status, refused.error_code, refused.address_is_dead) == (status, code, dead)
    assert [outcomes[number].status for number in (0, 2, 3)] == [Status.ACCEPTED] * 3
    assert sorted(sink.received) == ["m0", "m2", "m3"]


def test_a_server_that_is_not_there_has_surely_got_nothing() -> None:
    async def nobody_listens() -> Outcome:
        adapter = SmtpAdapter(host="127.0.0.1", port=1, sender="s@shop.example")
        await adapter.open()
        try:
            return await adapter.send(message())
        finally:
            await adapter.close()

    assert asyncio.run(nobody_listens()).status is Status.RETRY


def test_a_server_that_stays_silent_after_the_data_leaves_doubt() -> None:
    (outcome,) = sent(SmtpSink(delay_seconds=5), message(), timeout_seconds=0.2)
    assert (outcome.status, outcome.error_code) == (Status.IN_DOUBT, "connection_cut")


def test_a_connection_the_server_closed_while_idle_is_opened_anew() -> None:
    sink = SmtpSink()

    async def with_a_pause(adapter: SmtpAdapter) -> list[Outcome]:
        first = await adapter.send(message(1))
        for connection in list(sink._open):
            connection.cut()
        return [first, await adapter.send(message(2))]

    assert [one.status for one in run(sink, with_a_pause, connections=1)] == [Status.ACCEPTED] * 2
    assert sorted(sink.received) == ["m1", "m2"]


def test_the_return_path_names_the_message() -> None:
    envelopes: list[str] = []

    class Keeping:
        async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
            envelope.mail_from = address
            return "250 ok"

        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            envelopes.append(envelope.mail_from)
            return "250 ok"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(Keeping(), hostname="127.0.0.1", port=port)
    server.start()
    try:

        async def both() -> list[Outcome]:
            adapter = SmtpAdapter("127.0.0.1", port, "s@shop.example", bounce_domain="bounce.shop.example")
            await adapter.open()
            try:
                named = replace(message(), token="abc234")
                return [await adapter.send(one) for one in (named, message(2))]
            finally:
                await adapter.close()

        assert [one.status for one in asyncio.run(both())] == [Status.ACCEPTED] * 2
    finally:
        server.stop()
    assert envelopes == ["b+abc234@bounce.shop.example", "s@shop.example"]


def test_a_server_without_pipelining_is_spoken_to_step_by_step() -> None:
    sink = SmtpSink(answers=only("RCPT", "c1@example.com", "550 5.1.1 no"), pipelining=False)
    outcomes = sent(sink, message(0), message(1), message(2), connections=1)
    assert [one.status for one in outcomes] == [Status.ACCEPTED, Status.FAILED, Status.ACCEPTED]


@pytest.mark.parametrize(
    "address", ["", "nobody", "a b@example.com", "a@example.com>\r\nRCPT TO:<evil@example.com", "zoë@example.com"]
)
def test_an_address_smtp_cannot_carry_fails_without_a_call(address: str) -> None:
    sink = SmtpSink()
    (outcome,) = sent(sink, message(1, address or " "))
    assert (outcome.status, outcome.error_code) == (Status.FAILED, "invalid_address")
    assert not sink.received


def test_a_domain_in_another_script_goes_out_in_ascii() -> None:
    sink = SmtpSink()
    sent(sink, message(1, "anna@bücher.example"))
    assert sink.mails[0].recipient == "anna@xn--bcher-kva.example"


@pytest.mark.parametrize("options", [{"sender": ""}, {"sender": "s@x.example", "security": "perhaps"}])
def test_wrong_settings_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"channels\.email"):
        SmtpAdapter(**options)
