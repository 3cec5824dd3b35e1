"""Suggested merges: customers that may be one though no identifier joins them, such as a till's record and an account.

Weighs pairs of records by splink's Fellegi-Sunter model: each field that agrees or differs adds or takes match weight
(log2 of how much likelier that is among one person's records than among two people's). What is likely among strangers
(u) is estimated from the data itself; among one person's records (m) it is learnt from pairs that share an address,
or splink's defaults where there are too few. Nothing is merged here: a person decides (`suggestions`).
Source: Fellegi & Sunter 1969; moj-analytical-services.github.io/splink, "The Fellegi-Sunter model".
"""

import logging
from collections.abc import Collection
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import splink.comparison_level_library as level
import splink.comparison_library as compare
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from onevoice.customers.facts import ADDRESSES, IDENTIFIERS, PROFILES
from onevoice.customers.schemas import FieldEvidence, Suggestion
from onevoice.warehouse import Warehouse

LEAST_WEIGHT = 6.0
"""Match weight from which a pair is suggested: 64 to 1 for being one person."""

MOST = 10_000
"""Pairs a run suggests at the most, the likeliest; a person has to look at each."""

SEED = 20_261_124
SAMPLED_PAIRS = 1e6  # for what is likely among strangers
LEARNABLE_PAIRS = 1_000  # fewer that share an address teach chance, not people
SECOND_RECORDS = 0.1  # share of the records assumed to be somebody's second; the prior of a pair hangs on it
SHARED_ADDRESS = 1e-6  # of two strangers having one e-mail or number; a shop's own records are too few to show it

_FIELDS = ("first_name", "last_name", "email", "phone", "birthday", "postal_code", "city")

_BLOCKS = (
    # Only pairs that agree on one of these are looked at, so that the work does not grow with the square of records.
    ("email",),
    ("phone",),
    ("last_name", "postal_code"),
    ("last_name", "birthday"),
    ("first_name", "last_name", "city"),
)


def found(
    warehouse: Warehouse, refused: Collection[tuple[int, int]] = (), least_weight: float = LEAST_WEIGHT
) -> list[Suggestion]:
    """The pairs worth a person's look, the likeliest first; `refused` are pairs of identifiers that are not one.

    Pairs are weighed over all customers with a name or an address. Some 10,000 records take 2 seconds, a million about
    a minute.
    """
    records = warehouse.read(_records(warehouse))
    if records.num_rows < 2:
        return []
    barred = _as_customers(warehouse, refused)
    pairs = (_suggestion(row) for row in _weighed(records, least_weight))
    likeliest = sorted(pairs, key=lambda pair: (-pair.weight, pair.left, pair.right))
    return [pair for pair in likeliest if (pair.left, pair.right) not in barred][:MOST]


def _records(warehouse: Warehouse) -> ir.Table:
    """A row per customer, its fields as text in lower case."""
    profiles, addresses = warehouse.table(PROFILES), warehouse.table(ADDRESSES)

    def address(channel: str) -> ir.Table:
        here = addresses.filter(addresses.channel == channel)
        return here.group_by("customer_id").aggregate(address=here.address.max())

    def trait(*names: str) -> ir.StringValue:
        return ibis.coalesce(*(warehouse.json_value(profiles.traits, name) for name in names))

    people = profiles.select(
        "customer_id",
        first_name=profiles.first_name,
        last_name=profiles.last_name,
        birthday=trait("birthday", "date_of_birth").substr(0, 10),
        postal_code=trait("postal_code", "zip"),
        city=trait("city"),
    )
    for name, channel in (("email", "email"), ("phone", "sms")):
        known = address(channel).rename({name: "address"})
        people = people.left_join(known, "customer_id").drop("customer_id_right")
    cleaned = {name: people[name].strip().lower().nullif("") for name in _FIELDS}
    said = people.select(unique_id="customer_id", **cleaned)
    return said.filter(ibis.or_(said.last_name.notnull(), said.email.notnull(), said.phone.notnull()))


def _weighed(records: pa.Table, least_weight: float) -> list[dict[str, Any]]:
    logging.getLogger("splink").setLevel(logging.ERROR)  # it tells of every level that no pair showed
    with duckdb.connect() as connection:
        try:
            linker = _linker(connection, records)
            for name in ("email", "phone"):
                if _pairs(records[name]) >= LEARNABLE_PAIRS:
                    linker.training.estimate_parameters_using_expectation_maximisation(
                        block_on(name), record_sample_proportion=1.0
                    )
        except ValueError:  # an estimate came out as zero; a failed try leaves the model half made
            linker = _linker(connection, records)
        predicted = linker.inference.predict(threshold_match_weight=least_weight)
        rows: list[dict[str, Any]] = predicted.as_pyarrow_table().to_pylist()  # type: ignore[no-untyped-call]  # splink is half typed
        return rows


def _pairs(column: pa.ChunkedArray) -> int:
    """How many pairs of records have the same value."""
    times = column.drop_null().value_counts().field("counts").to_numpy()
    return int((times * (times - 1) // 2).sum())


def _linker(connection: duckdb.DuckDBPyConnection, records: pa.Table) -> Linker:
    """The model, with what is likely among strangers."""
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            compare.JaroWinklerAtThresholds("first_name", [0.92, 0.8]).configure(term_frequency_adjustments=True),
            compare.JaroWinklerAtThresholds("last_name", [0.92, 0.85]).configure(term_frequency_adjustments=True),
            _address("email"),
            _address("phone"),
            compare.DamerauLevenshteinAtThresholds("birthday", [1]),
            compare.ExactMatch("postal_code"),
            compare.ExactMatch("city").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[block_on(*block) for block in _BLOCKS],
        retain_intermediate_calculation_columns=True,
        probability_two_random_records_match=min(0.5, 2 * SECOND_RECORDS / records.num_rows),
    )
    linker = Linker(DuckDBAPI(connection=connection).register(records), settings, log_level=None)
    linker.training.estimate_u_using_random_sampling(max_pairs=SAMPLED_PAIRS, seed=SEED)
    return linker


def _address(column: str) -> compare.CustomComparison:
    """The same, one character off, another."""
    same = level.ExactMatchLevel(column).configure(u_probability=SHARED_ADDRESS, fix_u_probability=True)
    return compare.CustomComparison(
        [level.NullLevel(column), same, level.LevenshteinLevel(column, 1), level.ElseLevel()], output_column_name=column
    )


def _suggestion(row: dict[str, Any]) -> Suggestion:
    ids = row["unique_id_l"], row["unique_id_r"]
    sides = ("l", "r") if ids[0] < ids[1] else ("r", "l")
    evidence = tuple(
        FieldEvidence(
            name,
            row[f"{name}_{sides[0]}"],
            row[f"{name}_{sides[1]}"],
            row[f"mw_{name}"] + row.get(f"mw_tf_adj_{name}", 0.0),
        )
        for name in _FIELDS
    )
    weight = row["match_weight"]
    prior = weight - sum(one.weight for one in evidence)
    return Suggestion(min(ids), max(ids), weight, row["match_probability"], prior, evidence)


def _as_customers(warehouse: Warehouse, pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Pairs of identifiers as pairs of the customers they belong to now."""
    if not pairs:
        return set()
    identifiers = warehouse.table(IDENTIFIERS)
    asked = pa.table({"identifier_id": pa.array(sorted({one for pair in pairs for one in pair}), pa.int64())})
    staged = warehouse.stage("refused_pairs", asked)
    rows = warehouse.read(identifiers.semi_join(staged, "identifier_id").select("identifier_id", "customer_id"))
    now = dict(zip(rows["identifier_id"].to_pylist(), rows["customer_id"].to_pylist(), strict=True))
    both = ((now.get(left, left), now.get(right, right)) for left, right in pairs)
    return {(min(pair), max(pair)) for pair in both}
