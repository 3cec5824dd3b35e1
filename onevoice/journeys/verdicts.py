"""What a journey's document asserts, and what a back-test has found of it, in words."""

from collections.abc import Mapping
from typing import Any

from onevoice.journeys.assertions import Assertion
from onevoice.journeys.sentences import Telling


def asserted(assertion: Assertion, locale: str = "en") -> str:
    """The assertion as a sentence."""
    tell = Telling(locale)
    if (messages := assertion.messages) is not None:
        return tell.phrase(f"assert_{messages.per}", messages=_messages(tell, messages.at_most, messages.channel))
    if (cost := assertion.cost) is not None:
        key = "assert_cost_person" if cost.per == "person" else "assert_cost"
        return tell.phrase(key, amount=tell.say.number(cost.at_most))
    if (entries := assertion.entries) is not None:
        limits = {"at_least": entries.at_least, "at_most": entries.at_most}
        said = [tell.say.phrase(k, n=tell.say.number(number)) for k, number in limits.items() if number is not None]
        return tell.phrase("assert_entries", limits=tell.listed(said))
    if (never := assertion.never) is not None:
        key = "assert_never_on" if never.channel else "assert_never"
        return tell.phrase(key, event=tell.name(never.after), channel=tell.term(never.channel or ""))
    return tell.phrase("assert_nobody_in", name=tell.name(assertion.nobody_in))


def found(assertion: Assertion, figures: Mapping[str, Any], locale: str = "en") -> str:
    """What was found (`figures`, see backtest/checks.py) as a sentence."""
    tell = Telling(locale)
    if assertion.cost is not None:
        if figures["cost"] is None:
            return tell.phrase("found_unpriced", channels=tell.listed(tell.term(one) for one in figures["unpriced"]))
        key = "found_cost_person" if assertion.cost.per == "person" else "found_cost"
        return tell.phrase(key, amount=tell.say.number(round(figures["cost"], 4)))
    if assertion.entries is not None:
        return tell.count("found_entries", figures["entered"])
    if assertion.nobody_in is not None:
        return tell.count("found_inside", figures["messages"]) if figures["messages"] else tell.phrase("found_nobody")
    people, most = figures["people"], figures["most"]
    if assertion.messages is not None:
        told = _messages(tell, most, assertion.messages.channel)
        return tell.count("found_over", people, most=told) if people else tell.phrase("found_most", most=told)
    if not people:
        return tell.phrase("found_nobody")
    return tell.count("found_after", people, most=tell.count("messages", most))


def _messages(tell: Telling, number: int, channel: str | None) -> str:
    messages = tell.count("messages", number)
    return tell.phrase("by_channel", messages=messages, channel=tell.term(channel)) if channel else messages
