"""The prepared files hold all of the data, to the cent."""

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from onevoice.demo import retailer
from onevoice.demo.retailer import History
from onevoice.demo.wording import category_name, product_name, readable


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return retailer.prepare(tmp_path_factory.mktemp("history"))


def one(query: str) -> tuple[object, ...]:
    row = duckdb.connect().execute(query).fetchone()
    assert row is not None
    return row


def test_lines_baskets_and_sales_are_those_of_the_data(history: History) -> None:
    query = f"""SELECT count(*), count(DISTINCT order_id), count(DISTINCT household_id), sum(revenue),
                round(sum(revenue) / count(DISTINCT order_id), 2), min(discount) FROM '{history.order_lines}'"""

    lines, baskets, households, sales, aov, discount = one(query)

    assert (lines, baskets, households) == (1_469_307, 155_848, 2_469)
    assert sales == Decimal("4596039.58")
    assert aov == pytest.approx(29.49)
    assert discount == 0  # no negative amounts


def test_every_product_campaign_and_redemption_is_there_once(history: History) -> None:
    assert one(f"SELECT count(*), count(DISTINCT product_id), count(name) FROM '{history.products}'") == (92_331,) * 3
    assert one(f"SELECT count(*), count(DISTINCT event_id) FROM '{history.campaigns}'") == (6_589, 6_589)
    assert one(f"SELECT count(*), count(DISTINCT event_id) FROM '{history.redemptions}'") == (2_102, 2_102)
    assert one(f"SELECT count(*), count(age) FROM '{history.households}'") == (2_469, 801)


def test_a_smaller_demo_takes_whole_households_and_always_the_same(tmp_path: Path) -> None:
    taken = [household.id for household in retailer.households(40)]

    small = retailer.prepare(tmp_path, 40)

    assert [id for (id,) in duckdb.sql(f"SELECT household_id FROM '{small.households}'").fetchall()] == taken
    bought = one(f"SELECT count(DISTINCT household_id), max(ordered_at) FROM '{small.order_lines}'")
    assert bought[0] == 40
    assert taken == [household.id for household in retailer.households(40)]


def test_no_basket_is_later_than_the_simulation_begins() -> None:
    assert max(household.last_at for household in retailer.households()) < retailer.END


@pytest.mark.parametrize(
    ("till", "words"),
    [
        ("SFT DRNK 2 LITER BTL CARB INCL", "Soft drink 2 liter bottle sparkling"),
        ("CANDY BARS (SINGLES)(INCLUDING", "Candy bars"),
        ("POTATOES RUSSET (BULK&BAG)", "Potatoes russet"),
        ("EGGS - LARGE", "Eggs, large"),
        ("FITNESS&DIET", "Fitness and diet"),
    ],
)
def test_the_tills_abbreviations_become_words(till: str, words: str) -> None:
    assert readable(till) == words


def test_a_product_is_named_so_that_a_customer_knows_it() -> None:
    assert product_name("BEEF", "PRIMAL", None, "MEAT") == "Beef, primal"
    assert product_name("TROPICAL FRUIT", "BANANAS", "40 LB", "PRODUCE") == "Bananas"
    assert product_name("CHEESE", "SHREDDED CHEESE", "8 OZ", "GROCERY") == "Shredded cheese, 8 oz"
    assert product_name(None, None, None, "MISCELLANEOUS") == "Miscellaneous"
    assert category_name("COUPON/MISC ITEMS", "GASOLINE-REG UNLEADED", "FUEL") == "Fuel"
