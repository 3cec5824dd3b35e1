"""Soft opt-in: where the law lets a shop write to its customers because of a purchase, until they say no.

The table is `soft_opt_in.yaml`, each row with its source; a country or channel that is not in it has none. Not legal
advice.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import yaml

from onevoice.kernel.errors import InvalidInput

ORDER, SIMILAR, OFFERED = "order_id", "similar_goods", "opt_out_offered"
"""What a soft opt-in's evidence must hold: the purchase, and that goods and collection were as the law wants."""


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one country's law allows."""

    country: str  # ISO 3166 alpha-2
    channels: tuple[str, ...]  # empty: none, only consent will do
    rule: str  # the law
    source: str  # where we read it
    months: int | None = None  # it lapses so long after the purchase; None: no such limit found
    note: str = ""


@cache
def limits() -> dict[str, Limit]:
    """The table, by country."""
    text = resources.files(__package__).joinpath("soft_opt_in.yaml").read_text("utf-8")
    return {limit.country: limit for limit in msgspec.convert(yaml.safe_load(text), list[Limit])}


def allowed(channel: str) -> dict[str, int | None]:
    """The countries where a purchase is enough on the channel, each with the months it lasts."""
    return {limit.country: limit.months for limit in limits().values() if channel in limit.channels}


def check(country: str, channel: str, evidence: Mapping[str, Any]) -> None:
    """Raises InvalidInput saying what is missing for a soft opt-in there."""
    if country.upper() not in allowed(channel):
        raise InvalidInput(
            f"There is no soft opt-in for {channel} in {country or 'a country that is not known'}; ask for consent. "
            "docs/reference/soft-opt-in.md says where there is one"
        )
    if not evidence.get(ORDER):
        raise InvalidInput(f"A soft opt-in needs a purchase; name it in the evidence as {ORDER}")
    for name, what in (
        (SIMILAR, "the topic is about goods like those bought"),
        (OFFERED, "refusing was offered when the address was taken"),
    ):
        if evidence.get(name) is not True:
            raise InvalidInput(f"A soft opt-in needs `{name}: true` in its evidence: that {what}")
