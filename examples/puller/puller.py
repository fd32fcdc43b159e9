#!/usr/bin/python3
"""puller: the skeleton of a Puller, for a database that Streamer does not know.

A Puller is a gRPC server with one method: it is told where its caller stands, and sends the changes
behind that for as long as the call lives. Python's grpcio is used here; any language with gRPC does.

    protoc --proto_path=proto --python_out=examples/puller proto/puller.proto
    examples/puller/puller.py --listen localhost:9000
    streamer serve --puller localhost:9000
"""

import argparse
import base64
import bisect
import concurrent.futures
import json
import sys
import threading
import time

import grpc
import puller_pb2

BACKEND = "example"  # names the database; one Puller may follow several
HEARTBEAT_SECONDS = 30


def marker(position):
    """What a caller keeps, and hands back as `after`: opaque to it, so anything that finds the place
    again. This is Syntrix's form: {"p": {backend: id of the last change}}, base64url, unpadded."""
    text = json.dumps({"p": {BACKEND: f"{position[0]}-{position[1]}"}})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(after):
    """The position in a marker; before everything if it names none, as "e30" does, which is {}."""
    read = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
    seconds, ordinal = read.get("p", {}).get(BACKEND, "0-0").split("-")
    return int(seconds), int(ordinal)


class Log:
    """What has changed, in order. Yours is the database's own: an oplog, a WAL, a change feed. It
    must be kept for a while: what a caller missed while it was away is read from here."""

    def __init__(self):
        self.events = []  # (position, PullerEvent)
        self.changed = threading.Condition()

    def add(self, op_type, database, collection, document, data):
        """One change. Its position is (seconds, ordinal within the second): it only ever grows, and
        is not used twice, so that whoever has seen it can tell what is old."""
        now = int(time.time())
        with self.changed:
            last = self.events[-1][0] if self.events else (0, 0)
            position = (now, 1) if now > last[0] else (last[0], last[1] + 1)
            event = puller_pb2.PullerEvent(progress=marker(position))
            change = event.change_event
            change.event_id = f"{position[0]}-{position[1]}"
            change.database, change.backend = database, BACKEND
            change.cluster_time.t, change.cluster_time.i = position
            change.timestamp = time.time_ns() // 1_000_000
            change.op_type = "update" if op_type == "delete" else op_type
            stored = {"collection": collection, "data": {**data, "id": document}}
            if op_type == "delete":  # an update that leaves a tombstone, which still has the id
                stored["deleted"] = True
            change.full_doc = json.dumps(stored, ensure_ascii=False).encode()
            self.events.append((position, event))
            self.changed.notify_all()

    def behind(self, position, seconds, is_active):
        """The changes behind a position; waits for the first one, [] if none has come by then."""
        with self.changed:
            self.changed.wait_for(lambda: self.events and self.events[-1][0] > position
                                  or not is_active(), seconds)
            return self.events[bisect.bisect_right(self.events, position, key=lambda at: at[0]):]

    def newest(self):
        with self.changed:
            return self.events[-1][0] if self.events else (0, 0)

    def wake(self):
        with self.changed:
            self.changed.notify_all()


class Service:
    """syntrix.puller.v1.PullerService."""

    def __init__(self, log):
        self.log = log

    def subscribe(self, request, context):
        """`after` empty: from now on. Else: what is behind it first, then what comes."""
        try:
            position = position_of(request.after) if request.after else self.log.newest()
        except (ValueError, AttributeError) as error:  # a marker of somebody else
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"invalid 'after': {error}")
        print(f"{request.consumer_id} reads from {position}", file=sys.stderr, flush=True)
        sent = request.after
        context.add_callback(self.log.wake)  # a caller that has gone holds no thread
        while context.is_active():
            events = self.log.behind(position, HEARTBEAT_SECONDS, context.is_active)
            for position, event in events:
                sent = event.progress
                yield event  # HTTP/2 holds us here while the caller is behind
            if not events:  # a heartbeat: silence is no failure, and we stand here
                yield puller_pb2.PullerEvent(progress=sent)


def serve(log, address):
    """The running server, and the port it took."""
    handler = grpc.unary_stream_rpc_method_handler(
        Service(log).subscribe,
        request_deserializer=puller_pb2.SubscribeRequest.FromString,
        response_serializer=puller_pb2.PullerEvent.SerializeToString)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "syntrix.puller.v1.PullerService", {"Subscribe": handler}),))
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="localhost:9000", help="default %(default)s")
    options = parser.parse_args()
    log = Log()
    server, port = serve(log, options.listen)
    print(f"listening on port {port}", file=sys.stderr, flush=True)
    # Here you follow your database. Instead: OPERATION DATABASE COLLECTION ID JSON, a line each.
    for line in sys.stdin:
        try:
            operation, database, collection, document, *data = line.split(maxsplit=4)
            log.add(operation, database, collection, document, json.loads(data[0] if data else "{}"))
        except ValueError as error:
            print(f"puller: {line.rstrip()}: {error}", file=sys.stderr, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
