"""How the cost of each kind of condition grows: the benchmark `segments` at 1, 3, 10 and 30 million events.

One line per kind: the figure at the largest size, the others in words. The yardstick is the figure at the size before,
times as many as there are more events: a ratio of 1 is a cost that grows as the events do.
"""

from benchmarks import segments
from benchmarks.result import Result

SIZE = 30_000_000
"""Events of the largest; the others are a third, a tenth, a thirtieth of it."""


def run(size: int) -> list[Result]:
    """Kind by kind, milliseconds at the largest size."""
    sizes = [size // 30, size // 10, size // 3, size]
    by_size = [{one.name: one for one in segments.run(each)} for each in sizes]
    before, largest = by_size[-2:]
    results = []
    for name, one in largest.items():
        steps = [f"{found[name].figure:,.3g} ms at {each:,}" for each, found in zip(sizes, by_size, strict=True)]
        expected = before[name].figure * size / sizes[-2]
        words = f"{', '.join(steps)} events"
        as_many = f"{size / sizes[-2]:.2g} times that at {sizes[-2]:,} events"
        name = f"growth/{name.removeprefix('segments/')}"
        results.append(Result(name, words, one.figure, one.unit, as_many, expected, one.packages))
    return results
