"""Identifiers: a namespace and a value in it, its spelling, the values that name nobody, each namespace's rules.

The table `NAMESPACES` says all there is to know of a namespace; `[identity]` in onevoice.toml overrides it. What the
rules do to links is in `grouping.py`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec
import phonenumbers

from onevoice.kernel.errors import ConfigurationError
from onevoice.kernel.ids import identifier_id

USER = "user_id"
ANONYMOUS = "anonymous_id"

PROVEN, CLAIMED, DEVICE = "proven", "claimed", "device"
TRUSTS = (PROVEN, CLAIMED, DEVICE)
"""From the strongest to the weakest: someone checked it; someone said it; a machine has it."""

LONGEST = 1024
"""Characters; a longer value is not an identifier (Adobe's limit)."""

BLOCKED = re.compile(
    r"""^(["']?([0-]*|-1|null|none|nil|nan|undefined|anonymous|guest|anon|id|distinct_?id|not_authenticated|email"""
    r"""|n/a|true|false|void|invalid|unknown|\[object object\]|\s*)["']?|[\s\S]{1000}[\s\S]{25}[\s\S]*)$""",
    re.IGNORECASE,
)
"""Values that careless callers send for everybody; as identifiers they do not count. From the lists of Segment Unify,
PostHog, Mixpanel and Adobe, each also in quotes; zeros and hyphens of any length cover the UUID of zeros; and what is
longer than `LONGEST`."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A namespace (user_id, anonymous_id, loyalty_card, ...) and a value in it."""

    namespace: str
    value: str
    id: int = field(init=False, compare=False, repr=False)
    """Its number everywhere."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", identifier_id(self.namespace, self.value))

    def __hash__(self) -> int:
        return self.id

    def __str__(self) -> str:
        return f"{self.namespace}:{self.value}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """The rules of one namespace."""

    trust: str = CLAIMED  # the best a link of it can have: proven, claimed, device
    limit: int = 5  # so many of them on a profile ...
    period: timedelta | None = None  # ... that were first linked within such a time; None: ever
    priority: int = 50  # where a limit is exceeded, the highest number goes first
    shared_over: int = 5  # a value seen with more people (user ids) than this joins nobody
    needs_proof: bool = False  # a link that was only claimed joins nobody
    kind: str = "text"  # how a value is spelled: text, email, phone


YEAR = timedelta(days=365)
MONTH = timedelta(days=30)

_CONTACT = Namespace(limit=5, period=YEAR, priority=20, needs_proof=True)
_MACHINE = Namespace(trust=DEVICE, limit=20, period=YEAR, priority=60, shared_over=1)

NAMESPACES: Mapping[str, Namespace] = {
    USER: Namespace(PROVEN, limit=1, priority=0),
    "external_id": Namespace(PROVEN, limit=5, priority=5),
    "loyalty_card": Namespace(PROVEN, limit=5, period=YEAR, priority=10),
    "whatsapp_id": Namespace(PROVEN, limit=5, period=YEAR, priority=15),  # WhatsApp's id of a person for one business
    "email": replace(_CONTACT, trust=PROVEN, kind="email"),
    "phone": replace(_CONTACT, trust=PROVEN, kind="phone", priority=25),
    "device_id": _MACHINE,
    "push_token": _MACHINE,
    "advertising_id": _MACHINE,
    ANONYMOUS: Namespace(DEVICE, limit=100, period=MONTH, priority=90, shared_over=1),
}
"""The namespaces with rules of their own. One that is not listed is claimed, at most five on a profile."""

ALIASES: Mapping[str, str] = {
    "ios.id": "device_id",
    "android.id": "device_id",
    "ios.push_token": "push_token",
    "android.push_token": "push_token",
    "ios.idfa": "advertising_id",
    "android.idfa": "advertising_id",
    "whatsapp_bsuid": "whatsapp_id",
}
"""Other systems' names for our namespaces."""

LARGEST_PROFILE = 2_000
"""Identifiers on a profile; a link that would make it larger does not join."""

MOST_NEIGHBOURS = 2_000
"""A value linked to more identifiers than this joins nobody, whatever its namespace."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What is known of one source, by its name in `[identity.sources.NAME]`."""

    shared: bool = False  # a tablet or till that many people use: its devices identify nobody
    proven: bool = False  # it checks whom it names, so its claims are proofs
    country: str = ""  # the region of phone numbers without a country code
    traits: tuple[str, ...] = ()  # traits that are identifiers too, such as email


@dataclass(frozen=True)
class Rules:
    """All the rules of identity."""

    namespaces: Mapping[str, Namespace] = field(default_factory=lambda: NAMESPACES)
    sources: Mapping[int, SourceRules] = field(default_factory=dict)  # by source id
    blocked: frozenset[str] = frozenset()  # further values that name nobody, in lower case
    country: str = ""  # the region of phone numbers where neither source nor customer says one
    largest_profile: int = LARGEST_PROFILE
    most_neighbours: int = MOST_NEIGHBOURS

    def of(self, namespace: str) -> Namespace:
        """A namespace's rules."""
        return self.namespaces.get(namespace, OTHER)

    def source(self, source_id: int) -> SourceRules:
        """A source's rules."""
        return self.sources.get(source_id, NO_RULES)


OTHER = Namespace()
NO_RULES = SourceRules()
RULES = Rules()
"""The rules where onevoice.toml says nothing."""


class _NamespaceGiven(msgspec.Struct, forbid_unknown_fields=True):
    trust: str | None = None
    limit: int | None = None
    period_days: float | None = None  # 0: ever
    priority: int | None = None
    shared_over: int | None = None
    needs_proof: bool | None = None
    kind: str | None = None


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    country: str = ""
    blocked: list[str] = []
    largest_profile: int = LARGEST_PROFILE
    most_neighbours: int = MOST_NEIGHBOURS
    namespaces: dict[str, _NamespaceGiven] = {}
    sources: dict[str, SourceRules] = {}


def rules(given: Mapping[str, Any], source_ids: Mapping[str, int]) -> Rules:
    """The rules with what `[identity]` of onevoice.toml overrides. A source not made yet has no rules to follow.

    Raises ConfigurationError.
    """
    try:
        told = msgspec.convert(given, _Given)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"[identity] in onevoice.toml: {error}") from error
    return Rules(
        {**NAMESPACES, **{name: _overridden(name, one) for name, one in told.namespaces.items()}},
        {source_ids[name]: one for name, one in told.sources.items() if name in source_ids},
        frozenset(value.lower() for value in told.blocked),
        told.country.upper(),
        told.largest_profile,
        told.most_neighbours,
    )


def _overridden(name: str, given: _NamespaceGiven) -> Namespace:
    values = {key: value for key, value in msgspec.structs.asdict(given).items() if value is not None}
    if "period_days" in values:
        days = values.pop("period_days")
        values["period"] = timedelta(days=days) if days else None
    made = replace(NAMESPACES.get(name, OTHER), **values)
    for key, allowed in (("trust", TRUSTS), ("kind", ("text", "email", "phone"))):
        if getattr(made, key) not in allowed:
            raise ConfigurationError(f"[identity.namespaces.{name}] {key} must be one of {', '.join(allowed)}")
    if made.limit < 1 or made.shared_over < 1:
        raise ConfigurationError(f"[identity.namespaces.{name}] limit and shared_over must be 1 or more")
    return made


def identifier(namespace: str, value: str, rules: Rules = RULES, country: str = "") -> Identifier | None:
    """The identifier that a value stands for, however it was spelled; None where it names nobody."""
    namespace = ALIASES.get(namespace, namespace)
    value = value.strip()
    if BLOCKED.match(value) or value.lower() in rules.blocked:
        return None
    spelled = SPELLINGS[rules.of(namespace).kind](value, country or rules.country)
    return Identifier(namespace, spelled) if spelled else None


def email(value: str, country: str = "") -> str | None:
    """An e-mail address as written, its domain in lower case; None where it cannot be one.

    Whether `Anna@` and `anna@`, or `a.b@` and `ab@`, are one box only the receiving host knows, so the local part stays
    (RFC 5321, 2.3.11); a domain has no case (RFC 4343).
    """
    text = value.strip()
    name, _, domain = text.rpartition("@")
    fits = name and "." in domain and len(text) <= 254 and not any(c.isspace() or ord(c) < 32 for c in text)
    return f"{name}@{domain.lower()}" if fits else None


@lru_cache(maxsize=200_000)  # parsing costs 30 microseconds, and a customer's number comes with each of their events
def phone(value: str, country: str = "") -> str | None:
    """A phone number as E.164 with its `+`; `country` is the region of one without. None where it cannot be one."""
    try:
        number = phonenumbers.parse(value, country or None)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if possible else None


def _text(value: str, country: str = "") -> str | None:
    return value or None


SPELLINGS: Mapping[str, Callable[[str, str], str | None]] = {"text": _text, "email": email, "phone": phone}
