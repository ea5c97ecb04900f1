#!/bin/sh
# Ends a client: publishes io.podgateway.client.termination.pending to a Broker, in binary mode.
set -eu

usage() {
  echo "usage: terminate.sh --id ID [--source SOURCE] [BROKER]" >&2
  echo "ID and SOURCE are those of the event that asked for the client; BROKER is the Broker's address, unless K_SINK is set" >&2
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
[ -n "$id" ] && [ $# -le 1 ] || usage
broker=${K_SINK:-${1:-}}
[ -n "$broker" ] || usage

# Other characters would have to be encoded in a JSON string, which a shell can't do well.
case $id$source in
  *[!A-Za-z0-9._~:/?#@!$\&*+,\;=-]*) echo "terminate.sh: use letters, digits and ._~:/?#@!\$&*+,;=- only" >&2; exit 2 ;;
esac

# The id follows from the client's, so sending it again is the same event.
if ! answer=$(curl --silent --show-error --max-time 60 --write-out '\n%{http_code}' \
  --header 'content-type: application/json' --header 'ce-specversion: 1.0' \
  --header 'ce-type: io.podgateway.client.termination.pending' --header "ce-source: $source" --header "ce-id: end-$id" \
  --data "{\"pending_event\": {\"source\": \"$source\", \"id\": \"$id\"}}" "$broker"); then
  echo "terminate.sh: no answer from $broker. Send it again" >&2
  exit 1
fi
status=$(echo "$answer" | tail -n 1)
case $status in
  2??) echo "asked for the end: id $id, source $source" ;;
  *) echo "terminate.sh: $broker refuses the event: $status $(echo "$answer" | sed '$d')" >&2; exit 1 ;;
esac
