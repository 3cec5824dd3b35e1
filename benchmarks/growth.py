"""How the cost of each kind of condition grows: the benchmark `segments` at 1, 3, 10 and 30 million events.

The yardstick of each figure is the same kind at the smallest size; the ratio says how many times more it costs.
"""

from benchmarks import segments
from benchmarks.result import Result

SIZE = 30_000_000
"""Events of the largest; the others are a third, a tenth, a thirtieth of it."""


def run(size: int) -> list[Result]:
    """Kind by kind, milliseconds at each size."""
    sizes = [size // 30, size // 10, size // 3, size]
    by_size = [{one.name: one for one in segments.run(each)} for each in sizes]
    smallest = by_size[0]
    return [
        Result(
            f"growth/{name.removeprefix('segments/')}",
            one.input,
            one.figure,
            one.unit,
            f"at {sizes[0]:,} events",
            smallest[name].figure,
            one.packages,
        )
        for name in smallest
        for one in (found[name] for found in by_size)
    ]
