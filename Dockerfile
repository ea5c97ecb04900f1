# The component as a container image: what SpinKube's shim needs, and nothing else. It has no shell, no libc and no
# certificate. The shim on the node runs it.
FROM scratch

# The shim reads /spin.toml, which names the path of the component.
COPY spin.toml /spin.toml
COPY target/wasm32-wasip2/release/provisioner.wasm /target/wasm32-wasip2/release/provisioner.wasm

# Three empty directories: the mount points of the service account and of the token for the sink, and Spin's own, which the
# shim can't make on a read-only root. All have the same source, which .dockerignore leaves empty, so that no token gets into
# the image. RUN can't make them, because there is no shell, nor can WORKDIR, whose directory podman leaves out of the image.
COPY serviceaccount /serviceaccount
COPY serviceaccount /oidc
COPY serviceaccount /.spin

# Paths in spin.toml are relative to the root.
WORKDIR /
# It is never run, but containerd starts nothing without one.
ENTRYPOINT ["/spin.toml"]

# By default Spin keeps up to 2 MiB of as many instances as ever ran at once, and never frees it. With 0 an event takes a
# quarter less memory, and memory is freed after a burst: docs/operations.md, "Sizing".
ENV SPIN_WASMTIME_LINEAR_MEMORY_KEEP_RESIDENT=0

ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cloudevents-podgateway-client-provisioner" \
      org.opencontainers.image.description="Turns CloudEvents into Kubernetes Pods routed through a pod-gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/podgateway/cloudevents-podgateway-client-provisioner" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
