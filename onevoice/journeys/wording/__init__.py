"""The words that say why somebody got a message, did not, or not yet: one file per locale, each with the same keys."""

from collections.abc import Mapping
from typing import Any

from onevoice.journeys.wording import ar, en, id, it, ro
from onevoice.kernel.locales import language

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": en.WORDS,
    "it": it.WORDS,
    "ro": ro.WORDS,
    "id": id.WORDS,
    "ar": ar.WORDS,
}


def sentence(locale: str, outcome: str, reason: str, channel: str, seen: Mapping[str, Any]) -> str:
    """What was decided and why, in plain words. A reason that has no words is named as it is."""
    words = WORDS[language(locale)]
    values = {**_BLANK, **seen, "channel": channel, "reason": reason}
    values["caps"] = ", ".join(f"{cap}: {sent}" for cap, sent in seen.get("caps", {}).items())
    values["winner"] = seen.get("winner") or ""
    clause = words.get(reason, words["other"]).format(**values)
    return words[outcome if channel else "none"].format(**values, why=clause)


_BLANK = dict.fromkeys(
    ("suppressed", "consent", "cap_until", "gap_until", "time_zone", "quiet_until", "put_off_at", "until"), "?"
)
