#!/bin/sh
# A Helm post-renderer for the chart pod-gateway: limits the gateway's webhook to the clients of this gateway.
#
#   helm upgrade --install pod-gateway-foo angelnu/pod-gateway ... --values deploy/pod-gateway-foo-values.yaml \
#     --post-renderer deploy/own-clients.sh --post-renderer-args setGateway=foo
#
# The argument is the label of the gateway's clients: gatewayLabel and gatewayLabelValue of the values. Helm doesn't store a
# post-renderer with a release: name it at every upgrade, or the upgrade removes the selector. It needs kubectl.
set -eu
case ${1-} in ?*=?*) ;; *) echo "own-clients.sh: name the label of the gateway's clients: setGateway=foo" >&2; exit 1 ;; esac
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cat >"$directory/chart.yaml"
grep -q '^kind: MutatingWebhookConfiguration$' "$directory/chart.yaml" ||
  { echo "own-clients.sh: the chart has no MutatingWebhookConfiguration" >&2; exit 1; }
cat >"$directory/kustomization.yaml" <<END
resources: [chart.yaml]
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |
      - {op: add, path: /webhooks/0/objectSelector, value: {matchLabels: {"${1%%=*}": "${1#*=}"}}}
END
kubectl kustomize "$directory"
