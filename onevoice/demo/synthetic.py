"""What the anonymous households lack, made up: names, addresses, consents, web and app visits, past reactions.

Seeded by household, so that each run has the same people. Nobody is meant: e-mail addresses are in `example.com`
(RFC 2606), phone numbers in the ranges kept for fiction, and every profile carries the trait `synthetic`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Connection

from onevoice.customers.suppression import Suppressed
from onevoice.demo.retailer import CARD, END, Household
from onevoice.events import door
from onevoice.events.vocabulary import EventEntry

SEED = 8451
TOPIC = "offers"
CHANNELS = ("email", "push", "sms")

SOURCES = {"till": "till", "web-shop": "web", "app": "app", "past-mailings": "server"}
"""Name and kind of the sources the demo brings events from."""

HAS_ADDRESS = {"email": 0.92, "push": 0.60, "sms": 0.80}
"""Share of the households with an address on the channel."""

CONSENTS = {"email": (0.85, 0.05), "push": (0.60, 0.10), "sms": (0.55, 0.15)}
"""Share that granted and share that denied consent, address or not; the others were never asked."""

BOUNCED = 0.03
"""Share of the e-mail addresses that bounced in the past; the retailer brings them as its suppression list."""

HAS_ACCOUNT = 0.45  # share with a web account
STRANGERS = 400  # visitors of the web shop that never say who they are
VISITS_SINCE = END - timedelta(days=120)
MAILINGS = tuple(datetime(2017, month, 4, 10, 0, tzinfo=UTC) for month in range(7, 13))
"""When the retailer's past newsletters went out, on all three channels."""

_US_AREAS = "201 202 205 206 208 209 212 213 214 215 216 217 219 224 225 228 229 231 234 239 240 248 251 253 254 256"

_PEOPLE = {
    "en": (
        "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph "
        "Jessica Thomas Karen Charles Sarah Daniel Nancy Matthew Lisa Anthony Betty Mark Sandra Paul Ashley",
        "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Jackson Martin Lee Thompson "
        "White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams Baker",
    ),
    "it": (
        "Marco Giulia Luca Sofia Andrea Martina Francesco Chiara Alessandro Sara Matteo Elena Lorenzo Anna Davide "
        "Valentina Simone Federica Stefano Silvia Paolo Laura Giovanni Francesca Antonio Paola Roberto Elisa Marta",
        "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti Costa Giordano "
        "Mancini Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi Caruso Ferrara Galli Martini Leone",
    ),
}

_ZONES = {
    "en": (
        ("America/New_York", "US"),
        ("America/Chicago", "US"),
        ("America/Denver", "US"),
        ("America/Los_Angeles", "US"),
    ),
    "it": (("Europe/Rome", "IT"), ("Europe/Rome", "IT"), ("Europe/Rome", "IT"), ("Europe/Zurich", "CH")),
}

_PAGES = (("Home", "/"), ("Offers", "/offers"), ("Stores", "/stores"), ("Recipes", "/recipes"), ("Search", "/search"))


@dataclass(frozen=True)
class Person:
    """Who stands for a household, and how they take to messages (for the simulation, unknown to the platform)."""

    household: int
    since: datetime
    first_name: str
    last_name: str
    locale: str
    country: str
    time_zone: str
    addresses: Mapping[str, str]  # by channel
    consents: Mapping[str, str]  # by channel: granted, denied
    user_id: str  # of the web account, or empty
    reads: Mapping[str, float]  # probability to open a message, by channel


@dataclass(frozen=True)
class Event:
    """A tracking call to be, and the source that sends it."""

    source: str
    type: str
    message_id: str
    occurred_at: datetime
    call: Mapping[str, Any]


def person(household: Household, seed: int = SEED) -> Person:
    """The person made up for a household; always the same for the same seed."""
    random = Random(f"{seed}:person:{household.id}")  # noqa: S311 - data, not secrets
    locale = "en" if random.random() < 0.6 else "it"
    first_names, last_names = (names.split() for names in _PEOPLE[locale])
    first_name, last_name = random.choice(first_names), random.choice(last_names)
    time_zone, country = random.choice(_ZONES[locale])
    possible = {
        "email": f"{first_name}.{last_name}.{household.id}@example.com".lower(),
        "push": f"synthetic-{blake2b(f'{seed}:{household.id}'.encode(), digest_size=20).hexdigest()}",
        "sms": _phone(locale, household.id),
    }
    addresses = {channel: possible[channel] for channel in CHANNELS if random.random() < HAS_ADDRESS[channel]}
    consents: dict[str, str] = {}
    for channel in CHANNELS:
        granted, denied = CONSENTS[channel]
        drawn = random.random()
        if drawn < granted + denied:
            consents[channel] = "granted" if drawn < granted else "denied"
    favourite = random.choices((*CHANNELS, ""), (0.40, 0.25, 0.20, 0.15))[0]
    return Person(
        household=household.id,
        since=household.first_at,
        first_name=first_name,
        last_name=last_name,
        locale=locale,
        country=country,
        time_zone=time_zone,
        addresses=addresses,
        consents=consents,
        user_id=f"user-{household.id:05d}" if random.random() < HAS_ACCOUNT else "",
        reads={channel: random.uniform(0.5, 0.8) if channel == favourite else 0.12 for channel in CHANNELS},
    )


def suppressed(people: Iterable[Person], seed: int = SEED) -> Iterator[Suppressed]:
    """The retailer's suppression list."""
    for who in people:
        random = Random(f"{seed}:bounced:{who.household}")  # noqa: S311
        if "email" in who.addresses and random.random() < BOUNCED:
            yield Suppressed("email", who.addresses["email"], "bounced", max(who.since, MAILINGS[0]))


def events(households: Sequence[Household], people: Mapping[int, Person], seed: int = SEED) -> Iterator[Event]:
    """All synthetic events: contact data, accounts, visits of the known and of strangers, reactions to newsletters."""
    for household in households:
        who = people[household.id]
        yield contact(who)
        yield from _visits(who, seed)
        yield from _reactions(who, household, seed)
    for number in range(STRANGERS * len(households) // 2469):
        random = Random(f"{seed}:stranger:{number}")  # noqa: S311
        at = VISITS_SINCE + timedelta(seconds=random.uniform(0, 115 * 86_400))
        yield from _pages(random, f"stranger-{number}", at, {"anonymousId": _device(seed, "stranger", number)})


def contact(who: Person) -> Event:
    """The `identify` call that gives a loyalty card its made-up name, addresses, language and time zone."""
    traits = {
        "first_name": who.first_name,
        "last_name": who.last_name,
        "locale": who.locale,
        "country": who.country,
        "time_zone": who.time_zone,
        "synthetic": True,
    }
    names = {"email": "email", "push": "push_token", "sms": "phone"}
    traits |= {names[channel]: address for channel, address in who.addresses.items()}
    call = {"traits": traits, "context": _card(who)}
    return Event("till", "identify", f"contact-{who.household}", who.since, call)


def enter(connection: Connection, made: Iterator[Event], source_ids: Mapping[str, int], received_at: datetime) -> None:
    """Puts the events into the inbox."""
    encode = msgspec.json.Encoder().encode
    by_source: dict[str, list[tuple[str, bytes]]] = {name: [] for name in source_ids}
    for event in made:
        entry = EventEntry(event.type, event.message_id, event.occurred_at, msgspec.Raw(encode(event.call)))
        by_source[event.source].append((event.message_id, encode(entry)))
    for name, calls in by_source.items():
        door.enter(connection, source_ids[name], received_at, calls)


def _visits(who: Person, seed: int) -> Iterator[Event]:
    """An account at the web shop, and visits under a device's anonymous id, before and after its owner logs in."""
    if not who.user_id:
        return
    random = Random(f"{seed}:visits:{who.household}")  # noqa: S311
    account = {"userId": who.user_id, "context": _card(who)}
    signed_up = max(who.since, VISITS_SINCE - timedelta(days=random.randrange(1, 60)))
    yield Event("web-shop", "identify", f"account-{who.household}", signed_up, account | {"traits": {"account": True}})
    for source, share, sessions in (("web-shop", 0.75, random.randint(2, 7)), ("app", 0.9, random.randint(4, 14))):
        if source == "app" and "push" not in who.addresses:
            continue
        device = {"anonymousId": _device(seed, source, who.household)}
        # The session in which they log in; on some devices they never do.
        login = random.randrange(sessions) if random.random() < share else sessions
        start = max(who.since, VISITS_SINCE)
        for session in range(sessions):
            at = start + (END - timedelta(hours=6) - start) * ((session + random.random() * 0.9) / sessions)
            caller = device | {"userId": who.user_id} if session > login else device
            id = f"{source}-{who.household}-{session}"
            if source == "app":
                yield Event("app", "track", id, at, caller | {"event": "Application Opened"})
            else:
                yield from _pages(random, id, at, caller)
            if session == login:
                known = device | {"userId": who.user_id, "traits": {}}
                yield Event(source, "identify", f"{id}-login", at + timedelta(minutes=2), known)


def _pages(random: Random, id: str, at: datetime, caller: Mapping[str, Any]) -> Iterator[Event]:
    for number in range(random.randint(1, 4)):
        name, path = random.choice(_PAGES)
        call = {**caller, "name": name, "properties": {"path": path, "url": f"https://cornermarket.example{path}"}}
        yield Event("web-shop", "page", f"{id}-{number}", at + timedelta(seconds=40 * number), call)


def _reactions(who: Person, household: Household, seed: int) -> Iterator[Event]:
    """What the person opened and clicked of the newsletters and of the campaigns the data says they received."""
    random = Random(f"{seed}:reactions:{who.household}")  # noqa: S311
    sent = sorted({*MAILINGS, *(at + timedelta(hours=9) for at in household.campaigns)})
    for at in sent:
        for channel in CHANNELS:
            reached = at > who.since and channel in who.addresses and who.consents.get(channel) == "granted"
            if not reached or random.random() > who.reads[channel]:
                continue
            opened = at + timedelta(minutes=random.randint(5, 2_000))
            id = f"reaction-{who.household}-{channel}-{at:%Y%m%d%H}"
            call = {"context": _card(who), "properties": {"mailing": f"{at:%Y-%m-%d}"}}
            if channel != "sms":
                yield Event("past-mailings", "track", f"{id}-o", opened, call | {"event": f"{channel.title()} Opened"})
            if channel == "sms" or (channel == "email" and random.random() < 0.35):
                name = {"sms": "SMS Link Clicked", "email": "Email Link Clicked"}[channel]
                yield Event("past-mailings", "track", f"{id}-c", opened + timedelta(seconds=30), call | {"event": name})


def _card(who: Person) -> dict[str, Any]:
    return {"externalIds": [{"id": str(who.household), "type": CARD, "collection": "users"}]}


def _device(seed: int, kind: str, number: int) -> str:
    return f"device-{blake2b(f'{seed}:{kind}:{number}'.encode(), digest_size=12).hexdigest()}"


def _phone(locale: str, household: int) -> str:
    """A number nobody has: 555-0100 to 555-0199 (NANPA), or 06 39 98 xx xx (ARCEP), as Italy keeps none for fiction."""
    if locale == "en":
        return f"+1{_US_AREAS.split()[household // 100]}55501{household % 100:02d}"
    return f"+3363998{household:04d}"
