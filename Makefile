# Every chore of this repository. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TARGET := wasm32-wasip2
WASM := target/$(TARGET)/release/provisioner.wasm
COMMAND := cloudevents-podgateway-client-provisioner
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock

# By way of the workspace, so that `make run` and `make test` share one build of every dependency.
BUILD_COMMAND := cargo build --workspace --bin $(COMMAND)

# What the command of `make run` gets: make run ARGS="--client-namespace=routed-clients"
ARGS ?=

##@ Try
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z\/0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(WASM) ## Run the provisioner with an embedded Kubernetes API and a broker (ARGS="--help" shows its flags)
	@echo "building the command: the first time takes some minutes"
	@$(BUILD_COMMAND) --quiet
	target/debug/$(COMMAND) $(ARGS)

##@ Build
.PHONY: build
build: $(WASM) ## Build the component and the command
	$(BUILD_COMMAND)

$(WASM): $(SOURCES) | wasm-target
	cargo build --package podgateway-client-provisioner --target $(TARGET) --release
	@touch $@

.PHONY: wasm-target
wasm-target:
	@rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || rustup target add $(TARGET)

.PHONY: size
size: $(WASM) ## Print the size of the component
	@printf '%s: %d KB (%d bytes)\n' $(notdir $(WASM)) $$(( ($$(stat -c %s $(WASM)) + 500) / 1000 )) $$(stat -c %s $(WASM))

##@ Check
.PHONY: test
test: $(WASM) ## Run the unit and the contract tests
	cargo test --workspace

# How much of it, from which seed, and for how long at most: make soak SOAK_EVENTS=50000 SOAK_SEED=1 SOAK_SECONDS=600
export SOAK_EVENTS SOAK_SEED SOAK_SECONDS
.PHONY: soak
soak: $(WASM) ## Minutes of events with faults at random; the ledger must balance (SOAK_EVENTS, SOAK_SEED, SOAK_SECONDS)
	cargo test --workspace --test soak

.PHONY: docs
docs: $(WASM) ## Write the documents anew that tests hold against what they prove
	UPDATE_DOCS=1 cargo test --workspace --test faults document

.PHONY: lint
lint: | wasm-target ## Check the formatting, and clippy for the host and for wasm
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --workspace --test soak -- --deny warnings
	cargo clippy --package podgateway-client-provisioner --target $(TARGET) --release -- --deny warnings

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
