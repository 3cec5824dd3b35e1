"""The delivery worker: leases messages, checks once more whether they may go, sends, and settles what became of them.

Never more than `settings.in_flight` messages are attempted and not settled; those are what a kill can put in doubt. Due
times and expiry follow the settings' clock, heartbeats the database's; so a simulated clock takes no worker for dead.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import uvloop
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from onevoice import database
from onevoice.channels import providers
from onevoice.channels.adapter import ChannelAdapter, OutboundMessage, Outcome, Status
from onevoice.customers import consent, suppression
from onevoice.customers.suppression import DEAD_REASONS, Suppressed, address_hash
from onevoice.database import inbox
from onevoice.delivery import queue
from onevoice.delivery.composing import Composer
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.queue import Leased, Settlement
from onevoice.delivery.settlement import in_doubt, news, settlement, skipped
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

POLL_SECONDS = 0.2
"""How often an idle worker looks into the queue."""

GROUP_SECONDS = 0.01
"""How long outcomes are gathered, so that many are settled by one commit."""

RECOVERY_SECONDS = 1.0
"""Pause before the database is tried again."""

DATABASE_LOST = (OperationalError, psycopg.OperationalError)
"""What is raised when the connection breaks or PostgreSQL ends a transaction for its own reasons."""

log = logger("deliver")
T = TypeVar("T")


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; what is in flight is finished and settled first."""
    uvloop.run(_until_signalled(settings))


async def _until_signalled(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Works until `stop` is set."""
    pool = database.engine(settings)
    try:
        async with _opened(settings.channels) as adapters:
            await Worker(settings, pool, adapters).work(stop)
    finally:
        pool.dispose()


@contextlib.asynccontextmanager
async def _opened(channels: Mapping[str, Mapping[str, object]]) -> AsyncIterator[dict[str, ChannelAdapter]]:
    adapters = providers.built(channels)
    async with contextlib.AsyncExitStack() as stack:
        for made in adapters.values():
            await made.open()
            stack.push_async_callback(made.close)
        yield adapters


class Worker:
    """One worker with a name of its own; a second life of the same process is another worker."""

    def __init__(self, settings: Settings, pool: Engine, adapters: Mapping[str, ChannelAdapter]) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings, self._pool, self._adapters = settings, pool, adapters
        self._clock, self._secret = settings.clock(), settings.secret()
        self._composer = Composer(pool, LinkMaker(self._secret, settings.base_url))
        self._storing = asyncio.Lock()
        self._unsettled: set[UUID] = set()
        self._outcomes: list[tuple[Leased, Settlement, bool]] = []  # the last: the address is dead
        self._settled, self._told = asyncio.Event(), asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0

    async def work(self, stop: asyncio.Event) -> None:
        """Leases and sends until `stop`, then waits for what is in flight."""
        await self._persistently(self._beat)
        log.info("working", worker=self.name, channels=",".join(self._adapters))
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(self._keep_beating()), group.create_task(self._keep_settling())]
            await self._lease_until(stop)
            while self._unsettled:
                await self._wait(self._settled)
            for task in background:
                task.cancel()
        await self._persistently(lambda connection: queue.retire(connection, self.name))

    # -- leasing

    async def _lease_until(self, stop: asyncio.Event) -> None:
        most = self._settings.in_flight
        least = max(1, most // 4)  # smaller leases would cost a commit for a handful of messages
        while not stop.is_set():
            room = most - len(self._unsettled)
            if room < least:
                await self._wait(self._settled)
                continue
            now = self._clock.now()
            try:
                taken = await self._in_transaction(partial(self._take, limit=room, now=now))
            except DATABASE_LOST as error:
                log.error("database lost", error=str(error))
                await asyncio.sleep(RECOVERY_SECONDS)
                await self._persistently(lambda connection: queue.give_back(connection, self.name, self._unsettled))
                continue
            if not taken:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), POLL_SECONDS)
                continue
            self._unsettled.update(message.id for message in taken)
            await self._start(taken, now)

    def _take(self, connection: Connection, limit: int, now: datetime) -> list[Leased]:
        return queue.lease(connection, self.name, list(self._adapters), limit, now)

    async def _start(self, taken: list[Leased], now: datetime) -> None:
        refused = await self._persistently(lambda connection: refusals(connection, taken, self._secret, now))
        for message in taken:
            reason = refused.get(message.id)
            if reason:
                self._tell(message, skipped(message, reason))
            else:
                task = asyncio.create_task(self._deliver(message))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    # -- sending

    async def _deliver(self, message: Leased) -> None:
        channel = self._adapters[message.channel]
        try:
            composed = self._composer.compose(message)
        except (NotFound, InvalidInput) as error:
            self._refuse(message, f"content_{error.code}", error.message)
            return
        except Exception as error:  # a template's fault must not take the others' messages along
            log.exception("rendering failed", template=message.template, message=str(message.id))
            self._refuse(message, "content_fault", repr(error))
            return
        if self._composer.links.fresh:
            await self._store_links()
        outcome = await self._attempt(channel, composed)
        now = self._clock.now()
        cost = channel.price * channel.parts(composed.content)
        self._tell(message, settlement(message, outcome, cost, now), dead=outcome.address_is_dead)

    def _refuse(self, message: Leased, code: str, error: str) -> None:
        failure = Outcome(Status.FAILED, error_code=code, error=error)
        self._tell(message, settlement(message, failure, Decimal(0), self._clock.now()))

    async def _attempt(self, channel: ChannelAdapter, message: OutboundMessage) -> Outcome:
        if time.monotonic() - self._heard_at > self._settings.lease_seconds * 0.8:
            return Outcome(Status.RETRY, error_code="lease_lost", error="The worker was not heard of for too long")
        try:
            return await channel.send(message)
        except Exception as error:
            log.exception("adapter failed", channel=message.channel, message=message.id)
            return Outcome(Status.IN_DOUBT, error_code="adapter_fault", error=repr(error))

    async def _store_links(self) -> None:
        links = self._composer.links
        async with self._storing:
            fresh = dict(links.fresh)
            if fresh:
                await self._persistently(lambda connection: queue.store_links(connection, fresh))
                links.stored(fresh)

    # -- settling

    def _tell(self, message: Leased, settled: Settlement, *, dead: bool = False) -> None:
        self._outcomes.append((message, settled, dead))
        self._told.set()

    async def _keep_settling(self) -> None:
        while True:
            await self._told.wait()
            await asyncio.sleep(GROUP_SECONDS)
            self._told.clear()
            outcomes, self._outcomes = self._outcomes, []
            now = self._clock.now()
            await self._persistently(partial(self._settle, outcomes=outcomes, now=now))
            self._unsettled.difference_update(message.id for message, _, _ in outcomes)
            self._settled.set()

    def _settle(self, connection: Connection, outcomes: list[tuple[Leased, Settlement, bool]], now: datetime) -> None:
        own = queue.settle(connection, self.name, [settled for _, settled, _ in outcomes], now)
        told = (
            news(settled, now, delivered=not self._adapters[message.channel].tells_delivery)
            for message, settled, _ in outcomes
            if message.id in own
        )
        inbox.append(connection, [entry for entry in told if entry is not None])
        dead = [
            Suppressed(message.channel, message.address, "bounced", now) for message, _, is_dead in outcomes if is_dead
        ]
        suppression.suppress(connection, self._secret, dead, now)

    # -- staying alive

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 4)
            await self._persistently(self._beat)

    def _beat(self, connection: Connection) -> None:
        heard_at = time.monotonic()
        queue.beat(connection, self.name)
        now = self._clock.now()
        lost = queue.reap(connection, self._settings.lease_seconds, now)
        if lost:
            log.warning("messages in doubt, their worker is gone", messages=len(lost))
            inbox.append(connection, [in_doubt(message_id, attempts, now) for message_id, attempts in lost])
        self._heard_at = heard_at

    # -- the database

    async def _persistently(self, act: Callable[[Connection], T]) -> T:
        """Does it in a transaction, again and again until the database takes it; so it must be idempotent."""
        while True:
            try:
                return await self._in_transaction(act)
            except DATABASE_LOST as error:
                log.error("database lost", error=str(error))
                await asyncio.sleep(RECOVERY_SECONDS)

    async def _in_transaction(self, act: Callable[[Connection], T]) -> T:
        def within() -> T:
            with self._pool.begin() as connection:
                return act(connection)

        return await asyncio.to_thread(within)

    async def _wait(self, event: asyncio.Event) -> None:
        await event.wait()
        event.clear()


def refusals(connection: Connection, messages: Iterable[Leased], secret: bytes, now: datetime) -> dict[UUID, str]:
    """Which of the messages must not go after all, and why: expired, suppressed, or consent taken back since planned.

    A transactional message needs no consent, and is stopped only by an address that is dead or complained.
    """
    rows = list(messages)
    hashes = [(row.channel, address_hash(secret, row.channel, row.address)) for row in rows]
    listed = suppression.reasons(connection, hashes)
    asked = [(row.identifier_id, row.channel, row.topic) for row in rows]
    permissions = consent.permissions(connection, asked, now)
    refused: dict[UUID, str] = {}
    for row, key, permission in zip(rows, hashes, permissions, strict=True):
        if row.expires_at <= now:
            refused[row.id] = "expired"
        elif key in listed and (not row.transactional or listed[key] in DEAD_REASONS):
            refused[row.id] = "suppressed"
        elif not row.transactional and not permission.permitted:
            refused[row.id] = "no_consent"
    return refused
