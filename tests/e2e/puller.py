#!/usr/bin/python3
"""Syntrix's PullerService, made with grpcio, over changes in a file or given one by one.

Resume, markers and heartbeats are those of the original, with one difference that a Streamer has to
live with: several changes at one cluster time are all sent, as those of a transaction would be.
"""

import argparse
import concurrent.futures
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import puller_pb2  # noqa: E402

EXAMPLES = """examples:
  tests/e2e/puller.py --file packages.ndjson --listen localhost:9000
  tests/e2e/puller.py --file packages.ndjson --hold   # a line on stdin lets the changes begin
"""


def stored_bytes(full_doc):
    """full_doc as Go marshals it: the struct's order outside, sorted inside."""
    return syntrix.go_json(full_doc)


def change_event(change):
    """A change in the long form as a ChangeEvent; full_doc may be bytes already."""
    event = puller_pb2.ChangeEvent()
    for name in ("event_id", "database", "mgo_coll", "mgo_doc_id", "op_type", "timestamp",
                 "txn_number", "backend"):
        if name in change:
            setattr(event, name, change[name])
    full_doc = change.get("full_doc")
    if full_doc is not None:
        event.full_doc = full_doc if isinstance(full_doc, bytes) else stored_bytes(full_doc)
    if change.get("update_desc") is not None:
        event.update_desc = syntrix.go_json(change["update_desc"])
    time = change.get("cluster_time", {"t": 0, "i": 0})
    event.cluster_time.t, event.cluster_time.i = time["t"], time["i"]
    return event


class Change:
    """One kept change: where it stands and its message."""

    def __init__(self, event, marker):
        self.backend = event.backend
        self.identifier = event.event_id
        self.message = puller_pb2.PullerEvent(change_event=event,
                                              progress=marker).SerializeToString()


class Puller:
    """The service: a log of which the first `happened` changes have happened."""

    def __init__(self, listen="localhost:0", heartbeat=30.0, talks=False):
        self.log = []
        self.happened = 0
        self.heartbeat = heartbeat
        self.changed = threading.Condition()
        self.stopped = False
        self.talks = talks
        self.subscribers = []  # (consumer id, after) of every Subscribe so far
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16),
                                  options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_stream_rpc_method_handler(
            self.subscribe, puller_pb2.SubscribeRequest.FromString, lambda message: message)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "syntrix.puller.v1.PullerService", {"Subscribe": handler}),))
        port = self.server.add_insecure_port(listen)
        if port == 0:
            raise OSError("cannot listen on " + listen)
        self.address = f"{listen.rpartition(':')[0]}:{port}"
        self.server.start()

    def add(self, change, progress=None):
        """Puts a change (long form) at the log's end; it happens with begin() or push()."""
        event = change_event(change)
        marker = progress if progress is not None else change.get(
            "progress", syntrix.progress({event.backend: event.event_id}))
        self.log.append(Change(event, marker))

    def begin(self):
        """All changes so far happen now."""
        with self.changed:
            self.happened = len(self.log)
            self.changed.notify_all()

    def push(self, *changes):
        for change in changes:
            self.add(change)
        self.begin()

    def wait_subscribers(self, count, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.subscribers) >= count, seconds):
                raise AssertionError(f"{len(self.subscribers)} of {count} subscribed to the Puller")

    def passes(self, after, change):
        """Whether a change is past the marker; a backend that it lacks begins anew."""
        position = after.get(change.backend)
        return position is None or (syntrix.event_key(change.identifier)
                                    > syntrix.event_key(position))

    def start(self, request, context):
        """(index to begin at, {backend: event id}) for a request."""
        if not request.after:
            return self.happened, {}
        try:
            after = syntrix.parse_progress(request.after)
        except (ValueError, AttributeError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT,
                          f"invalid 'after' progress marker: {error}")
        try:
            for identifier in after.values():
                syntrix.event_key(identifier)
        except ValueError:
            context.abort(grpc.StatusCode.INTERNAL,
                          f"failed to start replay: invalid event ID {identifier}")
        return 0, after

    def subscribe(self, request, context):
        with self.changed:
            index, after = self.start(request, context)
            context.add_callback(self.wake)
            self.subscribers.append((request.consumer_id, request.after))
            self.changed.notify_all()
        if self.talks:
            print(f"subscribed {request.consumer_id} after={request.after!r}", file=sys.stderr,
                  flush=True)
        sent, latest = request.after, dict(after)
        while context.is_active() and not self.stopped:
            while index < self.happened:
                change = self.log[index]
                index += 1
                if not after or self.passes(after, change):
                    latest[change.backend] = change.identifier
                    sent = None
                    yield change.message
            if not self.wait_past(index, context):
                marker = sent if sent is not None else syntrix.progress(latest)
                yield puller_pb2.PullerEvent(progress=marker).SerializeToString()
        if self.stopped:
            context.abort(grpc.StatusCode.CANCELLED, "subscription closed")

    def wake(self):
        with self.changed:
            self.changed.notify_all()

    def wait_past(self, index, context):
        """False: it is time for a heartbeat."""
        with self.changed:
            return self.changed.wait_for(lambda: index < self.happened or self.stopped
                                         or not context.is_active(), self.heartbeat)

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.server.stop(1).wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", required=True, help="changes in the long form, one a line")
    parser.add_argument("--listen", default="localhost:0", help="default %(default)s")
    parser.add_argument("--heartbeat", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--hold", action="store_true",
                        help="the changes happen at a line on stdin, not at the first subscriber")
    options = parser.parse_args()
    puller = Puller(options.listen, options.heartbeat, talks=True)
    print(f"listening on {puller.address}", file=sys.stderr, flush=True)
    with open(options.file, encoding="utf-8") as lines:
        for line in lines:
            puller.add(json.loads(line))
    print(f"holds {len(puller.log)} changes", file=sys.stderr, flush=True)
    if options.hold:
        sys.stdin.readline()
    else:
        puller.wait_subscribers(1, seconds=None)
    puller.begin()
    puller.server.wait_for_termination()


if __name__ == "__main__":
    main()
