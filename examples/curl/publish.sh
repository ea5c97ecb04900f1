#!/bin/sh
# Asks for a client of a gateway: publishes io.podgateway.client.pending to a Broker, in binary mode.
set -eu

usage() {
  echo "usage: publish.sh [--id ID] [--source SOURCE] GATEWAY [BROKER]" >&2
  echo "BROKER is the Broker's address, unless K_SINK is set" >&2
  exit 2
}

id='' source=/examples/curl
while [ $# -gt 0 ]; do
  case $1 in
    --id) [ $# -gt 1 ] || usage; id=$2; shift 2 ;;
    --source) [ $# -gt 1 ] || usage; source=$2; shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
[ $# -ge 1 ] && [ $# -le 2 ] || usage
gateway=$1 broker=${K_SINK:-${2:-}}
[ -n "$broker" ] || usage
[ -n "$id" ] || id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)

# Other characters would have to be encoded in a header or a JSON string, which a shell can't do well.
case $id$source$gateway in
  *[!A-Za-z0-9._~:/?#@!$\&*+,\;=-]*) echo "publish.sh: use letters, digits and ._~:/?#@!\$&*+,;=- only" >&2; exit 2 ;;
esac

if ! answer=$(curl --silent --show-error --max-time 60 --write-out '\n%{http_code}' \
  --header 'content-type: application/json' --header 'ce-specversion: 1.0' \
  --header 'ce-type: io.podgateway.client.pending' --header "ce-source: $source" --header "ce-id: $id" \
  --data "{\"gateway_name\": \"$gateway\"}" "$broker"); then
  echo "publish.sh: no answer from $broker. Send it again with --id $id --source $source: there will be one Pod" >&2
  exit 1
fi
status=$(echo "$answer" | tail -n 1)
case $status in
  2??) echo "published: id $id, source $source, gateway $gateway" ;;
  *) echo "publish.sh: $broker refuses the event: $status $(echo "$answer" | sed '$d')" >&2; exit 1 ;;
esac
