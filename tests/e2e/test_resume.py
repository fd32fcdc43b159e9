#!/usr/bin/python3
"""A gateway that says Hello drops, changes pass, and it comes back: nothing is missing, whether the
Streamer lived on or was killed in between; and what the state folder does with what is wrong in it.
"""

import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import Stream, streamer_pb2, subscribe  # noqa: E402
from puller import Puller  # noqa: E402

COLLECTION = "rooms"
MANY = 1000
Welcome = streamer_pb2.Welcome
Gap = streamer_pb2.Gap


def change(number, text=""):
    data = {"id": f"d{number}", "number": number, "text": text}
    mgo_doc_id = syntrix.mongo_id("default", COLLECTION, data["id"])
    return {"event_id": syntrix.event_id(1767225600, number, "documents", mgo_doc_id),
            "database": "default", "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id,
            "op_type": "insert", "cluster_time": {"t": 1767225600, "i": number},
            "full_doc": syntrix.stored_document("default", COLLECTION, mgo_doc_id, data, 1,
                                                (1000, 2000)),
            "timestamp": number, "txn_number": 0, "backend": "default_mongo"}


class Source(Puller):
    """Changes numbered from 1."""

    def __init__(self):
        super().__init__(heartbeat=0.2)
        self.count = 0

    def happen(self, more):
        self.push(*(change(self.count + i + 1) for i in range(more)))
        self.count += more


class Gateway:
    """A stream that says Hello, and what it keeps from one to the next: the newest position."""

    def __init__(self):
        self.position = b""
        self.stream = None
        self.resume = None

    def come(self, address):
        """Hello, Welcome, one subscription, and "registered". The Gap that stands first, or None."""
        self.stream = Stream(peers.channel(address), wait_for_ready=True)
        message = streamer_pb2.GatewayMessage()
        message.hello.version, message.hello.gateway_id = 1, "gateway"
        message.hello.after = self.position
        self.stream.send(message)
        self.stream.send(subscribe("all", COLLECTION))
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.timestamp, message.heartbeat.registered = 1, True
        self.stream.send(message)
        welcome, gap = self.stream.receive(30).welcome, None
        self.resume = welcome.resume
        while True:
            message = self.stream.receive()
            kind = message.WhichOneof("payload")
            if kind == "gap":
                gap = message.gap
            if kind == "heartbeat_ack":
                return gap

    def take(self, first, last):
        """Each change from first to last, in order and once; whether all were replayed."""
        replayed = set()
        for number in range(first, last + 1):
            delivery = self.stream.delivery(30)
            if delivery.event.document_id != f"d{number}":
                raise AssertionError(f"{delivery.event.document_id}, not d{number}")
            if not delivery.position:
                raise AssertionError("no position")
            self.position = delivery.position
            replayed.add(delivery.replayed)
        return replayed

    def go(self):
        self.stream.cancel()
        self.stream.end()


def start(source, *options, listen="127.0.0.1:0"):
    before = len(source.subscribers)
    streamer = peers.Process([peers.STREAMER, "serve", "--puller", source.address,
                              "--listen", listen, *options])
    address = streamer.wait_line(r"listening on (\S+:\d+)").group(1)
    source.wait_subscribers(before + 1)  # what happens from now on it gets
    return streamer, address


def drop_and_resume(checks):
    """The only gateway of a collection drops, 1,000 changes pass, it resumes, and all arrive."""
    source = Source()
    streamer, address = start(source)
    gateway = Gateway()
    gateway.come(address)
    checks.equal(gateway.resume, Welcome.LIVE, "who names no position is live")
    source.happen(10)
    checks.equal(gateway.take(1, 10), {False}, "live")
    gateway.go()
    source.happen(MANY)
    gap = gateway.come(address)
    checks.equal((gateway.resume, gap), (Welcome.REPLAY, None), "it resumes without a gap")
    checks.that(True in gateway.take(11, 10 + MANY), "what passed is replayed")
    source.happen(5)
    gateway.take(11 + MANY, 15 + MANY)
    gateway.go()
    checks.equal(streamer.stop(), 0, "ends well")
    source.stop()


def resume_over_a_kill(checks, folder, number):
    """The same over a SIGKILL of the Streamer, before or after the changes pass, or an idle one."""
    source = Source()
    streamer, address = start(source, "--state-dir", folder)
    gateway = Gateway()
    gateway.come(address)
    source.happen(10)
    gateway.take(1, 10)
    wait_for_state(folder)
    gateway.go()
    if number != signal.SIGKILL:
        source.happen(MANY)
    checks.equal(streamer.stop(number), 0 if number == signal.SIGTERM else -number, "it ends")
    source.happen(MANY)
    wanted = source.count
    streamer, _ = start(source, "--state-dir", folder, listen=address)
    gap = gateway.come(address)
    checks.equal((gateway.resume, gap), (Welcome.REPLAY, None), "another life: without a gap")
    gateway.take(11, wanted)
    source.happen(5)
    gateway.take(wanted + 1, wanted + 5)
    gateway.go()
    checks.equal(streamer.stop(), 0, "the second life ends well")
    source.stop()


def request(identifier, omits):
    made = subscribe(identifier, COLLECTION).subscribe
    made.omit_document = omits
    return made


class BulkGateway(Gateway):
    """Registers by bulks, some without the document, and takes messages of a bounded size."""

    OMITS = {"a": False, "b": True, "c": False, "d": True}

    def bulk(self, omits):
        message = streamer_pb2.GatewayMessage()
        message.bulk_subscribe.bulk_id = 7
        message.bulk_subscribe.requests.extend(request(*one) for one in omits.items())
        self.stream.send(message)
        answer = self.stream.receive().bulk_response
        return answer.accepted, [(one.subscription_id, one.code) for one in answer.refused]

    def begin(self, address):
        self.stream = Stream(peers.channel(address), wait_for_ready=True)
        message = streamer_pb2.GatewayMessage()
        message.hello.version, message.hello.after = 1, self.position
        message.hello.message_bytes_max = 65536
        self.stream.send(message)
        self.resume = self.stream.receive(30).welcome.resume

    def registered(self):
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.registered = True
        self.stream.send(message)
        self.stream.receive()

    def take_both(self, checks, number, is_large=False):
        """A change's two messages: with its document, or a gap in its place, and without."""
        whole, bare = self.stream.receive(30), self.stream.receive(30).delivery
        if is_large:
            checks.equal((list(whole.gap.subscription_ids), whole.gap.reason, whole.gap.until),
                         (["a", "c"], Gap.TOO_LARGE, b""), f"{number} is too large for some")
            event = whole.gap.event
        else:
            event = whole.delivery.event
            checks.equal((list(whole.delivery.subscription_ids), whole.delivery.more,
                          whole.delivery.position, bool(event.document_data)),
                         (["a", "c"], True, b"", True), f"{number} with its document")
            event.document_data = b""
        checks.equal((list(bare.subscription_ids), bare.more, bool(bare.position)),
                     (["b", "d"], False, True), f"{number} without its document")
        checks.equal(bare.event, event, f"{number} is otherwise the same event")
        checks.equal(event.document_id, f"d{number}", "the next one")
        self.position = bare.position


def without_documents(checks):
    """Who omits the document gets every change all the same, live and replayed, also one that is
    too large with it; a drop between a change's two messages brings both again."""
    source = Source()
    streamer, address = start(source)
    gateway = BulkGateway()
    gateway.begin(address)
    duplicate = streamer_pb2.SubscribeResponse.DUPLICATE
    checks.equal(gateway.bulk(gateway.OMITS), (4, []), "a bulk")
    checks.equal(gateway.bulk(gateway.OMITS), (4, []), "the same once more")
    checks.equal(gateway.bulk({"a": True, "b": True, "c": False, "d": False}),
                 (2, [("a", duplicate), ("d", duplicate)]), "with the document is not without")
    source.happen(2)
    source.push(change(3, "x" * 70000))
    source.count += 1
    for number in (1, 2, 3):
        gateway.take_both(checks, number, is_large=number == 3)
    source.happen(1)
    checks.that(gateway.stream.delivery(30).more, "the first of two")
    gateway.go()
    source.happen(3)
    source.push(change(8, "x" * 70000))
    source.count += 1
    source.happen(MANY)
    gateway.begin(address)
    checks.equal(gateway.resume, Welcome.REPLAY, "it resumes")
    checks.equal(gateway.bulk(gateway.OMITS), (4, []), "registers again")
    gateway.registered()
    for number in range(4, 9 + MANY):
        gateway.take_both(checks, number, is_large=number == 8)
    gateway.go()
    checks.equal(streamer.stop(), 0, "ends well")
    source.stop()


def wait_for_state(folder):
    """Until a position has been written, and so the newest changes are not all unknown."""
    path = os.path.join(folder, "state")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if os.path.exists(path):
            with open(path, encoding="ascii") as state:
                if "position" in state.read():
                    return
    raise AssertionError("the state is not written")


def idle_restart(checks, folder):
    """Nothing has happened in between: nothing is missing, and nobody is told that something is."""
    source = Source()
    streamer, address = start(source, "--state-dir", folder, "--history-events", "0")
    gateway = Gateway()
    gateway.come(address)
    source.happen(3)
    gateway.take(1, 3)
    wait_for_state(folder)
    checks.equal(streamer.stop(), 0, "the first life ends well")
    gateway.stream.end()
    streamer, _ = start(source, "--state-dir", folder, listen=address)
    gap = gateway.come(address)
    checks.equal((gateway.resume, gap), (Welcome.REPLAY, None), "without a gap")
    source.happen(2)
    gateway.take(4, 5)
    streamer.stop()
    source.stop()


def without_a_state(checks):
    """Another life that knows nothing says so."""
    source = Source()
    streamer, address = start(source)
    streamer.wait_line("begins with what the Puller sends from now on")
    gateway = Gateway()
    gateway.come(address)
    source.happen(3)
    gateway.take(1, 3)
    streamer.stop(signal.SIGKILL)
    gateway.stream.end()
    streamer, _ = start(source, listen=address)
    gap = gateway.come(address)
    checks.equal((gateway.resume, gap.reason), (Welcome.GAP, Gap.UNKNOWN), "a gap stands first")
    source.happen(2)
    gateway.take(4, 5)
    streamer.stop()
    source.stop()


def wrong_states(checks, folder):
    """A state that is damaged anywhere is as good as none; a folder is one Streamer's."""
    source = Source()
    source.happen(1)
    streamer, _ = start(source, "--state-dir", folder)
    source.happen(1)
    wait_for_state(folder)
    refused = peers.Process([peers.STREAMER, "serve", "--puller", source.address, "--listen",
                             "127.0.0.1:0", "--state-dir", folder])
    refused.wait_line("another process uses")
    checks.equal(refused.wait(), 1, "a second Streamer does not start")
    checks.equal(streamer.stop(), 0, "the first ends well")
    path = os.path.join(folder, "state")
    with open(path, "rb") as state:
        good = state.read()
    for at in range(0, len(good), max(1, len(good) // 8)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]):
            with open(path, "wb") as state:
                state.write(bad)
            streamer, _ = start(source, "--state-dir", folder)
            log = "\n".join(streamer.lines["err"])
            checks.that("begins now" in log and "is no state" in log, f"damaged at {at}", log)
            streamer.stop(signal.SIGKILL)
    refused = peers.Process([peers.STREAMER, "serve", "--source", "ndjson:-", "--state-dir", folder])
    refused.wait_line("--state-dir is for a Puller")
    checks.equal(refused.wait(), 2, "a file has no state")
    source.stop()


def main():
    checks = peers.Checks()
    with checks.section("drop and resume"):
        drop_and_resume(checks)
    for name, run in [("killed", lambda folder: resume_over_a_kill(checks, folder, signal.SIGKILL)),
                      ("ended", lambda folder: resume_over_a_kill(checks, folder, signal.SIGTERM)),
                      ("idle", lambda folder: idle_restart(checks, folder)),
                      ("wrong", lambda folder: wrong_states(checks, folder))]:
        folder = tempfile.mkdtemp(prefix="streamer-state-")
        with checks.section(name):
            run(folder)
        shutil.rmtree(folder)
    with checks.section("without documents"):
        without_documents(checks)
    with checks.section("without a state"):
        without_a_state(checks)
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
