#!/usr/bin/python3
"""Expressions over real sockets: Hello and Welcome, what matches, refusals, notices."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
from peers import Stream, streamer_pb2, subscribe  # noqa: E402
from puller import Puller  # noqa: E402
from table_rows import Changes  # noqa: E402

Code = streamer_pb2.SubscribeResponse.Code
FAILURES = 5  # in a row, before a notice

# expression, and the documents of DOCUMENTS for which it is true
DOCUMENTS = {
    "u1": {"name": "Ada", "age": 36, "room": "a", "tags": ["new", "vip"], "price": 25,
           "address": {"city": "London"}, "lines": [{"sku": "x", "n": 2}, {"sku": "y", "n": 1}]},
    "u2": {"name": "Bob", "age": 17, "room": "b", "tags": [], "price": 2.5, "type": "text"},
    "u3": {"name": "Cleo", "age": 18.0, "room": None, "big": 9007199254740993},
}
MATCHES = [
    ("age > 18", ["u1"]),
    ("doc.age >= 18", ["u1", "u3"]),
    ("18 < age && room in ['a', 'b']", ["u1"]),
    ("age < 18 || name.startsWith('C')", ["u2", "u3"]),
    ("!(age > 18)", ["u2", "u3"]),
    ("room == null", ["u3"]),
    ("has(doc.address) && address.city == 'London'", ["u1"]),
    ("doc.?address.city.orValue('') == 'London'", ["u1"]),
    ("tags.exists(t, t == 'vip')", ["u1"]),
    ("lines.exists(l, l.sku == 'x' && l.n > 1)", ["u1"]),
    ("size(tags) == 0", ["u2"]),
    ("'vip' in tags", ["u1"]),
    ("type == 'text'", ["u2"]),
    ("double(price) * 1.1 > 20.0", ["u1"]),
    ("price * 1.1 > 1.0", ["u2"]),  # of an integer it is an error
    ("big == 9007199254740993", ["u3"]),
    ("big == 9007199254740992", []),
    ("name.matches('^[A-B]')", ["u1", "u2"]),
    ("_id == 'u2'", ["u2"]),
    ("_id in ['u1', 'u3'] && age > 20", ["u1"]),
    ("_id.endsWith('3')", ["u3"]),
    ("event.operation == 'INSERT'", ["u1", "u2", "u3"]),
    ("event.collection == 'people' && event.database == 'default'", ["u1", "u2", "u3"]),
    ("event.timestamp > timestamp('2020-01-01T00:00:00Z')", ["u1", "u2", "u3"]),
    ("timestamp('2100-01-01T00:00:00Z') < event.timestamp", []),
    ("event.id != ''", ["u1", "u2", "u3"]),
    ("nothing == 1", []),
    ("nothing == 1 || age > 30", ["u1"]),
    ("!(nothing == 1)", []),
]

REFUSALS = [  # expression, code, line, column, part of the text, part of the hint
    ("age >", "EXPRESSION", 1, 6, "ends too early", ""),
    ("age = 18", "EXPRESSION", 1, 5, "no operator '='", "=="),
    ("age > 18 &&\n  nosuch(age)", "EXPRESSION", 2, 3, "no function 'nosuch'", "man 7"),
    ("1 + 1", "EXPRESSION", 1, 1, "gives a int", "compare"),
    ("_id == 5", "EXPRESSION", 1, 5, "does not work", ""),
    ("event.nosuch == 1", "EXPRESSION", 1, 1, "no variable", "event.operation"),
    ("a.all(x, a.all(y, a.all(z, x == z)))", "COST", 1, 1, "steps", "macro"),
    ("(" * 200 + "true" + ")" * 200, "LIMIT", 1, 101, "nesting", ""),
    ("'" + "x" * 70000 + "' == name", "LIMIT", 1, 1, "at most", ""),
]


def hello(after=b"", message_bytes_max=0):
    message = streamer_pb2.GatewayMessage()
    message.hello.version = 1
    message.hello.gateway_id = "gateway-1"
    message.hello.after = after
    message.hello.message_bytes_max = message_bytes_max
    return message


def by_expression(identifier, collection, expression, *filters):
    message = subscribe(identifier, collection, *filters)
    message.subscribe.expression = expression
    return message


class Expressions:
    """One Streamer behind one Puller; each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()
        self.puller = Puller(heartbeat=1.0)
        self.changes = Changes()
        self.streamer, self.address = peers.serve(
            "--puller", self.puller.address, "--expression-failures-max", str(FAILURES),
            "--expression-steps-max", "20000")
        self.puller.wait_subscribers(1)
        self.channel = peers.channel(self.address)

    def stream(self, *first):
        stream = Stream(self.channel)
        for message in first:
            stream.send(message)
        return stream

    def introduced(self):
        stream = self.stream(hello())
        self.checks.equal(stream.receive().WhichOneof("payload"), "welcome", "a Welcome")
        return stream

    def push(self, collection, identifier, fields):
        self.change({"collection": collection, "id": identifier, "fields": fields})

    def change(self, short):
        self.puller.push(self.changes.make(short, "default"))

    def test_welcome(self):
        stream = self.stream(hello())
        welcome = stream.receive().welcome
        self.checks.equal((welcome.version, welcome.resume), (1, 0), "version, LIVE")
        self.checks.that(welcome.message_bytes_max >= 1 << 20, "what the server takes", welcome)
        self.checks.equal(stream.heartbeat(7).heartbeat_ack.timestamp, 7, "the heartbeat behind it")
        self.checks.equal(self.stream(hello()).receive().welcome.epoch, welcome.epoch,
                          "one epoch a life")
        self.checks.that(welcome.epoch != 0, "which is some number")

    def test_epoch(self):
        """Whichever worker a connection comes to, it is the same Streamer; another life is not."""
        epochs = []
        for _ in range(2):
            streamer, address = peers.serve("--source", "ndjson:-", "--workers", "3")
            seen = set()
            for _ in range(3):
                stream = Stream(peers.channel(address))
                stream.send(hello())
                seen.add(stream.receive().welcome.epoch)
                stream.cancel()
            self.checks.equal(len(seen), 1, "one epoch on all workers")
            epochs.append(seen.pop())
            streamer.stop()
        self.checks.that(epochs[0] != epochs[1], "another one after a restart", epochs)

    def test_a_position_is_answered_by_a_gap(self):
        stream = self.stream(hello(after=b"a position"))
        self.checks.equal(stream.receive().welcome.resume, 2, "GAP")
        gap = stream.receive().gap
        self.checks.equal((gap.reason, gap.after), (0, b"a position"), "a Gap UNKNOWN stands first")

    def test_hello_is_first_or_never(self):
        stream = self.stream(hello(), hello())
        stream.receive()
        self.checks.equal(stream.end(), grpc.StatusCode.INVALID_ARGUMENT, "a second Hello")
        stream = self.stream()
        stream.heartbeat()
        stream.send(hello())
        self.checks.equal(stream.end(), grpc.StatusCode.INVALID_ARGUMENT, "a late Hello")

    def test_matches(self):
        stream = self.introduced()
        for number, (expression, _) in enumerate(MATCHES):
            answer = stream.ask(by_expression(str(number), "people", expression))
            self.checks.that(answer.success, expression, answer.error)
        stream.ask(subscribe("all", "people"))
        stream.ask(by_expression("both", "people", "age > 10", ("room", "==", "b")))
        seen = {}
        for identifier, fields in DOCUMENTS.items():
            self.push("people", identifier, fields)
            delivery = stream.delivery()
            self.checks.equal(delivery.event.document_id, identifier, "in order")
            seen[identifier] = set(delivery.subscription_ids)
        for number, (expression, wanted) in enumerate(MATCHES):
            self.checks.equal([name for name in seen if str(number) in seen[name]], wanted,
                              expression)
        self.checks.equal([name for name in seen if "both" in seen[name]], ["u2"],
                          "filters and expression")

    def test_omitted_documents(self):
        """Once with the document and once without; the first says that there is more."""
        for stream, knows_more in ((self.introduced(), True), (self.stream(), False)):
            for identifier, omits in (("bare", True), ("whole", False), ("bare-too", True)):
                request = subscribe(identifier, "omitted")
                request.subscribe.omit_document = omits
                stream.ask(request)
            self.push("omitted", "d1", {"text": "x" * 1000})
            whole, bare = stream.delivery(), stream.delivery()
            self.checks.equal((list(whole.subscription_ids), sorted(bare.subscription_ids)),
                              (["whole"], ["bare", "bare-too"]), "for whom")
            self.checks.equal((len(whole.event.document_data) > 1000, bare.event.document_data),
                              (True, b""), "the document")
            whole.event.ClearField("document_data")
            self.checks.equal(whole.event, bare.event, "and nothing else differs")
            self.checks.equal((whole.more, whole.position, bare.more, len(bare.position) > 0),
                              (knows_more, b"", False, knows_more), "one event, one position")

    def test_omitted_documents_are_not_too_large(self):
        stream = self.stream(hello(message_bytes_max=100000))
        self.checks.equal(stream.receive().WhichOneof("payload"), "welcome", "a Welcome")
        for identifier, omits in (("bare", True), ("whole", False)):
            request = subscribe(identifier, "large")
            request.subscribe.omit_document = omits
            stream.ask(request)
        self.push("large", "d1", {"text": "x" * 200000})
        gap = stream.receive().gap
        self.checks.equal((list(gap.subscription_ids), gap.until), (["whole"], b""),
                          "a Gap for who wants the document")
        bare = stream.delivery()
        self.checks.equal((list(bare.subscription_ids), len(bare.position) > 0), (["bare"], True),
                          "and the change for who does not")

    def test_deletes(self):
        stream = self.introduced()
        for identifier, expression in (("id", "_id == 'd1'"), ("field", "age > 1"),
                                       ("gone", "event.operation == 'DELETE' && deleted"),
                                       ("other", "_id == 'd2'")):
            stream.ask(by_expression(identifier, "mortals", expression))
        self.push("mortals", "d1", {"age": 5})
        self.checks.equal(sorted(stream.delivery().subscription_ids), ["field", "id"], "an INSERT")
        self.change({"collection": "mortals", "id": "d1", "op": "update", "deleted": True})
        self.checks.equal(sorted(stream.delivery().subscription_ids), ["gone", "id"], "its DELETE")

    def test_refusals(self):
        stream = self.introduced()
        for expression, code, line, column, text, hint in REFUSALS:
            answer = stream.ask(by_expression("r", "refused", expression))
            name = expression[:40]
            self.checks.equal((answer.success, Code.Name(answer.code), answer.line, answer.column),
                              (False, code, line, column), name)
            self.checks.that(answer.error.startswith("failed to compile filters: expression, line "
                                                     f"{line}, column {column}: ") or
                             answer.error.startswith("failed to compile filters: expression: "),
                             f"{name}: the text", answer.error)
            self.checks.that(text in answer.error and hint in answer.hint, f"{name}: the words",
                             (answer.error, answer.hint))
        answer = stream.ask(by_expression("r", "refused", "age > 1", ("a", "eq", 1)))
        self.checks.equal((Code.Name(answer.code), answer.filter, answer.line), ("FILTER", 1, 0),
                          "a filter's refusal names the filter")
        self.checks.that(stream.ask(by_expression("r", "refused", "age > 1")).success,
                         "the stream lives on")

    def test_notices(self):
        known, unknown = self.introduced(), self.stream()
        for stream in (known, unknown):
            stream.ask(by_expression("fails", "failing", "price * 1.5 > 1.0"))
            stream.ask(by_expression("slow", "failing", "numbers.all(x, x * 3 + 1 > 0)"))
            stream.ask(subscribe("all", "failing"))
        for number in range(FAILURES + 3):
            self.push("failing", f"d{number}", {"price": 2, "numbers": [1] * 9000})
        notices, deliveries = [], 0
        while deliveries < FAILURES + 3 or len(notices) < 2:
            message = known.receive()
            if message.WhichOneof("payload") == "notice":
                notices.append((message.notice.subscription_id, message.notice.code))
            else:
                deliveries += 1
        self.checks.equal(sorted(notices), [("fails", 0), ("slow", 1)], "one notice each")
        for _ in range(FAILURES + 3):
            self.checks.equal(list(unknown.delivery().subscription_ids), ["all"],
                              "none for who has not said Hello")

    def run(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
        self.checks.equal(self.streamer.child.poll(), None, "the streamer still runs")
        self.checks.equal(self.streamer.stop(), 0, "SIGTERM ends it with status 0")
        self.channel.close()
        self.puller.stop()
        return self.checks.finish()


if __name__ == "__main__":
    peers.run(lambda: Expressions().run())
