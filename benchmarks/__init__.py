"""Speed, measured: one file per benchmark, each with a yardstick run beside it. `python -m benchmarks NAME --json`."""
