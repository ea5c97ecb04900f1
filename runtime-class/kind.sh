#!/usr/bin/env bash
# Makes a KinD cluster that runs Spin applications: fetches the shim, mounts it into the node, configures containerd, and
# applies the RuntimeClass. It needs kind, kubectl, curl, and docker or podman.
#
#   runtime-class/kind.sh            # a cluster "spin"
#   CLUSTER=other runtime-class/kind.sh
#   kind delete cluster --name spin
set -euo pipefail
cd "$(dirname "$0")"

cluster="${CLUSTER:-spin}"
version="${SHIM_VERSION:-v0.24.0}"
shim="containerd-shim-spin-v2"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/$shim/$version"

# The binary, once for all clusters. KinD's nodes have the architecture of this machine.
if [ ! -x "$cache/$shim" ]; then
  architecture="$(uname -m | sed 's/^arm64$/aarch64/')"
  mkdir -p "$cache"
  curl --fail --location --show-error --silent \
    "https://github.com/spinframework/containerd-shim-spin/releases/download/$version/$shim-linux-$architecture.tar.gz" |
    tar --extract --gzip --directory "$cache" "$shim"
fi

# One node, with the binary where containerd looks for it, and our fragment in containerd's configuration. On KinD's nodes that
# has `version = 2`, even with containerd 2: containerd-2.toml would remove runc's settings. A node image with containerd 1.6
# needs containerd-1.6.toml.
kind create cluster --name "$cluster" --wait 2m --config - <<EOF
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: $cache/$shim
        containerPath: /usr/local/bin/$shim
        readOnly: true
containerdConfigPatches:
  - |
$(sed 's/^/    /' containerd-1.toml)
EOF

kubectl --context "kind-$cluster" apply --filename runtime-class.yaml
echo "the cluster kind-$cluster runs Pods of the runtime class wasmtime-spin-v2"
