"""The protocol between OneVoice and a provider. Plain values in, plain values out.

An adapter knows no journey, no database and no warehouse. To add a channel: write a class with these methods and
name it in an entry point of the group `onevoice.channels`; a table `[channels.NAME]` with `adapter = "..."` uses it,
or several, `[channels.NAME.PROVIDER]`, one for each provider of the channel (see channels/providers.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from onevoice.kernel.brought import GROUP
from onevoice.kernel.errors import ConfigurationError


@dataclass(frozen=True)
class OutboundMessage:
    """One message to one address, rendered.

    `content` is what the channel's template gives: e-mail `subject`, `html`, `text`; push `title`, `body`, `link`;
    SMS `text`. `id` is the message's id everywhere (hand it to the provider as reference where it takes one).
    """

    id: str
    channel: str
    address: str
    content: Mapping[str, str]
    unsubscribe_url: str = ""
    token: str = ""  # signed; in a return path it tells which message a bounce is about (letters and digits, any case)
    group: str = ""  # what it is one of, for the provider's own figures, as `journey:step`: letters, digits and -_:
    sender_name: str = ""  # what the recipient sees as sender, where the brand says it


class Status(StrEnum):
    """What became of an attempt."""

    ACCEPTED = "accepted"  # the provider has it
    FAILED = "failed"  # it never will be: bad address, refused content
    RETRY = "retry"  # surely not sent; try again after `retry_after_seconds`
    IN_DOUBT = "in_doubt"  # the call was cut off: it may have been sent; never repeated for marketing


class Concern(StrEnum):
    """Whose affair it is that a message was not taken; delivery.breakers acts on it."""

    MESSAGE = "message"  # this message or its address; the next may well pass
    PACE = "pace"  # the provider wants it slower: nothing goes there for `retry_after_seconds`
    PROVIDER = "provider"  # it is ill: counts for its circuit breaker, and another provider is tried
    ACCOUNT = "account"  # an alarm: credentials, payment, a block; nothing goes there until it answers well again


@dataclass(frozen=True)
class Outcome:
    """The answer to one attempt."""

    status: Status
    provider_id: str = ""
    error_code: str = ""
    error: str = ""
    retry_after_seconds: float = 0.0
    address_is_dead: bool = False  # suppress the address on this channel
    concerns: Concern = Concern.MESSAGE  # where not accepted; what is in doubt counts as PROVIDER


class News(StrEnum):
    """What a provider tells later about a message, or what its reader did. In rank order; see delivery.statuses."""

    FAILED = "failed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"  # a person answered on that channel; what machines answer is no reply
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


class Failure(StrEnum):
    """What a failure that is told afterwards says about another try; delivery.undelivered acts on it."""

    FINAL = "final"  # none: it has failed
    LATER = "later"  # surely not delivered, and may be another time: it is sent again, within bounds
    CONTENT = "content"  # what it says was refused: others like it will be too
    ACCOUNT = "account"  # an alarm: we may not send; as LATER, and the provider gets nothing for now


@dataclass(frozen=True)
class MessageNews:
    """One piece of news about one message; comes late, twice and out of order."""

    message_id: str
    news: News
    occurred_at: datetime
    provider_event_id: str  # makes a repetition recognisable
    error_code: str = ""
    address_is_dead: bool = False  # suppress the address on this channel
    failure: Failure = Failure.FINAL  # where the news is FAILED
    provider_id: str = ""  # as the outcome had it: tells which try the news is about
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InboundMessage:
    """What a person wrote to us on a channel. Automatic answers are none of these."""

    channel: str
    sender: str  # the person's address there, as we would write to it
    text: str
    occurred_at: datetime
    provider_event_id: str  # makes a repetition recognisable
    message_id: str = ""  # of our message that it answers, where the channel says so
    is_confirmed: bool = False  # a word like STOP that the provider has heeded and answered itself
    raw: Mapping[str, Any] = field(default_factory=dict)


Told = MessageNews | InboundMessage


@dataclass(frozen=True)
class WebhookRequest:
    """A provider's call to us, as it came; `url` is the public one (signatures cover it)."""

    method: str
    url: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    received_at: datetime


class ChannelAdapter(Protocol):
    """What a provider's file implements. Made with its settings' table as keyword arguments, all strings or numbers.

    For a channel that OneVoice does not know, its class also says what a template of it consists of (`template_fields`,
    those that may be left out as `optional_fields`; `link` is one address, in others addresses are found) and which
    trait holds the customer's address there (`address_trait`).
    """

    channel: str  # email, sms, push, ...
    price: Decimal  # of one message (or one SMS part), in the account's currency
    tells_delivery: bool  # whether news of delivery follows; where not, accepted counts as delivered until it bounces

    async def open(self) -> None:
        """Makes ready: connections, credentials. Called once, in the event loop that will send."""
        ...

    async def send(self, message: OutboundMessage) -> Outcome:
        """Tries once. Never raises for what the provider does: every answer and every cut is an Outcome."""
        ...

    async def close(self) -> None:
        """Gives back what `open` took."""
        ...

    def news(self, request: WebhookRequest) -> Sequence[Told]:
        """Reads a webhook: news of messages, and what people wrote.

        Raises onevoice.kernel.errors.Unauthorized where its signature is wrong.
        """
        ...

    def parts(self, content: Mapping[str, str]) -> int:
        """How many units of `price` the content costs (SMS segments; else 1)."""
        ...


@dataclass(frozen=True)
class Doubtful:
    """A message that may have been sent, as it was to be sent, when that was tried, and when it is asked about."""

    message: OutboundMessage
    attempted_at: datetime
    asked_at: datetime


@runtime_checkable
class Reconciles(Protocol):
    """What an adapter may have besides: it can ask the provider what became of messages in doubt."""

    async def reconcile(self, doubtful: Sequence[Doubtful]) -> list[Outcome]:
        """An outcome for each: ACCEPTED it has it, RETRY it surely has not, IN_DOUBT it cannot tell yet."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """What an adapter may have besides: how many messages it can have on the wire. More wait outside, where they can
    still be paused and cancelled."""

    at_once: int


def build(settings: Mapping[str, Any], channel: str) -> ChannelAdapter:
    """The adapter of `[channels.CHANNEL]`. Raises ConfigurationError naming what is wrong."""
    options = dict(settings)
    name = options.pop("adapter", None)
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigurationError(f"channels.{channel}: adapter is {name!r}; installed are {', '.join(sorted(found))}")
    try:
        adapter: ChannelAdapter = found[name].load()(**options)
    except TypeError as error:
        raise ConfigurationError(f"channels.{channel} ({name}): {error}") from error
    if adapter.channel != channel:
        raise ConfigurationError(f"channels.{channel}: adapter {name} serves {adapter.channel}, not {channel}")
    return adapter
