# Everything runs in .venv at the root. It is made on first use, updated when pyproject.toml changes,
# and made anew if its Python is too old or is not the one named by PYTHON=...
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

RECENT := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
NAMED := $(filter environment command,$(origin PYTHON))
USABLE := $(shell $(BIN)/python $(RECENT) 2>/dev/null \
	$(if $(NAMED),&& test "$$($(BIN)/python -V)" = "$$($(PYTHON) -V 2>&1)") && echo yes)

.PHONY: demo test test-integration test-accel fuzz accel check bench new-venv

ifneq ($(USABLE),yes)
$(READY): new-venv
endif

new-venv:
	@$(PYTHON) $(RECENT) 2>/dev/null || { echo "Python 3.11 or newer is needed, but $(PYTHON) is" \
		"$$($(PYTHON) -V 2>&1 || true); name another one: make PYTHON=python3.12"; exit 1; } >&2
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)

$(READY): pyproject.toml constraints.txt
	@echo "installing what pyproject.toml and constraints.txt name"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python codegen/generate.py
	@$(BIN)/python samples/demo.py

test: $(READY)
	@$(BIN)/python -m pytest -q -n auto

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python codegen/generate.py --check
	@$(BIN)/python docker/dashboards.py --check

# Starts Apache Kafka and Apicurio Registry (Java, no Docker) unless SDK_KAFKA__BOOTSTRAP_SERVERS and
# SDK_REGISTRY__URL name servers to use.
test-integration: $(READY)
	@$(BIN)/python -m pytest -q --timeout 180 tests/integration

# Builds the native executor, which nothing needs, where a C compiler and Python's headers are there.
accel: $(READY)
	@accel/install $(BIN)/python

# The native executor's own tests, and every test in which codecs run, on each executor.
test-accel: accel
	@SDK_ACCEL=require $(BIN)/python -m pytest -q -n auto tests/accel tests/unit/avro tests/unit/serialization

# Compares all executors that are installed: on so many random (schema pair, event) cases, and for
# each on so many mutated payloads. 100,000 cases with ten payloads each take about an hour.
CASES ?= 1000
PAYLOADS ?= 10
fuzz: $(READY)
	@CODEC_EXAMPLES=$(CASES) CODEC_MUTATIONS=$(PAYLOADS) HYPOTHESIS_PROFILE=explore \
		$(BIN)/python -m pytest -q -n auto -o timeout=0 tests/unit/avro/test_agreement.py

# Writes its tables into benchmarks/README.md; servers are Apache Kafka and PostgreSQL (no Docker).
bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/codec.py --write
	@$(BIN)/python benchmarks/codegen.py
	@$(BIN)/python benchmarks/publish.py --write
	@$(BIN)/python benchmarks/consume.py --write
	@$(BIN)/python benchmarks/outbox.py --write
