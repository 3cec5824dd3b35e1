"""Channels of a new name that other packages bring: what each says of itself, by its adapter's entry point.

The adapter is the plug-in's one file, so what templates of the channel consist of and which trait is the customer's
address stand on its class: `template_fields`, `optional_fields`, `address_trait` (see channels/adapter.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

GROUP = "onevoice.channels"
"""The group of the entry points that name adapters."""


@dataclass(frozen=True)
class Brought:
    """A channel as its adapter describes it."""

    channel: str
    template_fields: tuple[str, ...]
    optional_fields: tuple[str, ...]
    address_trait: str  # empty: none, so the channel is reached where something else gives an address


@cache
def channels() -> Mapping[str, Brought]:
    """By name; an adapter of a channel that is known already describes none."""
    found = {}
    for point in entry_points(group=GROUP):
        if point.module.partition(".")[0] == "onevoice":
            continue
        adapter = point.load()
        fields = tuple(getattr(adapter, "template_fields", ()))
        if fields:
            optional = tuple(getattr(adapter, "optional_fields", ()))
            trait = str(getattr(adapter, "address_trait", ""))
            found[adapter.channel] = Brought(adapter.channel, fields, optional, trait)
    return found
