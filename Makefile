# make demo: dump a real Docker pool. make test: run the tests. make check: what CI asks, here.
# make release: build and check what is published, in dist. make api: the library's reference, in build.
# Each sets up what it needs in .venv, which needs python3 with venv, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
# The tests start hundreds of processes: each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE
IMAGE := fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz

.PHONY: demo test lint check docs api release clean

demo: .venv/installed
	@echo '$$ thinmeta dump $(IMAGE) | head -n 24'
	@$(BIN)/thinmeta dump $(IMAGE) | head -n 24

test: .venv/dev
	$(BIN)/pytest -q -n auto --dist worksteal

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/generate_docs.py --check

check: lint api test release

docs: .venv/dev
	$(BIN)/python tools/generate_docs.py

api: .venv/api
	$(BIN)/mkdocs build --quiet --strict --config-file tools/api/mkdocs.yml

release: .venv/release
	tools/release

clean:
	rm -rf .venv build dist

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "make: venv is missing: apt-get install python3-venv" >&2; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/installed

.venv/api: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[api]'
	@touch $@ .venv/installed

.venv/release: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@touch $@ .venv/installed
