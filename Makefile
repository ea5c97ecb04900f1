# Every task of this repository. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TARGET := wasm32-wasip2
WASM := target/$(TARGET)/release/provisioner.wasm
COMMAND := cloudevents-podgateway-client-provisioner
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock Makefile

# Where cargo builds: CARGO_TARGET_DIR or its configuration may name another directory than target/. The component is
# copied from there to the place that spin.toml and the Dockerfile name.
BUILT := $(or $(shell cargo metadata --format-version 1 --no-deps 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'),target)

# It builds the whole workspace, so that `make run` and `make test` share one build of every dependency.
BUILD_COMMAND := cargo build --workspace --bin $(COMMAND)

# Builds both at once: cargo locks the directories of the component and of the command separately. Each `+` shares make's job
# slots with cargo. If each cargo used all processors, the compilers would be in each other's way: 5 % more time.
PROCESSORS = $(shell getconf _NPROCESSORS_ONLN)
define BUILD
@$(MAKE) --no-print-directory --jobs=$(PROCESSORS) command $(WASM)
endef

define BUILD_COMPONENT
+cargo build --package podgateway-client-provisioner --target $(TARGET) --release
@[ $(BUILT)/$(TARGET)/release/provisioner.wasm -ef $(WASM) ] || \
	{ mkdir -p $(dir $(WASM)) && cp $(BUILT)/$(TARGET)/release/provisioner.wasm $(WASM); }
@touch $(WASM)
endef

# A real API server and its etcd for `make e2e`: those of KUBEBUILDER_ASSETS, or built from Go modules once. The rest of a
# control plane is not part of KUBEBUILDER_ASSETS, and is used if it is in the same directory.
KUBERNETES := target/kubernetes
KUBERNETES_VERSION = $(shell awk '$$1 == "k8s.io/kubernetes" {print $$2}' tests/kubernetes/go.mod)
ifdef KUBEBUILDER_ASSETS
SERVERS :=
CONTROL_PLANE :=
else
SERVERS := $(KUBERNETES)/kube-apiserver $(KUBERNETES)/etcd
CONTROL_PLANE := $(KUBERNETES)/kube-scheduler $(KUBERNETES)/kube-controller-manager $(KUBERNETES)/kwok
endif

# The image: docker, podman or buildah builds it, and any registry will do.
CONTAINER_TOOL ?= docker
REGISTRY ?= ghcr.io/podgateway
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)$(shell git diff --quiet HEAD -- 2>/dev/null || echo -dirty)
IMAGE ?= $(REGISTRY)/cloudevents-podgateway-client-provisioner:$(VERSION)
LOCAL_REGISTRY ?= localhost:5000
# The component is the same on every processor, but an image names one: BUILD_FLAGS="--platform linux/arm64".
BUILD_FLAGS ?=

# The component contains the paths of source files that can panic. These flags remove the part that depends on the machine, so
# that the same commit gives the same bytes everywhere.
CARGO_DIRECTORY := $(or $(CARGO_HOME),$(HOME)/.cargo)
RUST_SOURCES := $(shell rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust
RUST_COMMIT := $(shell rustc --version --verbose 2>/dev/null | sed -n 's/^commit-hash: //p')
# The linker pads every address to five bytes, so that it can be relocated. Compressing them saves a tenth of the component.
# Spin keeps the memory of as many instances as ever ran at once, so the stack is a sixteenth of the linker's mebibyte. An
# event needs less than 24 KiB of it, whatever it holds, because what isn't used is skipped without recursion. An answer of the
# API server with the deepest nesting that is read, 127 levels, needs less than 64 KiB.
# Inlining only small functions, even those that are marked for it, and unrolling only short loops makes the component 10 %
# smaller, and an event takes 4 % more instructions.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS := -C link-arg=--compress-relocations -C link-arg=-zstack-size=65536 \
	-C llvm-args=--inline-threshold=75 -C llvm-args=--inlinehint-threshold=100 -C llvm-args=--unroll-threshold=20 \
	--remap-path-prefix=$(CARGO_DIRECTORY)=/cargo \
	--remap-path-prefix=$(CARGO_DIRECTORY)/registry/src= \
	--remap-path-prefix=$(RUST_SOURCES)=/rustc/$(RUST_COMMIT)

# Tools for checks and the SBOM, kept below target/.
TOOLS := target/tools
CARGO_DENY := $(TOOLS)/bin/cargo-deny
CARGO_CYCLONEDX := $(TOOLS)/bin/cargo-cyclonedx

# The files of a release: `make release`.
DIST := dist
SBOM := $(DIST)/provisioner-$(VERSION).cdx.json
ARCHIVE := $(DIST)/cloudevents-podgateway-client-provisioner-$(VERSION).tar

# The flags of `make run`: make run ARGS="--client-namespace=routed-clients"
ARGS ?=

##@ Try
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z\/0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the provisioner with an embedded Kubernetes API and a broker (ARGS="--help" shows its flags)
	$(BUILD)
	$(BUILT)/debug/$(COMMAND) $(ARGS)

# The cluster that `make doctor` looks at.
KUBECONFIG := $(or $(KUBECONFIG),$(HOME)/.kube/config)

.PHONY: doctor
doctor: ## Check each gateway of a real cluster with a dry run (ARGS="--variable gateways=foo,bar")
	@$(BUILD_COMMAND) --quiet
	$(BUILT)/debug/$(COMMAND) --check --kubeconfig $(KUBECONFIG) $(ARGS)

##@ Build
.PHONY: build
build: ## Build the component and the command
	$(BUILD)

.PHONY: command
command:
	+$(BUILD_COMMAND)

.PHONY: component
component: | wasm-target ## Build the component alone, as `spin build` does
	$(BUILD_COMPONENT)

$(WASM): $(SOURCES) | wasm-target
	$(BUILD_COMPONENT)

.PHONY: wasm-target
wasm-target:
	@rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || rustup target add $(TARGET)

.PHONY: man
man: ## Write the command's manual page to target/man
	@$(BUILD_COMMAND) --quiet
	@mkdir -p target/man
	$(BUILT)/debug/$(COMMAND) --man >target/man/$(COMMAND).1

.PHONY: completions
completions: ## Write the command's completions for each shell to target/completions
	@$(BUILD_COMMAND) --quiet
	@mkdir -p target/completions
	@for shell in bash elvish fish powershell zsh; do \
		$(BUILT)/debug/$(COMMAND) --completions $$shell >target/completions/$(COMMAND).$$shell || exit 1; \
		echo target/completions/$(COMMAND).$$shell; done

.PHONY: size
size: $(WASM) ## Print the size of the component
	@printf '%s: %d KB (%d bytes)\n' $(notdir $(WASM)) $$(( ($$(stat -c %s $(WASM)) + 500) / 1000 )) $$(stat -c %s $(WASM))

##@ Publish
.PHONY: image
image: serviceaccount/clean component ## Build the container image (CONTAINER_TOOL=docker, podman or buildah)
	$(CONTAINER_TOOL) build $(BUILD_FLAGS) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --tag $(IMAGE) .

.PHONY: publish
publish: image ## Build the image and push it (IMAGE or REGISTRY says where to)
	$(CONTAINER_TOOL) push $(PUSH_FLAGS) $(IMAGE)

.PHONY: publish/local
publish/local: ## Build the image and push it to a registry on this machine (LOCAL_REGISTRY)
	$(MAKE) publish REGISTRY=$(LOCAL_REGISTRY) \
	  PUSH_FLAGS=$(if $(filter docker,$(notdir $(CONTAINER_TOOL))),,--tls-verify=false)

.PHONY: push/artifact
push/artifact: serviceaccount/clean component ## Push an OCI artifact instead of the image, with Spin
	spin registry push $(IMAGE)-artifact

# An artifact contains the files in these directories, and so would an image without .dockerignore. A token must never be
# published.
.PHONY: serviceaccount/clean
serviceaccount/clean:
	@found="$$(find serviceaccount oidc -mindepth 1 ! -path '*/README.md')"; \
	[ -z "$$found" ] || { echo "refusing to publish what may be a token; remove first:"; echo "$$found"; exit 1; } >&2

.PHONY: release
release: image $(SBOM) ## Write a release to dist/: the component, the image's archive, an SBOM and SHA256SUMS
	rm -f $(ARCHIVE)
	cp $(WASM) $(DIST)/provisioner-$(VERSION).wasm
	$(CONTAINER_TOOL) $(if $(filter buildah,$(notdir $(CONTAINER_TOOL))),push $(IMAGE) docker-archive:$(ARCHIVE):$(IMAGE),save --output $(ARCHIVE) $(IMAGE))
	cd $(DIST) && sha256sum $(notdir $(SBOM) $(ARCHIVE)) provisioner-$(VERSION).wasm >SHA256SUMS && cat SHA256SUMS

.PHONY: release/check
release/check: ## Check that TAG is this version's, and that the changelog has its notes
	@[ "$(TAG)" = "v$(VERSION)" ] || { echo "the tag is \"$(TAG)\", and Cargo.toml says $(VERSION)" >&2; exit 1; }
	@$(MAKE) --no-print-directory release/notes | grep -q . || { echo "CHANGELOG.md has no $(VERSION)" >&2; exit 1; }

.PHONY: release/notes
release/notes: ## Print the changelog's entry for this version
	@awk -v version="$(VERSION)" '/^## / {on = $$2 == version; next} on' CHANGELOG.md

.PHONY: sign
sign: ## Sign dist/SHA256SUMS and the pushed image, with cosign and without a long-lived key
	cosign sign-blob --yes --bundle $(DIST)/SHA256SUMS.sigstore.json $(DIST)/SHA256SUMS
	cosign sign --yes "$$($(CONTAINER_TOOL) inspect --format '{{index .RepoDigests 0}}' $(IMAGE))"

.PHONY: sbom
sbom: $(SBOM) ## Write an SBOM of the component to dist/ (CycloneDX)

# cargo-cyclonedx writes one SBOM for each package of the workspace, beside its Cargo.toml. The component's is the root's. The
# time is the commit's and the path is replaced, so that the same commit gives the same file.
$(SBOM): $(SOURCES) | $(CARGO_CYCLONEDX)
	@mkdir -p $(DIST)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(CARGO_CYCLONEDX) cyclonedx --quiet --target $(TARGET) --format json \
	  --spec-version 1.5 --override-filename component.cdx
	@sed 's|path+file://$(CURDIR)|path+file:///src|' component.cdx.json >$@
	@find . -name component.cdx.json -not -path './target/*' -delete

$(CARGO_CYCLONEDX):
	@echo "building cargo-cyclonedx: it takes about a minute"
	@CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
	  cargo install --quiet --locked --root $(TOOLS) --target-dir $(TOOLS)/build cargo-cyclonedx@0.5.9

##@ Check
.PHONY: test
test: ## Run the unit and the contract tests, and the model check
	$(BUILD)
	cargo test --workspace

.PHONY: e2e
e2e: $(WASM) examples servers $(CONTROL_PLANE) ## Test on a real kube-apiserver, in network namespaces, and the page in a browser (ARGS=webhooks runs some)
	@begin=$$SECONDS; $(BUILD_COMMAND) --test e2e --test network --test page && echo "$$((SECONDS - begin)) s  build of the tests"
	@begin=$$SECONDS; for test in e2e network page; do \
		cargo test --workspace --quiet --test $$test -- $(ARGS) || exit 1; done && echo "$$((SECONDS - begin)) s  tests"

.PHONY: examples
examples: $(WASM) ## Run the programs of examples/ against the command; it names a missing toolchain
	@begin=$$SECONDS; $(BUILD_COMMAND) --test examples && echo "$$((SECONDS - begin)) s  build of the command and the tests"
	@begin=$$SECONDS; cargo test --workspace --quiet --test examples -- $(ARGS) && echo "$$((SECONDS - begin)) s  examples"

.PHONY: servers
servers: $(SERVERS)
ifdef KUBEBUILDER_ASSETS
	@for name in kube-apiserver etcd; do [ -x "$$KUBEBUILDER_ASSETS/$$name" ] || { \
		echo "KUBEBUILDER_ASSETS is $$KUBEBUILDER_ASSETS, where there is no $$name" >&2; exit 1; }; done
endif

$(KUBERNETES)/kube-%: PACKAGE = k8s.io/kubernetes/cmd/$(notdir $@)
$(KUBERNETES)/etcd: PACKAGE := go.etcd.io/etcd/server/v3
$(KUBERNETES)/kwok: PACKAGE := sigs.k8s.io/kwok/cmd/kwok

# kwok needs another version of Kubernetes' libraries, so it has its own module.
MODULE = tests/kubernetes
$(KUBERNETES)/kwok: MODULE := tests/kwok
$(KUBERNETES)/kwok: tests/kwok/go.mod tests/kwok/go.sum

# Clients read the version, and refuse a server without one.
STAMP := k8s.io/component-base/version
LDFLAGS = -s -w -X $(STAMP).gitVersion=$(KUBERNETES_VERSION) -X $(STAMP).gitTreeState=clean \
	-X $(STAMP).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES_VERSION:v%=%))) \
	-X $(STAMP).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES_VERSION)))

$(KUBERNETES)/%: tests/kubernetes/go.mod tests/kubernetes/go.sum
	@command -v go >/dev/null || { \
		echo "make e2e needs a Kubernetes control plane: install Go 1.26 or newer to have it built, or set" \
			"KUBEBUILDER_ASSETS to a directory with a kube-apiserver and an etcd" >&2; exit 1; }
	@echo "building $(notdir $@): the first time takes some minutes"
	@begin=$$SECONDS; CGO_ENABLED=0 go build -C $(MODULE) -o ../../$@ -ldflags "$(LDFLAGS)" $(PACKAGE) && \
		touch $@ && echo "$$((SECONDS - begin)) s  build of $(notdir $@)"

# The duration of `make fuzz`, without building what it needs.
FUZZ_SECONDS ?= 300

.PHONY: fuzz
fuzz: ## Fuzz every target, FUZZ_SECONDS in all (default 300)
	tests/fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: fuzz/short
fuzz/short: ## Fuzz every target for a few seconds
	tests/fuzz/run.sh 20

# The number of events, and the time limit: make soak SOAK_EVENTS=50000 SOAK_SECONDS=600
export SOAK_EVENTS SOAK_SECONDS
.PHONY: soak
soak: $(WASM) ## Send events with random faults for minutes, and check every event and Pod (SOAK_EVENTS, SOAK_SECONDS)
	cargo test --workspace --test soak

# What `make bench` measures: BENCH=short takes about a minute; BENCH="full --apiserver" also uses a real API server;
# BENCH=gateways measures only what each gateway's webhook costs there.
BENCH ?= full

.PHONY: bench
bench: $(WASM) $(if $(filter --apiserver gateways,$(BENCH)),servers) ## Measure what an event costs (BENCH=short, gateways, "full --apiserver" or "full --target URL")
	cargo build --package bench --profile bench-host
	@ulimit -n $$(ulimit -Hn); $(BUILT)/bench-host/bench run $(BENCH)

.PHONY: bench/docs
bench/docs: ## Write the last results of `make bench` into docs/performance.md
	$(BUILT)/bench-host/bench docs

.PHONY: bench/baseline
bench/baseline: $(WASM) ## Accept what an event costs now as the baseline of its test
	UPDATE_BASELINE=1 cargo test --workspace --test guards

.PHONY: docs
docs: ## Regenerate the documents that tests generate
	UPDATE_DOCS=1 cargo test --workspace --test docs document

.PHONY: lint
lint: | wasm-target ## Check the formatting, and clippy for the host and for wasm
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --workspace --test e2e --test network --test page --test examples --test soak -- --deny warnings
	cargo clippy --package podgateway-client-provisioner --target $(TARGET) --release -- --deny warnings

# Known vulnerabilities are in a database on GitHub. If that can't be reached, the target checks the rest and says so; with
# ADVISORIES=required it fails.
ADVISORIES ?= if-reachable

# A licence that a crate has only as a text is read from that text.
.PHONY: deny
deny: $(CARGO_DENY) ## Check the dependencies: licences, duplicates, sources and, where they can be had, advisories
	$(CARGO_DENY) --workspace check --allow no-license-field bans licenses sources
	@twice="$$(cargo tree --package local --edges normal,build --duplicates --depth 0)" && \
		! grep -E '^wasm(parser|-encoder) ' <<<"$$twice" || \
		{ echo "host/Cargo.toml must give both the same features, or each is built twice"; exit 1; } >&2
	@if $(CARGO_DENY) --workspace fetch db 2>/dev/null; then \
		$(CARGO_DENY) --workspace check --disable-fetch advisories; \
	else \
		echo "ADVISORIES WERE NOT CHECKED: the database of known vulnerabilities can't be reached" >&2; \
		[ "$(ADVISORIES)" != required ]; \
	fi

$(CARGO_DENY):
	@.ci/cargo-deny $(TOOLS)

.PHONY: reproducible
reproducible: component ## Build the component a second time, elsewhere, and compare the bytes
	.ci/reproducible

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
