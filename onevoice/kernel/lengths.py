"""Lengths of time as people write them in documents: `30 minutes`, `2 hours`, `3 days`, `1 week`."""

import re
from datetime import timedelta

_LENGTH = re.compile(r"(\d{1,7})\s*(minute|hour|day|week)s?", re.ASCII)


def length_of(text: str) -> timedelta | None:
    """The length that the text says; None where it says none."""
    found = _LENGTH.fullmatch(text.strip())
    return timedelta(**{f"{found[2]}s": int(found[1])}) if found else None
