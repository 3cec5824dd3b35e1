"""Steps whose effect is outside the journey: `update`, `event`, `webhook`, `call`, `audience`.

The tick writes what is to be done as rows; the hand-off does it, once.
"""

from typing import Any, Literal

import msgspec

from onevoice.journeys.spans import Name
from onevoice.journeys.steps.kind import Layout, Step, StepKind
from onevoice.journeys.steps.send import Send
from onevoice.kernel.errors import InvalidInput

Scalar = str | int | float | bool | None


class Emit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event of the customer's, as if a source of ours had told it."""

    name: Name
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A signed call (Standard Webhooks) of a URL, with the customer, the journey and `data`."""

    url: Name
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task for a person to call the customer, with a template as what to say."""

    template: Name
    wait: str = "0 days"
    content: str = ""


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Puts the customer on a list, or takes them off; the condition `list` asks about it."""

    add: Name | None = None
    remove: Name | None = None


def _check_update(asked: dict[str, Scalar], place: str) -> None:
    if not asked:
        raise InvalidInput(f"name at least one trait and its value - at `{place}`")
    if "" in asked:
        raise InvalidInput(f"a trait needs a name - at `{place}`")


def _check_webhook(asked: Webhook, place: str) -> None:
    if not asked.url.startswith(("https://", "http://")):
        raise InvalidInput(f"expected a URL that begins with https:// - at `{place}.url`")


def _check_audience(asked: Audience, place: str) -> None:
    if (asked.add is None) == (asked.remove is None):
        raise InvalidInput(f"give exactly one of add, remove - at `{place}`")


def _lay_call(step: Step, after: str, layout: Layout) -> str:
    from onevoice.journeys.steps.send import SEND

    asked = step.asked
    send = Send("call", asked.template, asked.wait, asked.content)
    return SEND.lay(Step(step.id, SEND.name, send), after, layout)


Effect = Literal["update", "event", "webhook", "audience"]

UPDATE = StepKind("update", dict[str, Scalar], _check_update)
EVENT = StepKind("event", Emit)
WEBHOOK = StepKind("webhook", Webhook, _check_webhook)
AUDIENCE = StepKind("audience", Audience, _check_audience)
CALL = StepKind("call", Call, lay=_lay_call, contacts=True)
