#!/usr/bin/python3
"""The Streamer's wire as a grpcio peer sees it: answers, refusals, ends of a call, deliveries."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import Stream, streamer_pb2, subscribe  # noqa: E402
from puller import Puller  # noqa: E402

DATABASE = "default"
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
SOON = 3  # seconds within which what happens "at once" must have happened on a busy machine


class Source:
    """Makes changes and gives them to a Puller."""

    def __init__(self, puller):
        self.puller = puller
        self.count = 0

    def change(self, op_type, collection, document, data, **more):
        """A change in the long form; more: members of full_doc, or of the change with change=."""
        self.count += 1
        when = {"t": 1767225600, "i": self.count}
        mgo_doc_id = syntrix.mongo_id(DATABASE, collection, document)
        full_doc = syntrix.stored_document(DATABASE, collection, mgo_doc_id, data,
                                           self.count, (1000, 2000))
        identifier = syntrix.event_id(when["t"], when["i"], "documents", mgo_doc_id)
        outer = more.pop("change", {})
        full_doc.update(more)
        change = {"event_id": identifier, "database": DATABASE, "mgo_coll": "documents",
                  "mgo_doc_id": mgo_doc_id, "op_type": op_type, "full_doc": full_doc,
                  "cluster_time": when, "timestamp": 1767225600000 + self.count,
                  "txn_number": 0, "backend": "default_mongo"}
        change.update(outer)
        return change

    def push(self, *arguments, **more):
        change = self.change(*arguments, **more)
        self.puller.push(change)
        return change


class Wire:
    """One Streamer behind one Puller; each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()
        self.puller = Puller(heartbeat=1.0)
        self.source = Source(self.puller)
        self.streamer, self.address = peers.serve("--puller", self.puller.address)
        self.puller.wait_subscribers(1)
        self.channel = peers.channel(self.address)

    def stream(self, **options):
        return Stream(self.channel, **options)

    def refused(self, stream, message, wanted):
        answer = stream.ask(message)
        self.checks.that(not answer.success and answer.error.startswith(wanted),
                         f"refused: {wanted}", (answer.success, answer.error))

    def test_subscribe(self):
        stream = self.stream()
        answer = stream.ask(subscribe("a", "users"))
        self.checks.equal((answer.subscription_id, answer.success, answer.error),
                          ("a", True, ""), "a subscription is answered")
        made = [stream.ask(subscribe("", "users")) for _ in range(2)]
        for answer in made:
            self.checks.that(answer.success and re.match(UUID, answer.subscription_id),
                             "an empty id is given one", answer.subscription_id)
        self.checks.that(made[0].subscription_id != made[1].subscription_id, "ids differ")
        answer = stream.ask(subscribe("a", "other"))
        self.checks.equal((answer.subscription_id, answer.success, answer.error),
                          ("a", False, "subscription ID already exists"), "an id twice")
        answer = self.stream().ask(subscribe("a", "users"))
        self.checks.that(answer.success, "the same id on another stream", answer.error)

    def test_refusals(self):
        stream = self.stream()
        compile_error = "failed to compile filters: "
        for op in ("eq", "array-contains", "", "=", "IN", "== "):
            self.refused(stream, subscribe(f"op{op}", "users", ("age", op, 1)),
                         compile_error + "unsupported operator: " + op)
        message = subscribe("v", "users")
        message.subscribe.filters.add(field="age", op="==")
        self.refused(stream, message, compile_error + "value is nil")
        message.subscribe.filters[0].op = "eq"
        self.refused(stream, message, compile_error + "value is nil")
        message.subscribe.filters[0].op = "=="
        message.subscribe.filters[0].value.SetInParent()
        self.refused(stream, message,
                     compile_error + "unsupported proto value type: <nil>")
        message.subscribe.filters[0].op = "in"
        message.subscribe.filters[0].value.list_value.values.add()
        self.refused(stream, message,
                     compile_error + "unsupported proto value type: <nil>")
        for number, wrong in enumerate([("a", "in", 5), ("a", "<", [1]), ("a", ">=", []),
                                        ("a", "==", float("nan")), ("a", "<", float("inf")),
                                        ("_id", "==", 5), ("_id", "in", ["a", 1])]):
            self.refused(stream, subscribe(f"w{number}", "users", wrong), compile_error)
        self.checks.that(stream.ask(subscribe("v", "users")).success,
                         "a refused id is free, the stream lives on")

    def test_quiet(self):
        """What has no answer."""
        stream = self.stream()
        stream.ask(subscribe("a", "quiet"))
        for identifier in ("a", "unknown"):
            message = streamer_pb2.GatewayMessage()
            message.unsubscribe.subscription_id = identifier
            stream.send(message)
        stream.send(streamer_pb2.GatewayMessage())
        stream.send(b"")
        stream.send(b"\xba\x1f\x02hi")  # field 503, unknown
        began = time.monotonic()
        message = stream.heartbeat(1234567890123)
        self.checks.equal(message.heartbeat_ack.timestamp, 1234567890123,
                          "the heartbeat's answer comes first, echoed")
        self.checks.that(time.monotonic() - began < SOON, "at once")
        self.source.push("insert", "quiet", "d1", {"id": "d1"})
        self.checks.equal(stream.heartbeat(-5).heartbeat_ack.timestamp, -5,
                          "nothing more for an ended subscription; a negative time")
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.SetInParent()
        stream.send(message)
        self.checks.equal(stream.receive().WhichOneof("payload"), "heartbeat_ack",
                          "an empty heartbeat, as the original's client sends it")
        self.checks.that(stream.ask(subscribe("a", "quiet")).success, "the id is free again")

    def test_ends(self):
        stream = self.stream()
        stream.ask(subscribe("a", "users"))
        began = time.monotonic()
        stream.half_close()
        status = stream.end()
        self.checks.that(time.monotonic() - began < SOON, "half-close ends the call at once",
                         status)
        method = self.channel.unary_unary("/syntrix.streamer.v1.StreamerService/Nothing")
        self.status(lambda: method(b"", timeout=10), grpc.StatusCode.UNIMPLEMENTED,
                    "an unknown method")
        method = self.channel.unary_unary("/a.b.C/Stream")
        self.status(lambda: method(b"", timeout=10), grpc.StatusCode.UNIMPLEMENTED,
                    "an unknown service")
        stream = self.stream()
        stream.ask(subscribe("a", "users"))
        stream.send(subscribe("x" * (5 << 20), "users"))
        self.checks.equal(stream.end(), grpc.StatusCode.RESOURCE_EXHAUSTED,
                          "a message of 5 MiB")
        stream = self.stream()
        stream.send(b"\x0a\xff\xff\xff\x7f")
        self.checks.that(stream.end() not in (None, grpc.StatusCode.OK),
                         "bytes that are no message", stream.status)
        stream = self.stream()
        stream.send(b"\x0a\x05\x0a\x03\xff\xfe\xfd")
        message = stream.receive()
        self.checks.that(message is None or not message.subscribe_response.success,
                         "a string that is not UTF-8", message)
        self.checks.that(self.stream().ask(subscribe("a", "users")).success,
                         "the connection's other streams live on")

    def status(self, call, wanted, name):
        try:
            call()
            self.checks.that(False, name, "no error")
        except grpc.RpcError as error:
            self.checks.equal(error.code(), wanted, name)

    def test_deadline(self):
        stream = self.stream(timeout=2.0)
        stream.ask(subscribe("a", "users"))
        self.checks.equal(stream.end(), grpc.StatusCode.DEADLINE_EXCEEDED, "the client's deadline")
        stream = self.stream(metadata=[("grpc-timeout", "1500m")])  # the client does not look at it
        stream.ask(subscribe("a", "users"))
        self.checks.equal(stream.end(), grpc.StatusCode.DEADLINE_EXCEEDED, "the server's deadline")
        stream = self.stream()
        stream.ask(subscribe("a", "users"))
        stream.cancel()
        self.checks.equal(stream.end(), grpc.StatusCode.CANCELLED, "cancelled")

    def test_gzip(self):
        stream = self.stream(compression=grpc.Compression.Gzip)
        stream.send(subscribe("g" * 500, "zipped", ("text", "==", "a" * 5000)))
        message = stream.receive()
        if message is None:
            self.checks.equal(stream.end(), grpc.StatusCode.UNIMPLEMENTED, "gzip refused cleanly")
            return
        self.checks.equal((message.subscribe_response.success,
                           message.subscribe_response.subscription_id), (True, "g" * 500), "gzip")
        self.source.push("insert", "zipped", "d1", {"id": "d1", "text": "a" * 5000})
        self.checks.equal(stream.delivery().event.document_id, "d1", "a delivery to it")

    def test_delivery(self):
        stream = self.stream()
        stream.ask(subscribe("all", "users"))
        stream.ask(subscribe("one", "users", ("_id", "==", "u1")))
        stream.ask(subscribe("adult", "users", ("age", ">=", 18.0)))
        stream.ask(subscribe("gone", "users", ("deleted", "==", True)))
        stream.ask(subscribe("elsewhere", "users", database="other"))
        data = {"id": "u1", "age": 25, "name": "Jörg <&> \u2028 \"x\"", "big": 9007199254740993,
                "huge": 18446744073709551615, "ratio": 2.5, "nil": None, "list": [1, [2]],
                "version": "mine", "updatedAt": 1, "collection": "fake", "deleted": "maybe"}
        pushed = [self.source.push("insert", "users", "u1", data),
                  self.source.push("insert", "users/u1/posts", "p1", {"id": "p1"}),
                  self.source.push("update", "users", "u1", {"id": "u1", "age": 3}),
                  self.source.push("delete", "users", "u9", None,
                                   change={"full_doc": None, "database": ""}),
                  self.source.push("drop", "users", "u1", data),
                  self.source.push("update", "users", "u1", {}, deleted=True),
                  self.source.push("replace", "users", "u1", {"id": "u1", "age": 18}),
                  self.source.push("replace", "users", "u2", {"id": "u2"}, deleted=True),
                  self.source.push("insert", "users", "u3", None),
                  self.source.push("insert", "users", "u4", {"id": 5, "age": "old"})]
        wanted = [(0, ["adult", "all", "one"]), (2, ["all", "one"]), (5, ["all", "gone", "one"]),
                  (6, ["adult", "all", "one"]), (7, ["all", "gone"]), (8, ["all"]), (9, ["all"])]
        past, expected = oracle.Past(), {}
        for change in pushed:
            expected[change["event_id"]] = oracle.Expected(change, past)
        for index, ids in wanted:
            change = pushed[index]
            self.delivered(stream.delivery(), expected[change["event_id"]], change, ids)
        self.checks.equal(stream.heartbeat().WhichOneof("payload"), "heartbeat_ack",
                          "and nothing more")

    def delivered(self, delivery, expected, change, ids):
        operations = {"INSERT": 1, "UPDATE": 2, "DELETE": 4}
        event = delivery.event
        name = f"{change['op_type']} {change['event_id']}"
        self.checks.equal(sorted(delivery.subscription_ids), ids, name + " ids")
        self.checks.equal(
            (event.event_id, event.database, event.collection, event.document_id,
             event.operation, event.timestamp),
            (change["event_id"], DATABASE, change["full_doc"]["collection"],
             expected.document["id"], operations[expected.operation], change["timestamp"]), name)
        pairs = oracle.json.loads(event.document_data, object_pairs_hook=list)
        self.checks.equal(len(dict(pairs)), len(pairs), name + " has each key once")
        self.checks.equal(oracle.parse(event.document_data),
                          oracle.document_data(expected.document), name + " data")

    def test_bad_documents(self):
        """Refused documents reach whole-collection subscriptions, without data."""
        stream = self.stream()
        stream.ask(subscribe("all", "odd"))
        stream.ask(subscribe("one", "odd", ("_id", "==", "d1")))
        stream.ask(subscribe("some", "odd", ("n", "!=", 7)))
        for data in (b'{"id":"d1","n":1e999}', b'{"id":"d1","n":"\\ud800"}'):
            change = self.source.change("insert", "odd", "d1", {"id": "d1"})
            change["full_doc"] = syntrix.go_json(change["full_doc"]).replace(b'{"id":"d1"}', data)
            self.puller.push(change)
            delivery = stream.delivery()
            self.checks.equal((sorted(delivery.subscription_ids), delivery.event.document_id,
                               delivery.event.document_data), (["all", "one"], "d1", b""),
                              f"refused document {data!r}")
        change = self.source.change("insert", "odd", "d1", {"id": "d1"})
        change["full_doc"] = b"no JSON"
        self.puller.push(change)
        self.source.push("insert", "odd", "d2", {"id": "d2"})
        self.checks.equal(stream.delivery().event.document_id, "d2", "no JSON is passed over")

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
            self.source.push("insert", "heavy", f"d{number}",
                             {"id": f"d{number}", "text": text, "last": number == count - 1})
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
        self.source.push("insert", "calm", "d1", {"id": "d1"})
        self.checks.equal(bystander.delivery().event.document_id, "d1", "others go on")
        self.checks.equal(bystander.heartbeat(9).heartbeat_ack.timestamp, 9, "both ways")

    def test_extensions_stay_away(self):
        """A peer that did not say Hello sees no payload from 100."""
        stream = self.stream()
        stream.ask(subscribe("a", "plain"))
        self.source.push("insert", "plain", "d1", {"id": "d1"})
        message = stream.receive()
        self.checks.equal(message.WhichOneof("payload"), "delivery", "a delivery")

    def test_resume(self):
        """A Puller that goes away: the Streamer comes back after its newest marker."""
        stream = self.stream()
        stream.ask(subscribe("a", "lasting"))
        self.source.push("insert", "lasting", "d1", {"id": "d1"})
        self.checks.equal(stream.delivery().event.document_id, "d1", "before")
        before = len(self.puller.subscribers)
        address, log = self.puller.address, self.puller.log
        self.puller.stop()
        self.puller = Puller(address)
        self.puller.log = log
        self.puller.push()
        self.source.puller = self.puller
        self.source.push("insert", "lasting", "d2", {"id": "d2"})
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
