# make train   install, draw the demo photos, fine-tune on them
# make test    install and run the tests
# Anything else: make train CONFIG=configs/flower/resnet50_flower.py DATA=data/mine ARGS="--seed 1"

PYTHON ?= python3
CONFIG ?= configs/flower/demo_flower.py
DATA ?=
ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
DOCS_BIN := .venv-docs/Scripts
else
BIN := .venv/bin
DOCS_BIN := .venv-docs/bin
endif
PY := $(BIN)/python
DEMO := data/demo

.PHONY: train test test-all test-nightly test-versions docs lint format lock clean demo

train: .venv/installed $(if $(findstring demo_flower,$(CONFIG)),$(if $(DATA),,$(DEMO)/dataset.json))
	@$(PY) tools/train.py $(CONFIG) $(if $(DATA),--data-root "$(DATA)") $(ARGS)

# Each worker takes one half of the files, and of the other what is left.
PYTEST := $(PY) -m pytest -n auto --dist worksteal
test: .venv/installed-dev
	$(PYTEST) $(ARGS)

# Besides, as CI does, one of 30 parts of the nightly tests: another one for
# each commit. `make test-all SLICE=7/30` runs the seventh.
SLICE ?= $(shell git rev-list --count HEAD 2> /dev/null || date +%j)/30
test-all: .venv/installed-dev
	$(PYTEST) --durations=25 --nightly-slice $(SLICE) $(ARGS)

# Every backbone family of MMPretrain. One process: they need the memory.
test-nightly: .venv/installed-dev
	$(PY) -m pytest -m nightly $(ARGS)

# Other versions of Python, torch and MM*, each in an environment of its own.
test-versions: .venv/installed-dev
	$(PY) -m benchmarks.versions --every

demo: $(DEMO)/dataset.json

$(DEMO)/dataset.json: | .venv/installed
	@$(PY) tools/make_demo.py --out data/demo_photos
	@$(PY) tools/prepare_dataset.py data/demo_photos --out $(DEMO) --how link --overwrite

.venv/installed: requirements.lock setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(PY) -c "open('$@', 'w')"

.venv/installed-dev: .venv/installed requirements-dev.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(PY) -c "open('$@', 'w')"

# The documentation site, into site/. It imports nothing of flower_mm, so that
# its environment needs no PyTorch.
docs: .venv-docs/installed
	$(DOCS_BIN)/mkdocs build --strict

.venv-docs/installed: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	$(DOCS_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.lock
	@$(DOCS_BIN)/python -c "open('$@', 'w')"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --upgrade \
	--override requirements-override.in
lock: .venv/installed-dev
	$(UV) setup.cfg requirements.in --output-file requirements.lock
	$(UV) setup.cfg requirements.in --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	$(UV) requirements-docs.in --output-file requirements-docs.lock

# Runs, photos and weights stay.
clean:
	rm -rf .venv .venv-docs site build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info flower_mm/.mim
	find . -name __pycache__ -prune -exec rm -rf {} +
