"""Arrays written for PostgreSQL by hand come back as they were."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from onevoice.database import driver
from onevoice.database.arrays import array

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS | st.sampled_from(["", "NULL", '"', '","', "\\", "{}", "a,b", " "]), max_size=6))
@example(['"'])
def test_any_texts_come_back(db: Engine, texts: list[str]) -> None:
    with db.connect() as connection, driver(connection) as raw:
        row = raw.execute("SELECT %s::text[]", (array(texts),)).fetchone()
    assert row == (texts,)
