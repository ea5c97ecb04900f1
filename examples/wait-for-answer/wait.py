#!/usr/bin/env python3
"""Asks for a client of a gateway, and waits for the answer, or until the client runs or has ended. Subscriber of a Trigger.

Exit codes: 0 when the client came as far as --until says; 1 when there is no client, or it ended earlier or with another
reason, which is printed; 2 when nothing came in time; 3 when it could not ask at all.
"""

import argparse
import http.client
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

PENDING = "io.podgateway.client.pending"
DONE = "io.podgateway.client.scheduling.done"
FAILED = "io.podgateway.client.scheduling.failed"
RUNNING = "io.podgateway.client.running"
ENDED = "io.podgateway.client.ended"
# The values of --until, and the event that each waits for.
STAGES = {"done": DONE, "running": RUNNING, "ended": ENDED}
COULD_NOT_ASK = 3


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: a redirected POST becomes a GET, which is no event to a broker."""

    def redirect_request(self, *_):
        return None


def answers(event, asked: CloudEvent) -> bool:
    """Whether an event is an answer to what was asked, or a report on its client.

    An id is unique only within its source, so causationid alone could be the id of somebody else's event.
    """
    if event.get_type() not in (DONE, FAILED, RUNNING, ENDED) or event.get_extension("causationid") != asked.get_id():
        return False
    return event.get_data()["pending_event"]["source"] == asked.get_source()


def listen(address: str, asked: CloudEvent, found: queue.Queue) -> ThreadingHTTPServer:
    """Receives what the broker delivers, and puts the answers to `asked` into `found`."""

    class Subscriber(BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                event = from_http_event(HTTPMessage(dict(self.headers), self.body()))
                is_answer = answers(event, asked)
            except Exception as error:  # Whatever the error is, this is no answer.
                self.respond(400)
                return print(f"not an answer: {error}", file=sys.stderr)
            # Answers to others are acknowledged too, or the broker would redeliver them.
            self.respond(202)
            if is_answer:
                found.put(event)

        def body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def respond(self, status: int):
            # No body: the broker would redeliver after a 2xx with a body that is no event.
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Subscriber)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def publish(event: CloudEvent, broker: str, timeout: float) -> None:
    """Sends the event. It is no error if the broker doesn't respond: the answer may come all the same."""
    message = to_binary_event(event)
    request = urllib.request.Request(broker, message.body, message.headers, method="POST")
    try:
        urllib.request.build_opener(NoRedirects).open(request, timeout=timeout).close()
    except urllib.error.HTTPError as refusal:
        give_up(f"{broker} refuses the event: {refusal.code} {refusal.read().decode(errors='replace')}")
    except (urllib.error.URLError, ValueError) as error:
        give_up(f"cannot send to {broker}: {error}")
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {broker}: {error}", file=sys.stderr)


def give_up(why: str):
    print(why, file=sys.stderr)
    sys.exit(COULD_NOT_ASK)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Asks for a client of a gateway and waits for the answer.")
    parser.error = lambda why: give_up(f"{parser.format_usage()}{why}")
    parser.add_argument("--id", default=str(uuid.uuid4()), help="the event's id; sent again, it stands for the same Pod")
    parser.add_argument("--source", default="/examples/wait-for-answer", help="the event's source")
    parser.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT", help="where the Trigger delivers to")
    parser.add_argument("--timeout", default=60, type=float, metavar="SECONDS", help="how long to wait")
    parser.add_argument("--until", default="done", choices=STAGES, help="what to wait for")
    parser.add_argument("gateway")
    parser.add_argument("broker", nargs="?", help="the Broker's address, unless K_SINK is set")
    parsed = parser.parse_args()
    parsed.broker = os.environ.get("K_SINK") or parsed.broker
    if not parsed.broker:
        parser.error("give the Broker's address, or set K_SINK")
    return parsed


def main() -> int:
    asks = arguments()
    attributes = {"id": asks.id, "source": asks.source, "type": PENDING, "datacontenttype": "application/json"}
    pending = CloudEvent(attributes, {"gateway_name": asks.gateway})
    deadline = time.monotonic() + asks.timeout
    found = queue.Queue()
    try:
        # It listens before it asks, so that it misses no answer.
        server = listen(asks.listen, pending, found)
    except (OSError, ValueError) as error:
        give_up(f"cannot listen on {asks.listen}: {error}")
    print("listening on {}:{}".format(*server.server_address), flush=True)

    publish(pending, asks.broker, asks.timeout)
    while True:
        try:
            event = found.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            again = f"--id {asks.id} --source {asks.source}"
            print(f"no {'answer' if asks.until == 'done' else asks.until} within {asks.timeout:g} s. "
                  f"Ask again with {again}: there will be one Pod", file=sys.stderr)
            return 2
        code = tell(event, STAGES[asks.until])
        if code is not None:
            return code


def tell(event, wanted: str) -> int | None:
    """Prints what has come, and returns the exit code, or None if there is more to wait for.

    Events come in any order, so `ended` may come first. Nothing follows it that matters.
    """
    data, of_type = event.get_data(), event.get_type()
    if of_type in (FAILED, ENDED):
        is_well = of_type == wanted and data["reason"] == "Completed"
        said = f"{of_type.rsplit('.', 1)[1]}: {data['reason']}: {data['message']}"
        print(said, file=sys.stdout if is_well else sys.stderr, flush=True)
        return 0 if is_well else 1
    print(f"{of_type.rsplit('.', 1)[1]}: {data['namespace']}/{data['pod_name']}: {data['message']}", flush=True)
    # A client that runs was released, even if its answer hasn't come yet.
    return 0 if of_type == wanted or (of_type, wanted) == (RUNNING, DONE) else None


if __name__ == "__main__":
    sys.exit(main())
