"""Runs a benchmark: `python -m benchmarks NAME [--json] [--size N] [--rate N]`.

A benchmark is a module here with `run(size: int) -> list[Result]` and `SIZE`, its default input size; one that has a
default `RATE` too is run at a rate, `run(size, rate)`.
"""

import argparse
import dataclasses
import importlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.result import Result

NAMES = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in {"__init__", "__main__", "result"})


def main() -> None:
    """Parses the arguments, runs, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument("--size", type=int, help="input size; each benchmark has its default")
    parser.add_argument("--rate", type=float, help="events a second, of a benchmark that is run at a rate")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.{arguments.name}")
    if arguments.rate and not hasattr(module, "RATE"):
        parser.error(f"{arguments.name} is not run at a rate; leave --rate out")
    given = [arguments.size or module.SIZE, *([arguments.rate or module.RATE] if hasattr(module, "RATE") else [])]
    results: list[Result] = module.run(*given)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    if arguments.json:
        print(json.dumps([{**dataclasses.asdict(r), **machine, "versions": _versions(r)} for r in results], indent=1))
        return
    for result in results:
        print(
            f"{result.name}: {result.figure:,.4g} {result.unit} ({result.input}); "
            f"yardstick {result.yardstick}: {result.yardstick_figure:,.4g} {result.unit}; ratio {result.ratio:.3g}"
        )
    print(f"on {machine['cores']} cores; {', '.join(f'{k} {v}' for k, v in _versions(results[0]).items())}")


def _versions(result: Result) -> dict[str, str]:
    return {package: version(package) for package in ("onevoice", *result.packages)}


if __name__ == "__main__":
    main()
