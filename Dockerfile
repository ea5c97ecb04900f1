# The component as a container image: what SpinKube's shim needs, and nothing else. There is no shell in it, no libc and
# no certificate; the shim on the node is what runs it.
FROM scratch

# Where the shim looks for the application, and the component at the path that spin.toml names.
COPY spin.toml /spin.toml
COPY target/wasm32-wasip2/release/provisioner.wasm /target/wasm32-wasip2/release/provisioner.wasm

# Three empty directories: the mount points of the service account and of the token for the sink, and Spin's own, which
# the shim could not make on a read-only root. The source is the same for all: .dockerignore leaves nothing in it, a token least of all. RUN can't
# make them, for there is no shell, and neither can WORKDIR, whose directory podman doesn't put into the image.
COPY serviceaccount /serviceaccount
COPY serviceaccount /oidc
COPY serviceaccount /.spin

# Paths in spin.toml are relative to the root.
WORKDIR /
# Never run, but without one containerd starts nothing.
ENTRYPOINT ["/spin.toml"]

# Spin would keep up to 2 MiB of every instance that there ever was at once, and never give it back. Without that an event
# in hand takes a quarter less, and memory goes down again after a burst: docs/operations.md, "Sizing".
ENV SPIN_WASMTIME_LINEAR_MEMORY_KEEP_RESIDENT=0

ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cloudevents-podgateway-client-provisioner" \
      org.opencontainers.image.description="Turns CloudEvents into Kubernetes Pods routed through a pod-gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/podgateway/cloudevents-podgateway-client-provisioner" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
