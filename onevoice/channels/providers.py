"""The providers of the settings' channels: a channel has one, or several in order of preference.

`[channels.email]` with `adapter = "..."` is one provider, named `email`. Several are `[channels.sms.main]` and
`[channels.sms.spare]`, each with its adapter, named `sms.main` and `sms.spare`; `[channels.sms]` with
`providers = ["main", "spare"]` says in which order they are tried, else it is the order of the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onevoice.channels.adapter import ChannelAdapter, build
from onevoice.kernel.errors import ConfigurationError


@dataclass(frozen=True)
class Provider:
    """One provider of a channel, with its adapter's settings."""

    name: str
    channel: str
    options: Mapping[str, Any]


def providers(channels: Mapping[str, Mapping[str, Any]]) -> dict[str, Provider]:
    """By name, those of one channel in order of preference. Raises ConfigurationError."""
    found = [provider for channel, options in channels.items() for provider in _of_channel(channel, options)]
    return {provider.name: provider for provider in found}


def built(channels: Mapping[str, Mapping[str, Any]]) -> dict[str, ChannelAdapter]:
    """Their adapters, by the provider's name. Raises ConfigurationError naming what is wrong."""
    return {name: build(provider.options, provider.channel) for name, provider in providers(channels).items()}


def _of_channel(channel: str, options: Mapping[str, Any]) -> list[Provider]:
    if "adapter" in options:
        return [Provider(channel, channel, options)]
    tables = {name: table for name, table in options.items() if isinstance(table, Mapping)}
    order = options.get("providers", list(tables))
    if not tables or not isinstance(order, list) or sorted(order) != sorted(tables):
        raise ConfigurationError(
            f"channels.{channel}: name an adapter, or the tables of its providers: "
            f"providers = [...], each with its [channels.{channel}.NAME]"
        )
    return [Provider(f"{channel}.{name}", channel, tables[name]) for name in order]
