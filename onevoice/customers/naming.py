"""How far a source can be believed when it says that two identifiers are one customer."""

from collections.abc import Mapping

from onevoice.customers.identifiers import CLAIMED, DEVICE, PROVEN, TRUSTS, Identifier, Rules, SourceRules

UNIDENTIFIED = "unidentified"
"""The namespace of an event that nothing names; its value is the event's id."""

BELIEVED = ("till", "server", "import")
"""Kinds of source whose write key is no secret of the browser's or the app's: what they say was checked by the shop."""

SHARED = "till"
"""The kind of source whose devices many people use."""


def trust(left: Identifier, right: Identifier, source_kind: str, source: SourceRules, rules: Rules) -> str | None:
    """The trust of a link, the weakest of source and both namespaces; None where it must not be made."""
    ends = (rules.of(left.namespace).trust, rules.of(right.namespace).trust)
    if DEVICE in ends and (source.shared or source_kind == SHARED):
        return None
    said = PROVEN if source.proven or source_kind in BELIEVED else CLAIMED
    return max(said, *ends, key=TRUSTS.index)


def country_of(traits: Mapping[str, str]) -> str:
    """The country that traits say, as ISO 3166 alpha-2; empty where they say none."""
    told = traits.get("country", "").strip().upper()
    return told if len(told) == 2 and told.isalpha() else ""
