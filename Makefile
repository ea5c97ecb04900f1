# Every chore of this repository. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TARGET := wasm32-wasip2
WASM := target/$(TARGET)/release/provisioner.wasm
COMMAND := cloudevents-podgateway-client-provisioner
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock

# By way of the workspace, so that `make run` and `make test` share one build of every dependency.
BUILD_COMMAND := cargo build --workspace --bin $(COMMAND)

# A real API server and its etcd, for `make e2e`: those of KUBEBUILDER_ASSETS, or built from Go modules once.
KUBERNETES := target/kubernetes
KUBERNETES_VERSION = $(shell awk '$$1 == "k8s.io/kubernetes" {print $$2}' tests/kubernetes/go.mod)
ifdef KUBEBUILDER_ASSETS
SERVERS :=
else
SERVERS := $(KUBERNETES)/kube-apiserver $(KUBERNETES)/etcd
endif

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

# The cluster that `make doctor` looks at.
KUBECONFIG ?= $(HOME)/.kube/config

.PHONY: doctor
doctor: ## Say for each gateway of a real cluster what would become of a client (ARGS="--variable gateways=foo,bar")
	@$(BUILD_COMMAND) --quiet
	target/debug/$(COMMAND) --check --kubeconfig $(KUBECONFIG) $(ARGS)

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

.PHONY: e2e
e2e: $(WASM) servers ## Test against a real kube-apiserver (ARGS="--nocapture webhooks" for some, and to read along)
	@begin=$$SECONDS; $(BUILD_COMMAND) --test e2e && echo "$$((SECONDS - begin)) s  build of the tests"
	@begin=$$SECONDS; cargo test --workspace --quiet --test e2e -- $(ARGS) && echo "$$((SECONDS - begin)) s  tests"

.PHONY: servers
servers: $(SERVERS)
ifdef KUBEBUILDER_ASSETS
	@for name in kube-apiserver etcd; do [ -x "$$KUBEBUILDER_ASSETS/$$name" ] || { \
		echo "KUBEBUILDER_ASSETS is $$KUBEBUILDER_ASSETS, where there is no $$name" >&2; exit 1; }; done
endif

$(KUBERNETES)/kube-apiserver: PACKAGE := k8s.io/kubernetes/cmd/kube-apiserver
$(KUBERNETES)/etcd: PACKAGE := go.etcd.io/etcd/server/v3

# Clients read the version, and refuse a server that has none.
STAMP := k8s.io/component-base/version
LDFLAGS = -s -w -X $(STAMP).gitVersion=$(KUBERNETES_VERSION) -X $(STAMP).gitTreeState=clean \
	-X $(STAMP).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES_VERSION:v%=%))) \
	-X $(STAMP).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES_VERSION)))

$(KUBERNETES)/%: tests/kubernetes/go.mod tests/kubernetes/go.sum
	@command -v go >/dev/null || { \
		echo "make e2e needs a kube-apiserver and an etcd: install Go 1.24 or newer to have them built," \
			"or set KUBEBUILDER_ASSETS to a directory that holds both" >&2; exit 1; }
	@echo "building $(notdir $@): the first time takes some minutes"
	@begin=$$SECONDS; CGO_ENABLED=0 go build -C tests/kubernetes -o ../../$@ -ldflags "$(LDFLAGS)" $(PACKAGE) && \
		touch $@ && echo "$$((SECONDS - begin)) s  build of $(notdir $@)"

.PHONY: lint
lint: | wasm-target ## Check the formatting, and clippy for the host and for wasm
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --workspace --test e2e -- --deny warnings
	cargo clippy --package podgateway-client-provisioner --target $(TARGET) --release -- --deny warnings

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
