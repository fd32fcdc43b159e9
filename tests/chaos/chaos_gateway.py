#!/usr/bin/python3
"""A gateway that may be killed, stopped and cut off at any time, and writes down all that it gets.

Its argument is a JSON file, {"address", "journal", "name", "hello", "subscriptions", ...}. The
journal is its memory: a line per thing that happened, each written before anything is made of it;
a gateway that starts again reads there from where to go on and what it had subscribed to. Without
"hello" it is one of the original's kind, that can only begin anew.

Lines on stdin are commands, JSON lists: ["slow", seconds], ["reconnect"], ["half_close"],
["subscribe", subscription], ["unsubscribe", id]. It says "control <event id>" for each change of
the collection that is called so.
"""

import base64
import contextlib
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import gateway as original  # noqa: E402
import grpc  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402
from peers import streamer_pb2  # noqa: E402

RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50),
             ("grpc.max_reconnect_backoff_ms", 300), ("grpc.keepalive_time_ms", 5000),
             ("grpc.keepalive_timeout_ms", 5000)]
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16384)]
HEARTBEAT_SECONDS = 0.2


def text(data):
    return base64.b64encode(data).decode()


class Journal:
    """Lines of JSON, each with the moment at which it was written. A line that a kill tore is
    none."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with open(path, "rb") as lines:
            content = lines.read()
        if content and not content.endswith(b"\n"):
            os.ftruncate(self.file, content.rindex(b"\n") + 1 if b"\n" in content else 0)

    def write(self, kind, **fields):
        line = {"kind": kind, "time": time.monotonic(), **fields}
        os.write(self.file, json.dumps(line).encode() + b"\n")


def read(path):
    """The lines of a journal."""
    with open(path, "rb") as lines:
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


class Gateway:
    def __init__(self, settings):
        self.settings = settings
        self.journal = Journal(settings["journal"])
        self.position = b""
        self.subscriptions = {}
        self.lock = threading.Lock()  # around what is asked for and the stream that is asked
        self.stream = None
        self.has_asked = False  # for everything, on this stream
        self.pending = set()  # ids that this stream has not yet answered
        self.bulks = {}  # the ids of each bulk that was sent on it
        self.is_registered = False
        self.delay = 0.0
        self.pause = threading.Event()  # never set
        self.remember()

    def remember(self):
        lines = read(self.settings["journal"])
        for line in lines:
            if line["kind"] == "subscribe":
                self.subscriptions[line["subscription"]["id"]] = line["subscription"]
            elif line["kind"] == "unsubscribe":
                self.subscriptions.pop(line["id"], None)
            if line.get("position"):
                self.position = base64.b64decode(line["position"])
        if not lines:
            for subscription in self.settings["subscriptions"]:
                self.subscribe(subscription)

    # ---- what is sent ----------------------------------------------------------------------------

    def request(self, subscription):
        message = original.request(subscription)
        message.subscribe.omit_document = subscription.get("omit_document", False)
        if "modulo" in subscription:
            message.subscribe.expression = load.expression(subscription)
        return message

    def hello(self):
        message = streamer_pb2.GatewayMessage()
        message.hello.version = 1
        message.hello.gateway_id = self.settings["name"]
        message.hello.after = self.position
        message.hello.message_bytes_max = self.settings.get("message_bytes_max", 0)
        return message

    def heartbeat(self, registered=False):
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.gateway_id = self.settings["name"]
        message.heartbeat.timestamp = int(time.time() * 1000)
        if self.settings["hello"]:
            message.heartbeat.position = self.position
            message.heartbeat.registered = registered
        return message

    def register(self):
        """Asks for everything, in bulks or one by one."""
        with self.lock:
            ids, size = list(self.subscriptions), self.settings.get("bulk", 0)
            self.pending, self.bulks, self.has_asked = set(ids), {}, True
            for identifier in ids if not size else ():
                self.stream.send(self.request(self.subscriptions[identifier]))
            for at in range(0, len(ids), size) if size else ():
                message = streamer_pb2.GatewayMessage()
                message.bulk_subscribe.bulk_id = at + 1
                self.bulks[at + 1] = ids[at:at + size]
                for identifier in ids[at:at + size]:
                    request = self.request(self.subscriptions[identifier]).subscribe
                    message.bulk_subscribe.requests.append(request)
                self.stream.send(message)

    def subscribe(self, subscription):
        with self.lock:
            self.journal.write("subscribe", subscription=subscription)
            self.subscriptions[subscription["id"]] = subscription
            if self.has_asked:
                self.stream.send(self.request(subscription))

    def unsubscribe(self, identifier):
        with self.lock:
            self.journal.write("unsubscribe", id=identifier)
            self.subscriptions.pop(identifier, None)
            if self.has_asked:
                message = streamer_pb2.GatewayMessage()
                message.unsubscribe.subscription_id = identifier
                self.stream.send(message)

    # ---- what comes ------------------------------------------------------------------------------

    def advance(self, kind, position, **fields):
        """Writes it down; only then the position is ours."""
        self.journal.write(kind, position=text(position), **fields)
        self.position = position or self.position

    def on_welcome(self, welcome):
        resume = streamer_pb2.Welcome.Resume.Name(welcome.resume)
        begins = resume == "LIVE"  # otherwise a gap may stand between that position and ours
        self.advance("welcome", welcome.position if begins else b"", resume=resume)
        if not self.settings["pipelined"]:
            self.register()

    def on_answer(self, answer):
        self.journal.write("answer", id=answer.subscription_id, success=answer.success,
                           error=answer.error, live_after=text(answer.live_after))
        self.answered({answer.subscription_id})

    def on_bulk(self, answer):
        ids = self.bulks[answer.bulk_id]
        for refused in answer.refused:
            self.on_answer(refused)
            ids.remove(refused.subscription_id)
        if answer.accepted != len(ids):
            self.journal.write("wrong", text=f"bulk of {len(ids)}: {answer.accepted} accepted")
        for identifier in ids:
            self.journal.write("answer", id=identifier, success=True, error="",
                               live_after=text(answer.live_after))
        self.answered(set(ids))

    def answered(self, ids):
        with self.lock:
            self.pending -= ids
            if self.has_asked and not self.pending and not self.is_registered:
                self.is_registered = True
                self.stream.send(self.heartbeat(registered=True))

    def on_delivery(self, delivery):
        event = delivery.event
        self.advance("delivery", delivery.position, event_id=event.event_id,
                     ids=list(delivery.subscription_ids), more=delivery.more,
                     collection=event.collection, document_id=event.document_id,
                     operation=original.OPERATIONS.get(event.operation, event.operation),
                     data=self.essence(event.document_data), replayed=delivery.replayed)
        if event.collection == load.CONTROL:
            print(f"control {event.event_id}", flush=True)

    @staticmethod
    def essence(data):
        """Of a document, only what tells it from others."""
        return json.loads(data).get("number") if data else None

    def on_gap(self, gap):
        self.advance("gap", gap.until, after=text(gap.after), until=text(gap.until),
                     reason=streamer_pb2.Gap.Reason.Name(gap.reason),
                     ids=list(gap.subscription_ids), events=gap.events,
                     event_id=gap.event.event_id)

    def on_ack(self, ack):
        if self.settings.get("trusts_acks"):
            self.advance("ack", ack.position)

    def take(self, message):
        kind = message.WhichOneof("payload")
        takes = {"welcome": self.on_welcome, "subscribe_response": self.on_answer,
                 "bulk_response": self.on_bulk, "delivery": self.on_delivery, "gap": self.on_gap,
                 "heartbeat_ack": self.on_ack, "unsubscribed": lambda _: None,
                 "going_away": lambda _: None}
        if kind not in takes:
            self.journal.write("wrong", text=f"not asked for: {message}"[:500])
            return
        takes[kind](getattr(message, kind))

    # ---- streams ---------------------------------------------------------------------------------

    def open(self, channel):
        stream = peers.Stream(channel, reading=False, wait_for_ready=True)
        with self.lock:
            self.journal.write("open", after=text(self.position))
            self.stream, self.has_asked, self.is_registered = stream, False, False
            if self.settings["hello"]:
                stream.send(self.hello())
                stream.send(self.heartbeat())
        if not self.settings["hello"] or self.settings["pipelined"]:
            self.register()
        return stream

    def live(self, channel):
        """One stream, to its end."""
        stream = self.open(channel)
        with contextlib.suppress(grpc.RpcError):
            for message in stream.call:
                self.take(message)
                if self.delay:
                    self.pause.wait(self.delay)
        with self.lock:
            self.has_asked = False
            self.journal.write("end", status=stream.call.code().name,
                               text=(stream.call.details() or "")[:200])
        stream.half_close()  # ends the thread that sends

    def beat(self):
        while not self.pause.wait(HEARTBEAT_SECONDS):
            with self.lock:
                if self.has_asked and self.settings["hello"]:
                    self.stream.send(self.heartbeat())

    def slow(self, seconds):
        self.delay = seconds

    def reconnect(self):
        with self.lock:
            if self.stream:
                self.stream.call.cancel()

    def half_close(self):
        with self.lock:
            if self.stream:
                self.stream.half_close()

    def obey(self):
        commands = {"slow": self.slow, "reconnect": self.reconnect, "half_close": self.half_close,
                    "subscribe": self.subscribe, "unsubscribe": self.unsubscribe}
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            commands[name](*arguments)

    def run(self):
        for function in (self.obey, self.beat):
            threading.Thread(target=function, daemon=True).start()
        narrow = NARROW if self.settings.get("is_narrow") else []
        channel = peers.channel(self.settings["address"], RECONNECT + narrow)
        while not self.pause.wait(0.05):
            self.live(channel)


def main():
    with open(sys.argv[1], encoding="utf-8") as settings:
        Gateway(json.load(settings)).run()


if __name__ == "__main__":
    main()
