"""Whoever asks what is kept of them reads it in their language, whatever table it is in."""

from sqlalchemy import Engine

from onevoice.engine.load import TABLES
from onevoice.privacy import stores
from onevoice.privacy.wording import WORDS


def test_every_personal_table_has_a_title_in_every_language(db: Engine) -> None:
    with db.connect() as connection:
        personal = {facts.name for facts in TABLES if stores.is_personal(facts)}
        personal |= {table.name for table in stores.personal_tables(connection)}
    for locale, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), locale
        assert personal <= words.keys(), (locale, personal - words.keys())
