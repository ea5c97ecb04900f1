#!/usr/bin/env python3
"""Asks for a client of a gateway: publishes io.podgateway.client.pending to a Broker, in binary mode."""

import argparse
import http.client
import os
import sys
import urllib.error
import urllib.request
import uuid

from cloudevents.core.bindings.http import to_binary_event
from cloudevents.core.v1.event import CloudEvent


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: a redirected POST becomes a GET, which is no event to a broker."""

    def redirect_request(self, *_):
        return None


def publish(event: CloudEvent, broker: str) -> None:
    """Sends the event. Raises urllib.error.HTTPError when the broker refuses it."""
    message = to_binary_event(event)
    request = urllib.request.Request(broker, message.body, message.headers, method="POST")
    urllib.request.build_opener(NoRedirects).open(request, timeout=60).close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Asks for a client of a gateway.")
    parser.add_argument("--id", default=str(uuid.uuid4()), help="the event's id; sent again, it stands for the same Pod")
    parser.add_argument("--source", default="/examples/python", help="the event's source")
    parser.add_argument("gateway")
    parser.add_argument("broker", nargs="?", help="the Broker's address, unless K_SINK is set")
    arguments = parser.parse_args()
    broker = os.environ.get("K_SINK") or arguments.broker
    if not broker:
        parser.error("give the Broker's address, or set K_SINK")

    attributes = {
        "id": arguments.id,
        "source": arguments.source,
        "type": "io.podgateway.client.pending",
        "datacontenttype": "application/json",
    }
    event = CloudEvent(attributes, {"gateway_name": arguments.gateway})
    try:
        publish(event, broker)
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{broker} refuses the event: {refusal.code} {refusal.read().decode(errors='replace')}")
    except (OSError, http.client.HTTPException) as error:
        again = f"--id {arguments.id} --source {arguments.source}"
        sys.exit(f"no answer from {broker}: {error}. Send it again with {again}: there will be one Pod")
    except ValueError as error:
        sys.exit(f"{broker} is no address: {error}")
    print(f"published: id {arguments.id}, source {arguments.source}, gateway {arguments.gateway}")


if __name__ == "__main__":
    main()
