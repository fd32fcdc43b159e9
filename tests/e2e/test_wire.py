#!/usr/bin/python3
"""What no row of the table says of the wire: deadlines, gzip, overtaking, a lost connection."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import Stream, streamer_pb2, subscribe  # noqa: E402
from puller import Puller  # noqa: E402
from table_rows import Changes  # noqa: E402


class Wire:
    """One Streamer behind one Puller; each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()
        self.puller = Puller(heartbeat=1.0)
        self.changes = Changes()
        self.streamer, self.address = peers.serve("--puller", self.puller.address)
        self.puller.wait_subscribers(1)
        self.channel = peers.channel(self.address)

    def stream(self, **options):
        return Stream(self.channel, **options)

    def push(self, collection, identifier, **fields):
        self.puller.push(self.changes.make(
            {"collection": collection, "id": identifier, "fields": fields}, "default"))

    def test_deadline(self):
        stream = self.stream(timeout=2.0)
        stream.ask(subscribe("a", "users"))
        self.checks.equal(stream.end(), grpc.StatusCode.DEADLINE_EXCEEDED, "the client's deadline")
        stream = self.stream(metadata=[("grpc-timeout", "1500m")])  # the client does not look at it
        stream.ask(subscribe("a", "users"))
        self.checks.equal(stream.end(), grpc.StatusCode.DEADLINE_EXCEEDED, "the server's deadline")

    def test_gzip(self):
        stream = self.stream(compression=grpc.Compression.Gzip)
        stream.send(subscribe("g" * 500, "zipped", ("text", "==", "a" * 5000)))
        message = stream.receive()
        if message is None:
            self.checks.equal(stream.end(), grpc.StatusCode.UNIMPLEMENTED, "gzip refused cleanly")
            return
        self.checks.equal((message.subscribe_response.success,
                           message.subscribe_response.subscription_id), (True, "g" * 500), "gzip")
        self.push("zipped", "d1", text="a" * 5000)
        self.checks.equal(stream.delivery().event.document_id, "d1", "a delivery to it")

    def test_answers_first(self):
        """A gateway that does not read: its heartbeat is answered ahead of what is queued."""
        narrow = peers.channel(self.address, [("grpc.http2.bdp_probe", 0)])
        stream = Stream(narrow, reading=False)
        stream.send(subscribe("all", "heavy"))
        iterator = iter(stream.call)
        self.checks.that(next(iterator).subscribe_response.success, "subscribed")
        witness = self.stream()
        witness.ask(subscribe("last", "heavy", ("last", "==", True)))
        count, text = 600, "x" * 10000
        for number in range(count):
            self.push("heavy", f"d{number}", text=text, last=number == count - 1)
        witness.delivery(30)
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.timestamp = 77
        stream.send(message)
        kinds = []
        while kinds.count("delivery") < count or "heartbeat_ack" not in kinds:
            kinds.append(next(iterator).WhichOneof("payload"))
        at = kinds.index("heartbeat_ack")
        self.checks.that(at < count // 2, "the answer overtakes", at)
        self.checks.equal(len(kinds), count + 1, "and nothing is lost")
        stream.cancel()
        narrow.close()

    def test_nested_lists(self):
        """34 kB of lists in lists cost only the one who sends them."""
        bystander = self.stream()
        bystander.ask(subscribe("a", "calm"))
        nested = b"\x0a\x01x"  # string_value
        while len(nested) < 34000:
            for tag in (b"\x0a", b"\x2a"):  # ListValue.values, Value.list_value
                nested = tag + varint(len(nested)) + nested
        rule = b"\x0a\x01f\x12\x02==\x1a" + varint(len(nested)) + nested
        request = b"\x0a\x01b\x12\x04calm\x1a" + varint(len(rule)) + rule
        stream = self.stream()
        stream.send(b"\x0a" + varint(len(request)) + request)
        message = stream.receive()
        self.checks.that(message is None or not message.subscribe_response.success,
                         "refused", message)
        self.push("calm", "d1")
        self.checks.equal(bystander.delivery().event.document_id, "d1", "others go on")
        self.checks.equal(bystander.heartbeat(9).heartbeat_ack.timestamp, 9, "both ways")

    def test_resume(self):
        """A Puller that goes away: the Streamer comes back after its newest marker."""
        stream = self.stream()
        stream.ask(subscribe("a", "lasting"))
        self.push("lasting", "d1")
        self.checks.equal(stream.delivery().event.document_id, "d1", "before")
        before = len(self.puller.subscribers)
        address, log = self.puller.address, self.puller.log
        self.puller.stop()
        self.puller = Puller(address)
        self.puller.log = log
        self.puller.begin()
        self.push("lasting", "d2")
        self.checks.equal(stream.delivery(30).event.document_id, "d2", "after")
        consumer, after = self.puller.subscribers[0]
        self.checks.that(syntrix.parse_progress(after).get("default_mongo", "").startswith(
            "1767225600-"), "with the newest marker", after)
        self.checks.that(consumer, "a consumer id")
        self.checks.that(before >= 1, "subscribed before")
        self.checks.equal(stream.heartbeat(4).heartbeat_ack.timestamp, 4, "nothing twice")

    def run(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
        self.checks.equal(self.streamer.child.poll(), None, "the streamer still runs")
        self.checks.equal(self.streamer.stop(), 0, "SIGTERM ends it with status 0")
        self.channel.close()
        self.puller.stop()
        return self.checks.finish()


def varint(number):
    made = b""
    while number > 127:
        made += bytes([number & 127 | 128])
        number >>= 7
    return made + bytes([number])


if __name__ == "__main__":
    peers.run(lambda: Wire().run())
