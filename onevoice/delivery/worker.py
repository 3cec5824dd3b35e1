"""The delivery worker: leases messages, checks once more whether they may go, sends, and settles what became of them.

Never more than `settings.in_flight` messages are attempted and not settled; those are what a kill can put in doubt. Due
times, expiry and throttles follow the settings' clock, heartbeats the database's; so a simulated clock takes no worker
for dead.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import uvloop
from msgspec.structs import replace
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from onevoice import database
from onevoice.channels import providers
from onevoice.channels.adapter import Bounded, ChannelAdapter, Doubtful, OutboundMessage, Outcome, Reconciles, Status
from onevoice.customers import consent, suppression
from onevoice.customers.suppression import DEAD_REASONS, Suppressed, address_hash
from onevoice.database import inbox
from onevoice.delivery import breakers, doubts, holds, leasing, queue
from onevoice.delivery.breakers import Tally
from onevoice.delivery.composing import Composer
from onevoice.delivery.holds import Holds
from onevoice.delivery.leasing import Desk
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.queue import Leased, Settlement
from onevoice.delivery.settlement import entries, held, news, put_back, settlement, skipped
from onevoice.delivery.throttles import Throttles
from onevoice.kernel import garbage
from onevoice.kernel.errors import InvalidInput, NotFound
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

POLL_SECONDS = 0.2
"""How often an idle worker looks into the queue."""

LEASE_SECONDS = 0.1
"""How soon after a lease another may be for less than a third of what may be in flight: each costs a commit."""

GROUP_SECONDS = 0.05
"""How long outcomes are gathered, so that many are settled by one commit."""

WATCH_SECONDS = 0.5
"""How often a worker looks for what people have paused or cancelled."""

STALE_SECONDS = 1.5
"""A worker that could not look for so long sends nothing until it can: what is stopped stops within two seconds."""

TALLY_SECONDS = 1.0
"""How often the providers' good answers are written down; bad ones are at once."""

ASK_SECONDS = 5.0
"""How often it is looked whether a provider should be asked about messages in doubt."""

UNHEARD_PAUSE = timedelta(seconds=1)
"""Before what a worker dared not send is taken again."""

RECOVERY_SECONDS = 1.0
"""Pause before the database is tried again."""

DATABASE_LOST = (OperationalError, psycopg.OperationalError)
"""What is raised when the connection breaks or PostgreSQL ends a transaction for its own reasons."""

log = logger("deliver")
T = TypeVar("T")


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; what is in flight is finished and settled first."""
    garbage.look_seldom()  # to look for it all the time was 7 % of what a message costs
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
        known = providers.providers(settings.channels)
        desk = Desk(known, Throttles(settings.throttles), settings.throttles)
        async with _opened(settings.channels) as adapters:
            await Worker(settings, pool, adapters, desk).work(stop)
    finally:
        pool.dispose()


@contextlib.asynccontextmanager
async def _opened(channels: Mapping[str, Mapping[str, object]]) -> AsyncIterator[dict[str, ChannelAdapter]]:
    """The providers' adapters, ready."""
    adapters = providers.built(channels)
    async with contextlib.AsyncExitStack() as stack:
        for made in adapters.values():
            await made.open()
            stack.push_async_callback(made.close)
        yield adapters


class Worker:
    """One worker with a name of its own; a second life of the same process is another worker."""

    def __init__(self, settings: Settings, pool: Engine, adapters: Mapping[str, ChannelAdapter], desk: Desk) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings, self._pool, self._adapters, self._desk = settings, pool, adapters, desk
        self._clock, self._secret = settings.clock(), settings.secret()
        self._composer = Composer(pool, LinkMaker(self._secret, settings.base_url))
        self._storing = asyncio.Lock()
        self._waiting: dict[str, deque[Leased]] = {name: deque() for name in adapters}
        self._free = {name: _at_once(adapter, settings.in_flight) for name, adapter in adapters.items()}
        self._unsettled: dict[UUID, str] = {}  # the messages this worker has, each with its channel
        self._outcomes: list[tuple[Leased, Settlement, bool]] = []  # the last: the address is dead
        self._settled, self._told = asyncio.Event(), asyncio.Event()
        self._carrying: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0
        self._holds, self._watched, self._watched_at = Holds(), asyncio.Event(), 0.0
        self._tallies: dict[str, Tally] = {}
        self._tallied_at = 0.0
        self._leased_at = float("-inf")

    async def work(self, stop: asyncio.Event) -> None:
        """Leases and sends until `stop`, then waits for what is in flight."""
        await self._persistently(self._beat)
        await self._watch()
        log.info("working", worker=self.name, providers=",".join(self._adapters))
        async with asyncio.TaskGroup() as group:
            acts = (self._keep_beating, self._keep_watching, self._keep_settling, self._keep_asking)
            background = [group.create_task(act()) for act in acts]
            await self._lease_until(stop)
            while self._unsettled:
                await self._wait(self._settled)
            for task in background:
                task.cancel()
        await self._persistently(lambda connection: queue.retire(connection, self.name))

    # -- leasing

    async def _lease_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            room, now = self._room(), self._clock.now()
            if not room:  # with nothing in flight either there is no channel to send on
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for((self._settled if self._unsettled else stop).wait(), LEASE_SECONDS)
                self._settled.clear()
                continue
            try:
                taken, refused = await self._in_transaction(partial(self._take, room=room, now=now))
            except DATABASE_LOST as error:
                log.error("database lost", error=str(error))
                await asyncio.sleep(RECOVERY_SECONDS)
                known = list(self._unsettled)
                await self._persistently(partial(queue.give_back, worker=self.name, known=known))
                continue
            if not taken:
                # What comes first: a settlement, if it may make room on a channel that has none, or time to look again.
                event = stop if len(room) == len(self._desk.channels) else self._settled
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), POLL_SECONDS)
                self._settled.clear()
                continue
            self._leased_at = time.monotonic()
            self._unsettled.update((message.id, message.channel) for message in taken)
            self._start(taken, refused)

    def _take(
        self, connection: Connection, room: Mapping[str, int], now: datetime
    ) -> tuple[list[Leased], dict[UUID, str]]:
        """Takes messages, and looks which of them must not go after all."""
        open_ones = {channel: most for channel, most in room.items() if not self._holds.closes(channel)}
        limit = self._settings.in_flight - len(self._unsettled)
        taken = leasing.lease(connection, self.name, self._desk, open_ones, limit, now)
        return taken, refusals(connection, taken, self._secret, now) if taken else {}

    def _room(self) -> dict[str, int]:
        """How many more messages of each channel may be in flight; too little room for a lease so soon is none.

        One channel whose provider hangs must not take all of it: half is for whoever comes, the other half is kept in
        equal parts for the channels.
        """
        channels, most = self._desk.channels, self._settings.in_flight
        kept = most // (2 * len(channels)) if channels else 0
        each, here = most - kept * (len(channels) - 1), Counter(self._unsettled.values())
        least = max(1, each // 3) if time.monotonic() - self._leased_at < LEASE_SECONDS else 1
        free = most - len(self._unsettled)
        left = {channel: min(free, each - here[channel]) for channel in channels}
        return {channel: count for channel, count in left.items() if count >= least}

    def _start(self, taken: Iterable[Leased], refused: Mapping[UUID, str]) -> None:
        for message in taken:
            reason = refused.get(message.id)
            if reason:
                self._tell(message, skipped(message, reason))
            else:
                self._waiting[message.via].append(message)
        for name, waiting in self._waiting.items():
            for _ in range(min(len(waiting), self._free[name])):
                self._free[name] -= 1
                task = asyncio.create_task(self._carry(name))
                self._carrying.add(task)
                task.add_done_callback(self._carrying.discard)

    # -- sending

    async def _carry(self, name: str) -> None:
        """Sends one message after the other by a provider, as long as any waits."""
        waiting = self._waiting[name]
        try:
            while waiting:
                await self._deliver(waiting.popleft())
        finally:
            self._free[name] += 1

    async def _deliver(self, message: Leased) -> None:
        provider = self._adapters[message.via]
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
        await self._know_holds()
        hold = self._holds.on(message)
        if hold is not None:
            self._tell(message, held(message, hold))
            return
        if time.monotonic() - self._heard_at > self._settings.lease_seconds * 0.8:
            # The others may take this worker for dead by now, and its messages for lost.
            self._tell(message, put_back(message, self._clock.now() + UNHEARD_PAUSE))
            return
        outcome = await self._attempt(provider, composed)
        now = self._clock.now()
        cost = provider.price * provider.parts(composed.content)
        self._tallies[message.via] = self._tallies.get(message.via, Tally()).with_outcome(outcome)
        settled = settlement(message, outcome, cost, now, self._desk.spares(message.channel))
        self._tell(message, settled, dead=outcome.address_is_dead)

    def _refuse(self, message: Leased, code: str, error: str) -> None:
        failure = Outcome(Status.FAILED, error_code=code, error=error)
        self._tell(message, settlement(message, failure, Decimal(0), self._clock.now()))

    async def _attempt(self, channel: ChannelAdapter, message: OutboundMessage) -> Outcome:
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
            tallies = self._tallies_due()
            await self._persistently(partial(self._settle, outcomes=outcomes, tallies=tallies, now=now))
            for message, _, _ in outcomes:
                self._unsettled.pop(message.id, None)
            self._settled.set()

    def _tallies_due(self) -> dict[str, Tally]:
        """What is to be written down of the providers; their good answers wait a while, to cost no write each."""
        soon = any(tally.ill or tally.rest_seconds for tally in self._tallies.values())
        if not soon and time.monotonic() - self._tallied_at < TALLY_SECONDS:
            return {}
        self._tallied_at = time.monotonic()
        due, self._tallies = self._tallies, {}
        return due

    def _settle(
        self,
        connection: Connection,
        outcomes: list[tuple[Leased, Settlement, bool]],
        tallies: Mapping[str, Tally],
        now: datetime,
    ) -> None:
        settlements = [settled for _, settled, _ in outcomes]
        paused = [settled.hold for settled in settlements if settled.hold is not None]
        if paused:
            still = holds.still(connection, paused)
            settlements = [
                row if row.hold is None or row.hold in still else replace(row, state="queued") for row in settlements
            ]
        own = queue.settle(connection, self.name, settlements, now)
        told = (
            news(settled, now, delivered=not self._adapters[message.via].tells_delivery)
            for (message, _, _), settled in zip(outcomes, settlements, strict=True)
            if message.id in own
        )
        inbox.append(connection, entries(told, now))
        dead = [
            Suppressed(message.channel, message.address, "bounced", now) for message, _, is_dead in outcomes if is_dead
        ]
        suppression.suppress(connection, self._secret, dead, now)
        for breaker in breakers.note(connection, tallies, now, self._desk.bounds):
            log.warning("provider", provider=breaker.provider, state=breaker.state, reason=breaker.reason)

    # -- messages in doubt

    async def _keep_asking(self) -> None:
        able = {name: adapter for name, adapter in self._adapters.items() if isinstance(adapter, Reconciles)}
        while able:
            await asyncio.sleep(ASK_SECONDS)
            asked = await self._persistently(partial(doubts.to_ask, providers=list(able), now=self._clock.now()))
            for name, adapter in able.items():
                mine = [one for one in asked if one.message.via == name]
                if mine:
                    await self._ask(adapter, mine)

    async def _ask(self, adapter: Reconciles, asked: list[doubts.Asked]) -> None:
        """Asks a provider what became of messages, and writes down what it knows."""
        try:
            now = self._clock.now()
            doubtful = [Doubtful(self._composer.compose(one.message), one.attempted_at, now) for one in asked]
            outcomes = await adapter.reconcile(doubtful)
        except Exception:  # they stay in doubt, and are asked about again
            log.exception("reconciling failed", messages=len(asked))
            return
        answers = [(one.message, outcome) for one, outcome in zip(asked, outcomes, strict=True)]
        settled = await self._persistently(partial(doubts.settle, answers=answers, now=self._clock.now()))
        log.info("reconciled", asked=len(asked), settled=settled)

    # -- staying alive

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 4)
            await self._persistently(self._beat)

    async def _keep_watching(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self._watch()

    async def _watch(self) -> None:
        """Looks for what people have paused or cancelled."""
        began = time.monotonic()
        self._holds = Holds(await self._persistently(holds.in_force))
        self._watched_at = began
        self._watched.set()

    async def _know_holds(self) -> None:
        """Waits until it is known what is paused and cancelled as of a moment ago."""
        while time.monotonic() - self._watched_at > STALE_SECONDS:
            self._watched.clear()
            await self._watched.wait()

    def _beat(self, connection: Connection) -> None:
        heard_at = time.monotonic()
        queue.beat(connection, self.name)
        now = self._clock.now()
        lost = queue.reap(connection, self._settings.lease_seconds, now)
        if lost:
            log.warning("messages in doubt, their worker is gone", messages=len(lost))
            doubtful = [Settlement(*one, "in_doubt", error_code="worker_lost") for one in lost]
            inbox.append(connection, entries([news(one, now, delivered=False) for one in doubtful], now))
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


def _at_once(adapter: ChannelAdapter, most: int) -> int:
    """As many messages as the adapter can have on the wire; those that wait can still be stopped."""
    return adapter.at_once if isinstance(adapter, Bounded) else most


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
