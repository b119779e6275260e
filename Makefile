# Everything a person can do here. `make` alone lists it.

PYTHON ?= python3
VENV ?= .venv
TASK ?= glue
BACKEND ?=
ARGS ?=
# Processes that share the tests; 0 runs them in one, as a debugger needs it.
WORKERS ?= 2
# Images: those a run on this machine needs. On request: register, serve, preprocess-dataflow, train-gpu, train-tpu, train-jax-gpu
# and train-jax-tpu.
IMAGES ?= preprocess train evaluate export
PREFIX ?= bigbird
REGISTRY ?=
TAG = $(shell PYTHONPATH=model $(PYTHON) -m bigbird.version)

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := $(BIN)/uv --no-config --quiet pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate
LOCKS := build component preprocess model train train-gpu train-jax-gpu evaluate export register serve pipelines preflight
export UV_CUSTOM_COMPILE_COMMAND := make lock
# Each process computes on one thread: so many as there are processors would take them from each other. JAX compiles in half the
# time where it may leave the program slow.
PYTEST := TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# The installed project is what runs, whatever else this variable names.
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help install run test test-all test-docker bench lint docs compile recipes images push lock clean distclean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Build .venv from requirements/dev.lock (the others do so when it is needed)

run: $(STAMP) ## Run the whole pipeline on the sample: make run [TASK=glue|squad] [BACKEND=jax] [ARGS="--epochs 1"]
	$(BIN)/bigbird run --sample $(TASK) $(if $(BACKEND),--backend $(BACKEND)) $(ARGS)

test: $(STAMP) ## Run the tests that take seconds: make test [WORKERS=4] [ARGS="tests/test_layout.py -x"]
	$(PYTEST) -m "not slow and not integration" $(ARGS)

test-all: $(STAMP) ## Run all tests, whole pipelines too, in twenty minutes to three quarters of an hour: make test-all [WORKERS=4] [ARGS=...]
	$(PYTEST) $(ARGS)

test-docker: IMAGES += register serve train-tpu train-jax-tpu
test-docker: $(STAMP) images ## Run the tests of the images, on the local Docker engine
	$(BIN)/python -m pytest tests/docker --docker $(ARGS)

bench: $(STAMP) ## Measure speed: make bench [ARGS="--only preprocessing"]; writes benchmarks/results.md
	$(BIN)/python benchmarks/bench.py $(ARGS)

lint: $(STAMP) ## Check style and types with ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

# The variable silences a notice of the theme about another program.
docs: $(STAMP) ## Build the pages of docs/ as a site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "built build/site; to read it: $(BIN)/python -m http.server --directory build/site 8000"

compile: $(STAMP) ## Write the pipeline as YAML to build/finetune.yaml
	$(BIN)/bigbird compile --output build/finetune.yaml $(ARGS)

recipes: $(STAMP) ## List the recipes
	$(BIN)/bigbird recipes

images: ## Build the images: make images [IMAGES="train-gpu train-jax-tpu"] [PREFIX=bigbird]
	docker/build.sh $(PREFIX) "$(TAG)" $(IMAGES)

push: ## Push what `make images` built: make push REGISTRY=region-docker.pkg.dev/project/repository
	docker/push.sh $(PREFIX) "$(TAG)" "$(REGISTRY)" build/images.json $(IMAGES)

lock: $(STAMP) ## Resolve the locks anew: make lock [ARGS=--upgrade]
	$(LOCK) --extra dev --output-file requirements/dev.lock $(ARGS)
	for extra in $(LOCKS); do \
		$(LOCK) --extra $$extra --constraint requirements/dev.lock --output-file requirements/$$extra.lock $(ARGS) || exit 1; \
	done
	$(LOCK) --extra train-tpu --constraint requirements/component.lock --output-file requirements/train-tpu.lock $(ARGS)
	$(LOCK) --extra train-jax-tpu --constraint requirements/train.lock --output-file requirements/train-jax-tpu.lock $(ARGS)

clean: ## Delete caches and build products
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './$(VENV)' -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +

distclean: clean ## Delete .venv too; runs/ stays
	rm -rf $(VENV)

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
		"error: $(PYTHON) is Python %d.%d; expected 3.11, 3.12 or 3.13. Name another: make PYTHON=python3.11" % v)'
	@echo "Setting up $(VENV) from requirements/dev.lock. The first time downloads over 1 GB."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --require-hashes -r requirements/dev.lock -c requirements/dev.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@
