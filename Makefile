# make demo    a candle shop on emulated channels; make demo ARGS="--for 20s" ends by itself
# make test    lint, types and the whole suite
# make crash   kill -9 two hundred times, power cuts, full disks, broken files: about ten minutes
# make simulate  planted bugs that must be found, three hundred fresh simulated worlds, and every one
#              that ever failed: ten minutes
# make bench   measure speed against floors and write bench/results.md: about half an hour
# make lint    lint and types alone
# make fuzz    ten minutes of fuzzing the parsers; make fuzz FUZZ_S=60 ends sooner
# make lock    renew both lock files (CONTRIBUTING.md)
# Each does the set-up that it needs, once: .venv, with what the lock files say.

PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?=
FUZZ_S ?= 600
BIN := .venv/bin

# Without what was compiled before, each of the many processes that tests start compiles it all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test crash simulate bench lint fuzz lock clean
.DELETE_ON_ERROR:

demo: .venv/.ready
	$(BIN)/stockpush demo $(ARGS)

# Much of a test is waiting: two processes take half the time.
test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

crash: .venv/.ready-dev
	$(BIN)/python -m pytest tests/crash -m "crash or not crash" -s $(PYTEST_ARGS)

# Every commit has seeds of its own, which anybody can run again: its first seven digits.
FROM ?= $(shell printf '%d' 0x$$(git rev-parse HEAD 2>/dev/null | cut -c1-7 | grep . || echo 1))
SEEDS ?= 300
# About six minutes on two cores with nothing else to do; what is not run by then fails.
MINUTES ?= 12

simulate: .venv/.ready-dev
	$(BIN)/python -m pytest tests/sim -m hunt -q
	$(BIN)/stockpush prove --worlds --sync ours --strict --seeds $(SEEDS) --minutes $(MINUTES) --from $(FROM)

bench: .venv/.ready-dev
	$(BIN)/python -m bench $(ARGS)

lint: .venv/.ready-dev
	$(BIN)/ruff check src tests fuzz bench
	$(BIN)/ruff format --check src tests fuzz bench
	$(BIN)/mypy

# Whichever way the environment was made, its packages come from one of these.
INSTALL = if $(BIN)/python -m pip --version >/dev/null 2>&1; then $(BIN)/python -m pip install -q "$$@"; \
	elif command -v uv >/dev/null 2>&1; then uv pip install -q --python $(BIN)/python "$$@"; \
	else $(PYTHON) -m pip --python $(BIN)/python install -q "$$@"; fi
SELF = --no-deps --no-build-isolation -e .

.venv/.ready: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Stock Push into .venv ..."
	@set -e; install() { $(INSTALL); }; \
	  install --require-hashes -r requirements.lock; install $(SELF)
	@touch $@

# The stamp of `demo` is touched too: what is needed for working contains what is needed to run.
.venv/.ready-dev: requirements-dev.lock requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Stock Push and what its tests need into .venv ..."
	@set -e; install() { $(INSTALL); }; \
	  install --require-hashes -r requirements-dev.lock; install $(SELF)
	@touch .venv/.ready $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Stock Push needs Python 3.11 or newer as $(PYTHON); name another with: make PYTHON=python3.12"; exit 1; }
	@if $(PYTHON) -m venv .venv >/dev/null 2>&1; then exit 0; fi; rm -rf .venv; \
	if command -v uv >/dev/null 2>&1 && uv venv -q --python $(PYTHON) .venv; then exit 0; fi; rm -rf .venv; \
	if $(PYTHON) -m pip --version >/dev/null 2>&1 && $(PYTHON) -m venv --without-pip .venv >/dev/null 2>&1; then exit 0; fi; rm -rf .venv; \
	echo "Python cannot make a virtual environment here. Type this, then try again:"; \
	if command -v apt-get >/dev/null 2>&1; then echo "  sudo apt-get install -y python3-venv"; \
	elif command -v dnf >/dev/null 2>&1; then echo "  sudo dnf install -y python3-pip"; \
	elif command -v apk >/dev/null 2>&1; then echo "  sudo apk add py3-pip"; \
	else echo "  curl -LsSf https://astral.sh/uv/install.sh | sh"; fi; exit 1

# The fuzzer is not among what tests need: it has no wheels for some platforms.
fuzz: build/fuzz/.ready
	PYTHONPATH=src:. build/fuzz/bin/python -m fuzz.parsers -max_total_time=$(FUZZ_S) -max_len=65536 \
	  -timeout=10 -rss_limit_mb=1024 -artifact_prefix=build/fuzz/ build/fuzz/corpus

build/fuzz/.ready: requirements.lock
	$(PYTHON) -m venv build/fuzz
	build/fuzz/bin/python -m pip install -q --require-hashes -r requirements.lock
	build/fuzz/bin/python -m pip install -q atheris
	@touch $@

# The configuration of pip on this machine is left aside, so that no mirror's address and no local
# build gets into a lock.
CLEAN_PIP = env -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS -u PIP_CONSTRAINT PIP_CONFIG_FILE=/dev/null
COMPILE = $(CLEAN_PIP) build/lock/bin/pip-compile -q --upgrade --generate-hashes --no-header --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --all-build-deps

lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	$(CLEAN_PIP) build/lock/bin/python -m pip install -q pip-tools==7.6.2
	$(COMPILE) --output-file=requirements.lock pyproject.toml
	$(COMPILE) --extra=dev --constraint=requirements.lock --output-file=requirements-dev.lock pyproject.toml

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
