"""Recommendations by `implicit` (an extra: `pip install 'onevoice[recommendations]'`): alternating least squares (Hu,
Koren and Volinsky 2008, ICDM) and item neighbours weighed by BM25. Shown against the default by `evaluation`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from onevoice.catalog.orders import kept
from onevoice.catalog.recommendations import SHOWN, Recommend
from onevoice.kernel.errors import ConfigurationError
from onevoice.warehouse import Warehouse

FACTORS = 64
NEIGHBOURS = 20
SEED = 1


def methods() -> dict[str, Recommend]:
    """The models by name. Raises ConfigurationError where `implicit` is not installed."""
    try:
        from implicit.als import AlternatingLeastSquares
        from implicit.nearest_neighbours import BM25Recommender
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ConfigurationError(
            "This needs the package implicit: install onevoice[recommendations]; the default needs nothing"
        ) from error
    calmly = partial(threadpool_limits, 1, "blas")  # the models bring their own threads
    return {
        "als": _recommend(lambda: AlternatingLeastSquares(FACTORS, random_state=SEED), calmly),
        "item_neighbours": _recommend(lambda: BM25Recommender(NEIGHBOURS), calmly),
    }


def _recommend(make: Callable[[], Any], calmly: Callable[[], AbstractContextManager[Any]]) -> Recommend:
    def recommend(warehouse: Warehouse, lines: ir.Table, customers: ir.Table, shown: int = SHOWN) -> ir.Table:
        """What they have bought may be named again: in a shop of groceries it mostly is."""
        bought = kept(lines)
        counts = bought.group_by("customer_id", "product_id").aggregate(n=bought.count())
        rows = warehouse.read(counts.order_by("customer_id", "product_id"))
        people, person = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)
        products, product = np.unique(rows["product_id"].to_numpy(zero_copy_only=False), return_inverse=True)
        if not len(products):
            return warehouse.stage("by_model", _told(people, products, np.empty((0, 0), int)))
        weights = rows["n"].to_numpy().astype("float32")
        matrix = csr_matrix((weights, (person, product)), (len(people), len(products)))
        model = make()
        with calmly():
            model.fit(matrix, show_progress=False)
        wanted = np.intersect1d(people, warehouse.read(customers.select("customer_id"))["customer_id"].to_numpy())
        places = np.searchsorted(people, wanted)
        found, scores = model.recommend(places, matrix[places], N=shown, filter_already_liked_items=False)
        found = np.where(scores > 0, found, -1)  # what fills the row up where there is no more to name
        return warehouse.stage("by_model", _told(wanted, products, found))

    return recommend


def _told(people: Any, products: Any, found: Any) -> pa.Table:
    owner = np.repeat(people, found.shape[1] if found.size else 0)
    place = np.tile(np.arange(found.shape[1]), len(people)) if found.size else np.empty(0, int)
    chosen = found.ravel()
    named = chosen >= 0
    return pa.table(
        {
            "customer_id": pa.array(owner[named], pa.int64()),
            "place": pa.array(place[named], pa.int64()),
            "product_id": pa.array([products[one] for one in chosen[named]], pa.string()),
        }
    )
