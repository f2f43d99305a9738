# What a person does with a fresh clone; every target makes the environment in .venv first.
#
#   make demo            search for a network on the embedded data, and show what was found (a few minutes)
#   make test            the tests (minutes)          make test-slow   kills and long runs
#   make lint            ruff and mypy                make env         only the environment
#   make bench-overhead  what the search itself costs per trial
#   make bench-start    from the command to the first training step, beside bare Ray  (ARGS="--pairs 7")
#   make bench-mlflow    what MLflow costs a search, and how far behind it is
#   make bench-tpe       what a proposal of TPE costs as a search grows
#   make bench-training  the training loop against one written by hand     (RAYNAS_DATA, or ARGS="--data FILE")
#   make bench-agreement whether the ranking at a rung is the ranking at the end   (hours; ARGS="--images 2000" …)
#   make bench-share     what share of the cores' time a search spends in training  (RAYNAS_DATA, or ARGS="--data FILE")
#   make bench-images    what half an hour of searching on real images finds  (RAYNAS_DATA; hours; ARGS="--home FOLDER")
#   make bench-fit       what a search finds that is given nothing but data and a time  (RAYNAS_DATA; hours; ARGS="--home FOLDER")
#   make bench-more-trials  whether as many trials again find a better one  (RAYNAS_DATA; a minute)
#   make bench-search    strategies on tables of measured networks, in virtual time  (RAYNAS_DATA; ARGS="curves" …)
#
# PYTHON=python3.12 make env   takes another interpreter (3.10 or newer).

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help env demo test test-slow lint bench-overhead bench-mlflow bench-tpe bench-training bench-agreement bench-share bench-images bench-fit bench-search bench-more-trials bench-start clean

help:
	@sed -n 's/^#   //p' Makefile

env: .venv/stamp

# pyproject.toml names the dependencies and the commands: when it changes, the environment is brought up to it.
.venv/stamp: pyproject.toml .ci/make-env
	@bash .ci/make-env .venv
	@touch $@

demo: env
	@bash .ci/demo $(BIN)/raynas

# Two workers, one file each at a time: a file's tests share what they started.
test: env
	$(PYTEST) -m "not slow" -n 2 --dist loadfile

test-slow: env
	$(PYTEST) -m slow -n 2 --dist worksteal

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-overhead: env
	$(BIN)/python -m tests.bench.overhead

bench-start: env
	$(BIN)/python -m tests.bench.start $(ARGS)

bench-tpe: env
	$(BIN)/python -m tests.bench.tpe

bench-mlflow: env
	$(BIN)/python -m tests.bench.mlflow_overhead $(ARGS)

bench-training: env
	$(BIN)/python -m tests.bench.training $(ARGS)

bench-agreement: env
	$(BIN)/python -m tests.bench.agreement $(ARGS)

bench-share: env
	$(BIN)/python -m tests.bench.share $(ARGS)

bench-images: env
	$(BIN)/python -m tests.bench.images $(ARGS)

bench-fit: env
	$(BIN)/python -m tests.bench.fit $(ARGS)

bench-more-trials: env
	$(BIN)/python -m tests.bench.more_trials

bench-search: env
	$(BIN)/python -m tests.bench.search $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
