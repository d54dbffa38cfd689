# The project's commands. Each is a script in hack/; `make help` lists them. Settings are given behind the command,
# e.g. `make up PLIMSOLL_PORT=8081`, and reach the scripts as environment variables.

.DEFAULT_GOAL := help
.PHONY: help up down test bench-line bench-rollout bench-service check lint mutants format generate requirements images cluster clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## from a bare machine to a served request: engine, images, kind cluster, operator, quickstart
	@hack/up.sh

down: ## remove what `make up` made; the cache stays
	@hack/down.sh

test: ## every tier, on a kind cluster of its own (KEEP=1 keeps it for the next run)
	@hack/test.sh

bench-line: ## how close to the line, and never over it: tests/bench/results/line.json
	@hack/bench.sh line

bench-rollout: ## a million requests through rollouts, drains, rotations: tests/bench/results/rollout.json; takes an hour
	@hack/bench.sh rollout

bench-service: ## CPU of a request through the whole stack ÷ on bare FastAPI: tests/bench/results/service.json, lifespan.json
	@hack/bench-service.sh

check: ## the fast loop, without Docker: lint, types, unit, property and chart tests
	@hack/check.sh

mutants: ## change the arithmetic in one place after the other, and list what no test notices; takes half an hour
	@hack/mutants.sh

lint: ## the fast loop's static half
	@hack/check.sh --static

format: ## rewrite what ruff can mend
	@hack/format.sh

generate: ## write the files that are made from others, such as the CRDs from their models
	@hack/generate.sh

requirements: ## write the pins with hashes from the ranges in the pyproject files
	@hack/generate.sh --requirements

images: ## build the project's images and what they stand on
	@hack/images.sh

cluster: ## an empty cluster called plimsoll, for trying things out
	@hack/cluster.sh

clean: ## `make down`, and remove every other cluster made here and the cache
	@hack/down.sh --clean
