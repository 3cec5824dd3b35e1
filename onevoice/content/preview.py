"""A template as one customer would see it, on each of its channels, with what is worth knowing beside it."""

from collections.abc import Mapping
from typing import Any

from onevoice.content.rendering import UntrackedLinks, render
from onevoice.content.templates import SavedTemplate
from onevoice.content.texting import sms
from onevoice.kernel.errors import InvalidInput
from onevoice.kernel.locales import direction


def preview(
    template: SavedTemplate, variables: Mapping[str, Any], locale: str, channel: str = ""
) -> list[dict[str, Any]]:
    """By channel: the locale chosen, its direction, the content, an SMS's parts; `problem` where it cannot be made.

    Raises NotFound for a channel the template lacks.
    """
    channels = [channel] if channel else list(dict.fromkeys(one.channel for one in template.variants))
    return [_one(template, variables, locale, one) for one in channels]


def _one(template: SavedTemplate, variables: Mapping[str, Any], locale: str, channel: str) -> dict[str, Any]:
    prepared = template.prepared(channel, locale)
    seen: dict[str, Any] = {
        "channel": channel,
        "locale": prepared.locale,
        "direction": direction(prepared.locale.split("-")[0]),
        "sender": prepared.brand.get("senders", {}).get(channel, "") or prepared.brand.get("name", ""),
    }
    try:
        content = {name: str(text) for name, text in render(prepared, variables, UntrackedLinks()).items()}
    except InvalidInput as error:
        return {**seen, "content": {}, "problem": error.message.splitlines()[0]}
    if channel == "email":
        seen["kilobytes"] = round(len(content["html"].encode()) / 1024, 1)
    if channel == "sms":
        text = sms(content["text"])
        seen["sms"] = {"characters": text.characters, "encoding": text.encoding, "parts": text.parts}
    return {**seen, "content": content}
