"""The providers' doubles as a process that can be killed: what they took is in a file before they answer.

So what a client never heard the answer to counts as received, and a double that is started again knows all it took,
lists it, and posts its webhooks once more. `python -m tests.acceptance.durable_doubles` with `Wish` as JSON.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from onevoice.demo.doubles import Doubles, Manners, Providers, SmtpSink, Taken
from onevoice.kernel.clock import SharedClock

REPEATED = 100
"""Of what it took before it was killed, a double tells the newest again."""


class Wish(msgspec.Struct, frozen=True):
    """Where the doubles listen, what they keep, and how slow they are."""

    file: str
    clock_file: str
    base_url: str
    smtp_port: int
    providers_port: int
    delay_seconds: float


class Record:
    """The file: a line for each message taken."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, taken: Taken) -> None:
        """One write, so that a kill leaves the line or nothing."""
        os.write(self._descriptor, msgspec.json.encode(taken) + b"\n")


def recorded(file: Path) -> list[Taken]:
    """All that was ever taken, in order."""
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=Taken) for line in lines]


class DurableSink(SmtpSink):
    """The SMTP sink; what it takes is written down."""

    def __init__(self, wish: Wish, record: Record) -> None:
        super().__init__(wish.smtp_port, keep=False, delay_seconds=wish.delay_seconds)
        self.record = record

    def take(self, recipient: str, raw: bytes) -> None:
        known = set(self.received)
        super().take(recipient, raw)
        (message_id,) = set(self.received) - known or {"twice"}
        self.record.note(Taken(message_id, "email", recipient, {}, ""))


class DurableProviders(Providers):
    """The HTTP providers; what they take is written down, and known again after a restart."""

    def __init__(self, wish: Wish, record: Record, before: list[Taken]) -> None:
        # No handset is out of reach: what did not arrive there is sent once more, rightly.
        super().__init__(clock=SharedClock(Path(wish.clock_file)), manners=Manners(fails=0.0))
        self.record, self.delay_seconds = record, wish.delay_seconds
        self.taken = [one for one in before if one.channel == "sms"]
        for one in self.taken[-REPEATED:]:
            self._plan_sms(f"{wish.base_url}/webhooks/sms?message={one.id}", one.provider_id, one.address)

    async def _sms(self, request: Request) -> Response:
        await asyncio.sleep(self.delay_seconds)
        return await super()._sms(request)

    def _take(self, taken: Taken) -> None:
        self.record.note(taken)
        super()._take(taken)


def main() -> None:
    """Serves until it is killed."""
    wish = msgspec.json.decode(sys.argv[1], type=Wish)
    file = Path(wish.file)
    before, record = recorded(file), Record(file)
    doubles = Doubles(base_url=wish.base_url, sink=DurableSink(wish, record), providers_port=wish.providers_port)
    doubles.providers = DurableProviders(wish, record, before)
    with doubles:
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
