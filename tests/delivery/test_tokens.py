"""Tracking tokens: short, and impossible to make up or to use for anything else."""

import re

from hypothesis import given
from hypothesis import strategies as st

from onevoice.delivery.tokens import Tokens, Use

TOKENS = Tokens(b"k" * 32)
NUMBERS = st.integers(0, 2**48 - 1)
LINKS = st.integers(0, 2**63 - 1)


@given(NUMBERS, st.sampled_from((Use.OPEN, Use.UNSUBSCRIBE, Use.TRAP)))  # the others' are longer, and made elsewhere
def test_a_message_token_reads_back_for_its_own_use_only(number: int, use: Use) -> None:
    token = TOKENS.message(number, use)
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", token)
    assert TOKENS.read_message(token, use) == number
    assert all(TOKENS.read_message(token, other) is None for other in Use if other is not use)
    assert TOKENS.read_click(token) is None


@given(NUMBERS, st.lists(LINKS, max_size=5))
def test_click_tokens_read_back_as_message_and_link(number: int, links: list[int]) -> None:
    tokens = [TOKENS.click(number, link) for link in links]
    assert [TOKENS.read_click(token) for token in tokens] == [(number, link) for link in links]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{28}", token) for token in tokens)


@given(NUMBERS, LINKS, st.integers(0, 27), st.sampled_from("Az09-_"))
def test_a_token_with_one_character_changed_is_not_ours(number: int, link: int, place: int, letter: str) -> None:
    token = TOKENS.click(number, link)
    changed = token[:place] + letter + token[place + 1 :]
    assert (TOKENS.read_click(changed) is None) == (changed != token)


@given(st.text(max_size=40))
def test_any_other_text_is_not_ours(text: str) -> None:
    assert TOKENS.read_click(text) is None
    assert all(TOKENS.read_message(text, use) is None for use in Use)


def test_another_installation_signs_differently() -> None:
    other = Tokens(b"o" * 32)
    assert other.read_message(TOKENS.message(7, Use.OPEN), Use.OPEN) is None
