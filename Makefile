# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench docs lock clean

demo: .venv/run
	$(BIN)/onevoice demo $(ARGS)

test: .venv/test .venv/peers/ready lint
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test
	@for name in ingest segments tick send; do $(BIN)/python -m benchmarks $$name $(ARGS) || exit 1; done

# What runs: the locked dependencies and the package itself.
.venv/run: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# What the tests need on top: the checkers, chDB, the oracles.
.venv/test: requirements-test.lock .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	touch $@

# The vendors' clients and servers the tests run against: apart, since they want other versions than we do.
.venv/peers/ready: tests/peers/requirements.lock tests/peers/package-lock.json .venv/run
	test -x .venv/peers/bin/python || $(PYTHON) -m venv .venv/peers
	.venv/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/peers/requirements.lock
	cd tests/peers && npm ci --silent --no-audit --no-fund
	touch $@

# Writes the lock files anew; needs uv.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
		--extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
		--extra build --extra test pyproject.toml -c requirements.lock -o requirements-test.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
		tests/peers/requirements.in -o tests/peers/requirements.lock

clean:
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache tests/peers/node_modules
