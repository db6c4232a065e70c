# The one list of verbs. `make help` prints it; longer ones live in scripts/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

UV := .tools/uv/bin/uv
SERVICES := .envs/services
TRITON := .envs/triton
DEV := .envs/dev
EXPORTERS := .envs/exporters
# 10 GB more of libraries, of use to a GPU alone.
GPU := $(if $(shell command -v nvidia-smi),.envs/exporters-gpu,$(EXPORTERS))
SPLEETER := .envs/exporters-spleeter
KAFKA := .tools/kafka/.fetched
MINIO := .tools/minio/.built
TINY_MODELS := .cache/models/.made

export PYTHONUNBUFFERED := 1
# Handed over by the environment, so that a file name may hold quotes and spaces.
export SONG OUT MODEL PRESET NAME CHECKPOINT REPOSITORY PROFILE FACTS STACK RUNTIME WRITE

# --- running it -----------------------------------------------------------------------------

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: services $(if $(filter full,$(STACK)),servers) ## Separate a song end to end: SONG=file OUT=out MODEL=stemyard-mini [PRESET=karaoke] [STACK=full]
	@exec $(SERVICES)/bin/python -m stemyard demo $(if $(STACK),--stack "$$STACK") \
	  $(if $(SONG),--song "$$SONG") $(if $(OUT),--out "$$OUT") $(if $(PRESET),--preset "$$PRESET") \
	  $(if $(MODEL),--model "$$MODEL") $(if $(REPOSITORY),--repository "$$REPOSITORY")

.PHONY: up
up: services ## Start the stack and keep it up until Ctrl-C
	@exec $(SERVICES)/bin/python -m stemyard up $(if $(MODEL),--model "$$MODEL") $(if $(REPOSITORY),--repository "$$REPOSITORY")

.PHONY: stack
stack: services servers ## Start the full stack (Kafka, MinIO, two of each service) until Ctrl-C
	@exec $(SERVICES)/bin/python -m stemyard up --stack full $(if $(MODEL),--model "$$MODEL") \
	  $(if $(REPOSITORY),--repository "$$REPOSITORY")

.PHONY: doctor
doctor: ## Say what this machine lacks, and the command that installs it
	@scripts/doctor

# --- checking it ----------------------------------------------------------------------------

.PHONY: test
test: lint types contracts test-services test-exporters ## Lint, types, import contracts and every test

.PHONY: test-services
test-services: dev servers $(TRITON)/.synced $(TINY_MODELS) ## The tests of everything that runs without torch
	$(DEV)/bin/python -m pytest tests --ignore=tests/exporters --ignore=tests/training --ignore=tests/full $(SIDE_BY_SIDE)

# Most tests of services wait, for servers, leases and clocks, and most of the exporters keep one core
# busy: two files at a time, slow ones first.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-exporters
test-exporters: exporters exporters-spleeter $(TRITON)/.synced $(TINY_MODELS) ## The tests of the exporters and of training
	$(EXPORTERS)/bin/python -m pytest $(wildcard tests/exporters tests/training) $(SIDE_BY_SIDE)

$(TINY_MODELS): $(EXPORTERS)/.synced $(wildcard exporters/*.py exporters/*/*.py) stemcore/model_card.py
	scripts/tiny-models

.PHONY: test-full
test-full: dev exporters exporters-spleeter $(TRITON)/.synced ## What takes minutes by nature: the full-size models
	$(EXPORTERS)/bin/python -m pytest tests/full -o faulthandler_timeout=1830

.PHONY: lint
lint: dev ## ruff: rules and formatting
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .

.PHONY: types
types: dev exporters exporters-spleeter ## pyright: strict for the services, standard for what imports torch
	$(DEV)/bin/pyright
	$(DEV)/bin/pyright -p pyrightconfig.exporters.json
	$(DEV)/bin/pyright -p pyrightconfig.spleeter.json

.PHONY: contracts
contracts: dev ## import-linter: the three rings, and who may not import whom
	$(DEV)/bin/lint-imports

.PHONY: format
format: dev ## Let ruff repair and format
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

# --- models ---------------------------------------------------------------------------------

.PHONY: export
export: exporters $(if $(filter spleeter%,$(MODEL)),exporters-spleeter) ## MODEL=htdemucs CHECKPOINT=file NAME=name REPOSITORY=dir [PROFILE=cpu] [FACTS=file]
	$(EXPORTERS)/bin/python -m exporters export "$${MODEL:-htdemucs}" --checkpoint "$$CHECKPOINT" \
	  --name "$$NAME" --repository "$${REPOSITORY:-model_repository}" --profile "$${PROFILE:-cpu}" \
	  $(if $(FACTS),--facts "$$FACTS")

.PHONY: pull
pull: exporters $(if $(filter spleeter%,$(MODEL)),exporters-spleeter) $(TRITON)/.synced ## Fetch, export, verify, install and load MODEL=htdemucs [NAME=name] [REPOSITORY=dir]
	scripts/pull

.PHONY: verify
verify: exporters $(if $(filter spleeter%,$(NAME)),exporters-spleeter) ## NAME=name CHECKPOINT=file REPOSITORY=dir
	$(EXPORTERS)/bin/python -m exporters verify "$$NAME" --checkpoint "$$CHECKPOINT" \
	  --repository "$${REPOSITORY:-model_repository}"

.PHONY: models-verify
models-verify: dev $(TRITON)/.synced ## One table: model, engine, parity, size, speed: [REPOSITORY=dir] [WRITE=name]
	$(DEV)/bin/python -m bench.models_table --repository "$${REPOSITORY:-model_repository}" \
	  $(if $(WRITE),--write "$$WRITE")

.PHONY: train-mini
train-mini: exporters ## Train stemyard-mini again from seeds, six hours, and judge it
	$(EXPORTERS)/bin/python -m training prepare
	$(EXPORTERS)/bin/python -m training train
	$(EXPORTERS)/bin/python -m training train --run far --start .cache/training/mini.safetensors \
	  $(GOING_ON) --minutes 95 --far --workers 1 --excerpts 3
	$(EXPORTERS)/bin/python -m training train --run near --start .cache/training/far.safetensors \
	  $(GOING_ON) --minutes 85
	$(EXPORTERS)/bin/python -m training blend --run near --other mini --share 0.1
	$(EXPORTERS)/bin/python -m training publish --run blended
	$(EXPORTERS)/bin/python -m training evaluate

GOING_ON := --learning-rate 2e-3 --stem-weights 1.2 1.2 0.5 1.1

.PHONY: bench
bench: dev exporters $(TRITON)/.synced ## Measure speed and memory, and write bench/results/
	$(DEV)/bin/python -m bench.end_to_end mini
	$(DEV)/bin/python -m bench.end_to_end full
	$(EXPORTERS)/bin/python -m bench.engines htdemucs-full --repository .cache/bench/models \
	  --checkpoint .cache/bench/htdemucs-full.safetensors
	$(DEV)/bin/python -m bench.memory

.PHONY: bench-models
bench-models: dev exporters exporters-spleeter $(TRITON)/.synced ## Measure all engines, transports, batches and bags: two hours
	scripts/bench-models

.PHONY: bench-gpu
bench-gpu: $(GPU)/.synced ## Measure PyTorch, ONNX Runtime and TensorRT on this GPU: `not measured` without one
	$(GPU)/bin/python -m bench.gpu

.PHONY: bench-stack
bench-stack: dev servers $(TRITON)/.synced ## Measure the full stack against the one-machine stack
	$(DEV)/bin/python -m bench.stack
	$(DEV)/bin/python -m bench.faults

# --- environments ---------------------------------------------------------------------------

.PHONY: services dev exporters exporters-spleeter
services: $(SERVICES)/.synced $(TRITON)/.synced ## Install what `make demo` and `make up` need
dev: $(DEV)/.synced ## Install the services with their tests' tools
exporters: $(EXPORTERS)/.synced ## Install torch, Demucs and the exporters' tools
exporters-spleeter: $(SPLEETER)/.synced ## Install Spleeter with the TensorFlow that it needs

$(UV):
	scripts/bootstrap-uv

.envs/%/.synced: requirements/%.txt | $(UV)
	scripts/sync-environment $* $<

$(EXPORTERS)/.synced: requirements/exporters-demucs.txt | $(UV)
	scripts/sync-environment exporters $<

.PHONY: servers
servers: $(KAFKA) $(MINIO) ## Fetch Kafka (Maven) and build MinIO (Go), once, for the full stack

$(KAFKA): requirements/kafka.xml scripts/fetch-kafka
	scripts/fetch-kafka

$(MINIO): scripts/build-minio
	scripts/build-minio

.PHONY: lock
lock: $(UV) ## Lock requirements/*.in again, by hash, naming no host
	scripts/lock

.PHONY: tables
tables: dev ## Write the tables of docs/operations.md again, from the code
	$(DEV)/bin/python -m scripts.operations_tables

.PHONY: clean
clean: ## Remove caches, run-time directories and results; keep environments, servers, training
	rm -rf .stack out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	[ ! -d .cache ] || find .cache -mindepth 1 -maxdepth 1 ! -name training -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the environments, uv and the fetched servers as well
	rm -rf .envs .tools
