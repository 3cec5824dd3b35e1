"""The locale is chosen as RFC 9110 says, among those we speak."""

import pytest

from onevoice.api.wording import WORDS
from onevoice.kernel.locales import LOCALES, direction, language, negotiated


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "en"),
        ("it-IT,it;q=0.9,en;q=0.8", "it"),
        ("de, ro;q=0.5, en;q=0.4", "ro"),
        ("ar;q=0.3, id;q=0.7", "id"),
        ("de;q=nonsense, fr", "en"),
    ],
)
def test_the_best_spoken_language_is_chosen(header: str | None, chosen: str) -> None:
    assert negotiated(header) == chosen


def test_tags_shrink_to_languages_we_speak() -> None:
    assert [language(tag) for tag in ("it_IT", "AR-eg", "de", None)] == ["it", "ar", "en", "en"]
    assert direction("ar") == "rtl" and direction("it") == "ltr"


def test_every_locale_has_every_word_of_the_page() -> None:
    assert set(WORDS) == set(LOCALES)
    for words in WORDS.values():
        assert set(words) == set(WORDS["en"])
        assert all(words.values())
