"""What the settings tell the checks before launch: prices and senders by channel."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from onevoice.channels.providers import providers
from onevoice.content.checks import Circumstances


def circumstances(
    channels: Mapping[str, Mapping[str, Any]],
    audience: Mapping[str, Any] | None = None,
) -> Circumstances:
    """What is known of the audience (as the engine's question of that name answers) and of each channel's provider."""
    prices: dict[str, Decimal] = {}
    senders: dict[str, str] = {}
    for provider in providers(channels).values():  # the first of each channel is the preferred one
        try:
            prices.setdefault(provider.channel, Decimal(str(provider.options.get("price", "0"))))
        except InvalidOperation:
            continue  # the adapter says so when it is made
        senders.setdefault(provider.channel, str(provider.options.get("sender", "")))
    known = audience or {"customers": [], "locales": {}}
    return Circumstances(known["customers"], known["locales"], prices, senders)
