"""Rows of a batch on their way into the warehouse, as Arrow tables."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from onevoice.warehouse import Facts

Row = tuple[object, ...]
"""A row in the order of its table's columns; where the table has a customer, the identifier stands in its place."""


def as_table(facts: Facts, rows: Sequence[Row], customers: Mapping[int, int]) -> pa.Table:
    """Rows as an Arrow table of the table's types, with the customer of each row's identifier filled in."""
    schema = facts.schema.to_pyarrow()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = []
    for column, at in zip(columns, schema, strict=True):
        if at.name == "customer_id":
            arrays.append(pa.array([customers[i] for i in column], at.type))
        elif pa.types.is_decimal(at.type):
            arrays.append(pc.cast(pa.array(column, pa.float64()), at.type))
        else:
            arrays.append(pa.array(column, at.type))
    return pa.table(arrays, schema=schema)
