"""Two simulated weeks: the engine steps, messages go out, simulated customers read what arrived and react.

They react through the front door: the tracking links, the one-click unsubscribe and the ingest API of the running
server, with a simulated clock that all roles share. How they decide is in `behaviour.py`.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

import httpx
from sqlalchemy import text

from onevoice.demo import behaviour, reading
from onevoice.demo.behaviour import Reaction
from onevoice.demo.doubles import Doubles
from onevoice.demo.reading import Received
from onevoice.demo.retailer import CARD, CURRENCY, Purchase
from onevoice.demo.synthetic import SEED, Person
from onevoice.engine.engine import Engine
from onevoice.journeys.facts import ENROLMENTS
from onevoice.kernel.clock import SharedClock, aware
from onevoice.kernel.errors import Unavailable

CENT = Decimal("0.01")
COUPON, COUPON_SHARE = "COMEBACK20", Decimal("0.20")
DRAIN_SECONDS = 60.0
"""Real time the delivery worker has to send what one step queued."""

DORMANT = timedelta(days=60)
BROWSER = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 11_2 like Mac OS X) AppleWebKit/604.4.7 Version/11.0 Mobile",
    "Accept-Language": "en-US",
}


class Mailboxes:
    """What the providers' doubles were sent, as their owners find it."""

    def __init__(self, doubles: Doubles, base_url: str) -> None:
        self.doubles, self.base_url = doubles, base_url
        self.mails = self.others = 0

    def arrived(self) -> Iterator[Received]:
        """The messages that came since the last call, in order, read."""
        mails, others = self.doubles.smtp.mails[self.mails :], self.doubles.providers.taken[self.others :]
        self.mails, self.others = self.mails + len(mails), self.others + len(others)
        for mail in mails:
            yield reading.email(mail.id, mail.recipient, mail.parsed(), self.base_url)
        for one in others:
            yield reading.text(one.id, one.channel, one.address, "\n".join(one.content.values()), self.base_url)


PROXY = {"User-Agent": "Mozilla/5.0"}
BEHIND_PROXY = 0.15
"""Share of the e-mail readers whose mail program fetches every picture on arrival, read or not."""


@dataclass
class Played:
    """What the customers did, for the tale; the figures themselves come from the platform."""

    steps: int = 0
    messages: int = 0
    proxies: int = 0  # pictures fetched by mail programs, which must not count as openings
    reactions: dict[str, int] = field(default_factory=dict)


LONGEST_PAUSE = timedelta(hours=24)
SHORTEST_PAUSE = timedelta(hours=3)
"""Simulated time between two steps of the engine: up to when somebody is due, within these bounds."""


class Simulation:
    """The customers, what lies in their mailboxes, and what they are about to do."""

    def __init__(
        self,
        engine: Engine,
        clock: SharedClock,
        mailboxes: Mailboxes,
        people: Sequence[Person],
        baskets: Mapping[int, list[Purchase]],
        write_keys: Mapping[str, str],
    ) -> None:
        self.engine, self.clock, self.mailboxes = engine, clock, mailboxes
        self.people = {who.household: who for who in people}
        self.owners = {(channel, address): who for who in people for channel, address in who.addresses.items()}
        self.baskets, self.write_keys = baskets, write_keys
        self.http = httpx.Client(base_url=engine.settings.base_url, timeout=20.0, headers=BROWSER)
        self.due: list[Reaction] = []
        self.inbox: dict[str, Received] = {}
        self.played = Played()

    def run(self, days: float, last_orders: Mapping[int, datetime], advance: Callable[[datetime], None]) -> Played:
        """Plays `days` from the clock's time; `advance` is told each step's simulated time."""
        start = self.clock.now()
        end = start + timedelta(days=days)
        for household, last_at in last_orders.items():
            if last_at < end - DORMANT:
                self._plan(behaviour.unprompted(self.people[household], start, timedelta(days=days)))
        at = start
        while at <= end:
            self._react(up_to=at)
            self.clock.move(at)
            self.engine.step(at)
            self._drain()
            self._read(at)
            self.played.steps += 1
            advance(at)
            at = max(min(self._next(at), end), at + timedelta(seconds=1))
        self.engine.step(end)  # takes in what the last webhooks told
        self.http.close()
        return self.played

    def _next(self, at: datetime) -> datetime:
        """When the engine should step again: when the next customer is due, not too soon and not too late."""
        enrolments = self.engine.warehouse.table(ENROLMENTS)
        active = enrolments.filter(enrolments.state == "active")
        due = self.engine.warehouse.rows(active.aggregate(at=active.due_at.min()))[0]["at"]
        soonest, latest = at + SHORTEST_PAUSE, at + LONGEST_PAUSE
        return max(soonest, min(latest, aware(due))) if due else latest

    # -- messages

    def _drain(self) -> None:
        """Waits until the delivery worker has sent all that is due now."""
        deadline = time.monotonic() + DRAIN_SECONDS
        due = text("SELECT count(*) FROM message WHERE state = 'sending' OR (state = 'queued' AND not_before <= :now)")
        while True:
            with self.engine.database.connect() as connection:
                waiting = connection.scalar(due, {"now": self.clock.now()})
            if not waiting:
                break
            if time.monotonic() > deadline:
                raise Unavailable(f"{waiting} messages are not sent after {DRAIN_SECONDS:.0f} s; see the log above")
            time.sleep(0.02)
        self.mailboxes.doubles.settle()

    def _read(self, at: datetime) -> None:
        """Each reader decides, when a message arrives, what they will do about it."""
        for received in self.mailboxes.arrived():
            self.inbox[received.id] = received
            who = self.owners[(received.channel, received.address)]
            self._plan(behaviour.to_message(who, received.channel, received.id, at))
            self.played.messages += 1
            if received.pixel and Random(f"{SEED}:proxy:{who.household}").random() < BEHIND_PROXY:  # noqa: S311
                self._expect(self.http.get(received.pixel, headers=PROXY), 200)
                self.played.proxies += 1

    def _plan(self, reactions: Iterable[Reaction]) -> None:
        for reaction in reactions:
            heapq.heappush(self.due, reaction)

    # -- reactions

    def _react(self, up_to: datetime) -> None:
        """What is due by then, in order of time, each at its own simulated instant."""
        while self.due and self.due[0].at <= up_to:
            reaction = heapq.heappop(self.due)
            self.clock.move(max(reaction.at, self.clock.now()))
            self._do(reaction)
            self.played.reactions[reaction.kind] = self.played.reactions.get(reaction.kind, 0) + 1

    def _do(self, reaction: Reaction) -> None:
        if reaction.kind == "buy":
            self._buy(reaction)
            return
        received, who = self.inbox[reaction.message], self.people[reaction.household]
        if reaction.kind == "open" and received.channel == "push":
            self.mailboxes.doubles.tell_opened(received.id)  # the phone tells its gateway, the gateway tells us
        elif reaction.kind == "open":
            self._expect(self.http.get(received.pixel), 200)
        elif reaction.kind == "click":
            link = Random(f"{SEED}:{who.household}:{received.channel}").choice(received.links)  # noqa: S311
            self._expect(self.http.get(link), 302)
        elif received.one_click:
            self._expect(self.http.post(received.unsubscribe, data={"List-Unsubscribe": "One-Click"}), 200)
        else:
            self._expect(self.http.post(received.unsubscribe), 200)

    def _buy(self, reaction: Reaction) -> None:
        """An order through the ingest API: at the till with the card, or in the web shop with the account."""
        who = self.people[reaction.household]
        random = Random(f"{SEED}:{who.household}:basket:{reaction.at}")  # noqa: S311
        usual = self.baskets[who.household]
        lines = [_line(one, reaction.coupon) for one in random.sample(usual, min(len(usual), random.randint(6, 14)))]
        online = bool(who.user_id) and random.random() < behaviour.ASSUMED.uses_web
        caller = {"userId": who.user_id} if online else {}
        order = f"simulated-{who.household}-{reaction.at:%Y%m%d%H%M%S}"
        call = {
            **caller,
            "messageId": order,
            "event": "Order Completed",
            "timestamp": reaction.at.isoformat(),
            "sentAt": reaction.at.isoformat(),
            "context": {"externalIds": [{"id": str(who.household), "type": CARD, "collection": "users"}]},
            "properties": {
                "order_id": order,
                "currency": CURRENCY,
                "revenue": float(sum(line["revenue"] for line in lines)),
                "discount": float(sum(line["discount"] for line in lines)),
                "coupon": COUPON if reaction.coupon else None,
                "products": [{**line, **{k: float(line[k]) for k in ("revenue", "discount")}} for line in lines],
            },
        }
        key = self.write_keys["web-shop" if online else "till"]
        self._expect(self.http.post("/v1/track", json=call, auth=(key, "")), 200)

    @staticmethod
    def _expect(response: httpx.Response, status: int) -> None:
        if response.status_code != status:
            request = response.request
            raise Unavailable(f"{request.method} {request.url} answered {response.status_code}, not {status}")


def _line(usual: Purchase, coupon: bool) -> dict[str, Any]:
    discount = (usual.revenue * COUPON_SHARE).quantize(CENT, ROUND_HALF_UP) if coupon else Decimal(0)
    return {
        "product_id": usual.product_id,
        "quantity": usual.quantity,
        "revenue": usual.revenue - discount,
        "discount": discount,
    }
