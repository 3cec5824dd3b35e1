"""The words of journeys, one file per locale, each with the same keys: `WORDS` say why somebody got a message, did not,
or not yet; `PHRASES`, `COUNTS` (in the plural forms of the language, as CLDR has them) and `TERMS` tell of a journey
and of what a new version changes (sentences.py)."""

from collections.abc import Mapping
from typing import Any

from onevoice.journeys.wording import ar, en, id, it, ro
from onevoice.kernel.locales import language

_TONGUES = {"en": en, "it": it, "ro": ro, "id": id, "ar": ar}

WORDS: Mapping[str, Mapping[str, str]] = {tongue: words.WORDS for tongue, words in _TONGUES.items()}
PHRASES: Mapping[str, Mapping[str, str]] = {tongue: words.PHRASES for tongue, words in _TONGUES.items()}
COUNTS: Mapping[str, Mapping[str, dict[str, str]]] = {tongue: words.COUNTS for tongue, words in _TONGUES.items()}
TERMS: Mapping[str, Mapping[str, str]] = {tongue: words.TERMS for tongue, words in _TONGUES.items()}


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
