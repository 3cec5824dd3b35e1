"""Doubles of the providers, for the demo and the tests: they check, count and keep, and send nothing."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import uvicorn

from onevoice.demo.doubles.providers import ACCOUNT, KEY, TOKEN, WEBHOOK_SECRET, Manners, Providers, Taken
from onevoice.demo.doubles.smtp_sink import Mail, SmtpSink
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import Unavailable

__all__ = ["Doubles", "Mail", "Manners", "Providers", "SmtpSink", "Taken"]

START_SECONDS = 10.0


class Doubles:
    """An SMTP sink and the HTTP providers, in a thread of their own, from `with` to its end."""

    def __init__(
        self,
        *,
        base_url: str = "",
        smtp_port: int = 0,
        providers_port: int = 0,
        clock: Clock | None = None,
        seed: int = 1,
        manners: Manners = Manners(),
        sink: SmtpSink | None = None,
    ) -> None:
        self.base_url = base_url  # of the OneVoice that gets the webhooks; empty: there are none
        self.providers_port = providers_port
        self.smtp = sink or SmtpSink(smtp_port)
        webhook = f"{base_url}/webhooks/push" if base_url else ""
        self.providers = Providers(push_webhook=webhook, clock=clock, seed=seed, manners=manners)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="doubles", daemon=True)

    def channels(self) -> dict[str, dict[str, Any]]:
        """The settings' `channels` that lead to these doubles; prices are made up."""
        url = f"http://127.0.0.1:{self.providers_port}"
        return {
            "email": {
                "adapter": "smtp",
                "host": "127.0.0.1",
                "port": self.smtp.port,
                "sender": "hello@cornermarket.example",
                "sender_name": "Corner Market",
                "price": "0.0008",
            },
            "push": {
                "adapter": "push_gateway",
                "base_url": url,
                "key": KEY,
                "webhook_secret": WEBHOOK_SECRET,
                "price": "0.0002",
            },
            "sms": {
                "adapter": "twilio",
                "base_url": url,
                "account_sid": ACCOUNT,
                "auth_token": TOKEN,
                "sender": "+15005550006",
                "status_callback": f"{self.base_url}/webhooks/sms" if self.base_url else "",
                "price": "0.0079",
            },
        }

    def received(self) -> Mapping[str, int]:
        """How often each message arrived, on all channels, by our message's id."""
        return dict(self.smtp.received + self.providers.received)

    def tell_opened(self, message_id: str) -> None:
        """Lets the push gateway report, as of now, that a message was opened."""
        assert self._loop is not None, "only between start and stop"

        async def tell() -> None:
            self.providers.tell_opened(message_id)

        asyncio.run_coroutine_threadsafe(tell(), self._loop).result(START_SECONDS)

    def settle(self, *, all_of_them: bool = False, seconds: float = 60.0) -> None:
        """Waits until the webhooks that are due are posted; with `all_of_them`, those that come later too."""
        _wait(lambda: not self.providers.pending(all_of_them=all_of_them), "webhooks are not posted", seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        _wait(self._ready.is_set, "the doubles do not start", START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        config = uvicorn.Config(
            self.providers.app, "127.0.0.1", self.providers_port, log_level="warning", lifespan="off", access_log=False
        )
        server = uvicorn.Server(config)
        await self.smtp.start()
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        self.providers_port = server.servers[0].sockets[0].getsockname()[1]
        posting = asyncio.create_task(self.providers.post_webhooks())
        self._ready.set()
        await self._stop.wait()
        posting.cancel()
        server.should_exit = True
        await asyncio.gather(serving, posting, return_exceptions=True)
        await self.smtp.stop()


def _wait(until: Callable[[], bool], complaint: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise Unavailable(f"After {seconds:.0f} s {complaint}")
        time.sleep(0.01)
