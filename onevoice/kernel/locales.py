"""The five locales OneVoice speaks, and the choice among them."""

LOCALES = ("en", "it", "ro", "id", "ar")
RIGHT_TO_LEFT = frozenset({"ar"})


def language(locale: str | None) -> str:
    """The language of a locale tag (`it-IT` → `it`), `en` where we do not speak it."""
    tag = (locale or "").replace("_", "-").split("-")[0].lower()
    return tag if tag in LOCALES else "en"


def negotiated(accept_language: str | None) -> str:
    """The best of our locales for an `Accept-Language` header (RFC 9110 §12.5.4), `en` if none fits."""
    wishes: list[tuple[float, str]] = []
    for part in (accept_language or "").split(","):
        tag, _, parameter = part.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        wishes.append((-weight, tag.split("-")[0].lower()))
    return next((tag for _, tag in sorted(wishes, key=lambda wish: wish[0]) if tag in LOCALES), "en")


def direction(locale: str) -> str:
    """`rtl` or `ltr`, as HTML's `dir` wants it."""
    return "rtl" if locale in RIGHT_TO_LEFT else "ltr"
