"""What test_table.py plays its rows with: three peers that take the same commands, and a Puller.

A command is {"do": open | send | half_close | close | method, "stream": name, ...}; what a peer
gets comes back as items {"stream": name, "item": answer | delivery | ack | end | unknown, ...}.
One is grpcio in this process, one grpc-js, one a C program on streamer.h with an engine of its own.
"""

import json
import os
import queue

import grpc
import oracle
import peers
import syntrix
from google.protobuf import json_format
from peers import puller_pb2, streamer_pb2
from puller import Puller

SECONDS = 20  # how long anything may take on a busy machine


class ChildPeer(peers.Process):
    """A peer that is a process: commands to its stdin, items from its stdout."""

    def __init__(self, name, arguments):
        self.name = name
        self.queues = {}
        super().__init__(arguments)

    def read(self, name, pipe):
        if name != "out":
            super().read(name, pipe)
            return
        for line in pipe:
            item = json.loads(line)
            self.queues[item["stream"]].put(item)
        for waiting in list(self.queues.values()):
            waiting.put(None)

    def command(self, stream, verb, **more):
        if verb == "open" or stream not in self.queues:
            self.queues[stream] = queue.Queue()
        self.say(json.dumps({"do": verb, "stream": stream, **more}))

    def receive(self, stream):
        item = None
        try:
            item = self.queues[stream].get(timeout=SECONDS)
        except queue.Empty:
            pass
        if item is None:
            raise AssertionError(f"{self.name}: nothing comes, wrote {self.tail()}")
        return item


class NodePeer(ChildPeer):
    transport = "grpc"

    def __init__(self, address):
        super().__init__("grpc-js", ["node", os.path.join(peers.HERE, "table_peer.js"), address])


class LocalPeer(ChildPeer):
    """Has no messages, but verbs: what goes on the wire elsewhere is a call here."""

    transport = "local"

    def __init__(self, program, puller):
        super().__init__("local", [program, puller])

    def command(self, stream, verb, **more):
        if verb != "send":
            super().command(stream, verb, **more)
            return
        (kind, request), = more["message"].items()
        if kind == "subscribe":
            filters = [{"field": rule["field"], "op": rule["op"],
                        "value": json.dumps(oracle.plain(rule["value"]))}
                       for rule in request["filters"]]
            super().command(stream, kind, id=request["subscription_id"], filters=filters,
                            database=request["database"], collection=request["collection"],
                            omit_document=request["omit_document"])
        else:
            super().command(stream, kind, id=request["subscription_id"])


class GrpcioPeer:
    name = "grpcio"
    transport = "grpc"

    def __init__(self, address):
        self.channel = peers.channel(address)
        self.streams = {}
        self.statuses = {}

    def command(self, stream, verb, **more):
        if verb == "open":
            self.streams[stream] = peers.Stream(self.channel)
        elif verb == "send":
            message = (bytes.fromhex(more["hex"]) if "hex" in more else
                       json_format.ParseDict(more["message"], streamer_pb2.GatewayMessage()))
            self.streams[stream].send(message)
        elif verb == "half_close":
            self.streams[stream].half_close()
        elif verb == "close":
            self.streams[stream].cancel()
        elif verb == "method":
            self.statuses[stream] = self.call_method(more["method"])

    def call_method(self, name):
        try:
            self.channel.unary_unary(name)(b"", timeout=SECONDS)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name

    def receive(self, stream):
        if stream in self.statuses:
            return {"item": "end", "status": self.statuses.pop(stream)}
        message = self.streams[stream].receive(SECONDS)
        if message is None:
            return {"item": "end", "status": self.streams[stream].end().name}
        kind = message.WhichOneof("payload")
        if kind == "heartbeat_ack":
            return {"item": "ack", "timestamp": message.heartbeat_ack.timestamp}
        if kind == "subscribe_response":
            answer = message.subscribe_response
            return {"item": "answer", "id": answer.subscription_id, "success": answer.success,
                    "error": answer.error}
        return self.delivery(message.delivery) if kind == "delivery" else {"item": "unknown"}

    @staticmethod
    def delivery(delivery):
        event = delivery.event
        operation = streamer_pb2.OperationType.Name(event.operation)
        return {"item": "delivery", "ids": list(delivery.subscription_ids),
                "event_id": event.event_id, "database": event.database,
                "collection": event.collection, "document_id": event.document_id,
                "operation": operation.replace("OPERATION_TYPE_", ""),
                "timestamp": event.timestamp, "document_data": event.document_data.decode()}


class Ending:
    """Stands in the Puller's log where it ends those streams that were open then."""

    def __init__(self, newest, status, consumers):
        self.backend, self.identifier = newest.backend, newest.identifier
        self.message = self
        self.status = status
        self.consumers = consumers


class Heartbeat:
    """Stands in the log where the Puller sends one."""

    def __init__(self, newest, marker):
        self.backend, self.identifier = newest.backend, newest.identifier
        self.message = puller_pb2.PullerEvent(progress=marker).SerializeToString()


class TablePuller(Puller):
    """The Puller whose heartbeats and ends stand in its log; its markers have every backend."""

    def __init__(self):
        super().__init__()
        self.positions = {}
        self.open = set()  # consumer ids, each of one stream
        self.is_replaying = False
        self.refusal = None  # (status, text) for who comes with a marker but that of everything

    def add(self, change, progress=None):
        if self.is_past(change["event_id"], self.positions.get(change["backend"])):
            self.positions[change["backend"]] = change["event_id"]
        super().add(change, progress or syntrix.progress(self.positions))

    def send_heartbeat(self, positions):
        self.positions.update(positions)
        self.log.append(Heartbeat(self.log[-1], syntrix.progress(self.positions)))
        self.begin()

    def end_streams(self, status, replaying=False, refusal=None):
        """Ends every stream; gives what their successors asked for, refused ones included, once one
        that stays has come for each."""
        before, consumers = len(self.subscribers), set(self.open)
        self.is_replaying, self.refusal = replaying, refusal
        self.log.append(Ending(self.log[-1], status, consumers))
        self.begin()
        self.wait_subscribers(before + len(consumers) * (2 if refusal else 1))
        self.is_replaying, self.refusal = False, None
        return [after for _, after in self.subscribers[before:]]

    @staticmethod
    def is_past(identifier, position):
        """Event ids of other forms than a Puller's have no place in an order."""
        try:
            key = syntrix.event_key(identifier)
        except ValueError:
            return False
        return position is None or key > syntrix.event_key(position)

    def passes(self, after, change):
        return self.is_past(change.identifier, after.get(change.backend))

    def start(self, request, context):
        return (0, {}) if self.is_replaying else super().start(request, context)

    def subscribe(self, request, context):
        if self.refusal and request.after not in ("", syntrix.progress({})):
            self.refuse(request, context)
        self.open.add(request.consumer_id)
        for message in super().subscribe(request, context):
            if not isinstance(message, Ending):
                yield message
            elif request.consumer_id in message.consumers:
                self.open.discard(request.consumer_id)
                context.abort(grpc.StatusCode[message.status], "subscription closed")

    def refuse(self, request, context):
        status, text = self.refusal
        with self.changed:
            self.subscribers.append((request.consumer_id, request.after))
            self.changed.notify_all()
        context.abort(grpc.StatusCode[status], text)
