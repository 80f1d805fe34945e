# Everything runs in .venv at the root; it is made on first use and again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-integration check bench

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing what pyproject.toml and constraints.txt name"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python codegen/generate.py
	@$(BIN)/python samples/demo.py

test: $(READY)
	@$(BIN)/python -m pytest -q

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python codegen/generate.py --check

# Starts Apache Kafka and Apicurio Registry (Java, no Docker) unless SDK_KAFKA__BOOTSTRAP_SERVERS and
# SDK_REGISTRY__URL name servers to use.
test-integration: $(READY)
	@$(BIN)/python -m pytest -q --timeout 180 tests/integration

# Writes its tables into benchmarks/README.md; publishing is measured on Apache Kafka (Java, no Docker).
bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/codec.py --write
	@$(BIN)/python benchmarks/codegen.py
	@$(BIN)/python benchmarks/publish.py --write
