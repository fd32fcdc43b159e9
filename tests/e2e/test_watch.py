#!/usr/bin/python3
"""streamer watch on a terminal and in a pipe: what it shows, and every way in which it ends."""

import concurrent.futures
import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
from peers import Process, STREAMER, streamer_pb2  # noqa: E402

PROBE = {"op": "insert", "database": "default", "collection": "users", "id": "u1",
         "data": {"name": "Zoë"}}
SUBSCRIBED = "streamer watch: subscribed to default/users"
FAILURES = 3  # of an expression in a row, before its subscriber is told


def command(address, *options):
    return [STREAMER, "watch", "--streamer", address, "--database", "default", "--collection",
            "users", *options]


class Terminal:
    """A watch that has a terminal of 40 columns for its stdout, and a pipe for its stderr."""

    def __init__(self, address, *options, columns=40, **environment):
        self.ours, theirs = pty.openpty()
        kept = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
        subprocess.run(["stty", "cols", str(columns), "-opost"], stdin=theirs, check=True)
        self.process = Process(command(address, *options), stdout=theirs,
                               env={**kept, "TERM": "xterm", "TZ": "UTC", **environment})
        os.close(theirs)
        self.text = b""
        self.process.wait_line(SUBSCRIBED)

    def line(self, seconds=20):
        """The next one."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.text:
            if not select.select([self.ours], [], [], deadline - time.monotonic())[0]:
                raise AssertionError(f"no line on the terminal: {self.text} {self.process.tail()}")
            self.text += os.read(self.ours, 65536)
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def close(self):
        os.close(self.ours)


class Foreign:
    """A Streamer, made with grpcio, that knows no expressions or says what it is told to say."""

    def __init__(self, is_original, items=()):
        self.is_original, self.items = is_original, items
        self.seen = []  # what kinds of requests came
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        handler = grpc.stream_stream_rpc_method_handler(
            self.stream, streamer_pb2.GatewayMessage.FromString,
            streamer_pb2.StreamerMessage.SerializeToString)
        service, method = peers.STREAM.strip("/").split("/")
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.address = f"localhost:{self.server.add_insecure_port('localhost:0')}"
        self.server.start()

    def stream(self, requests, _):
        for request in requests:
            kind = request.WhichOneof("payload")
            self.seen.append(kind)
            answer = streamer_pb2.StreamerMessage()
            if kind == "subscribe":
                answer.subscribe_response.subscription_id = request.subscribe.subscription_id
                answer.subscribe_response.success = True
            elif kind == "heartbeat":
                answer.heartbeat_ack.timestamp = request.heartbeat.timestamp
            elif self.is_original:
                continue  # it does not know a Hello
            else:
                answer.welcome.version = 1
            yield answer
            yield from self.items if kind == "subscribe" else ()


class Wire:
    """What lies between a watch and its Streamer, and can be cut."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.far = (host, int(port))
        self.listener = socket.create_server(("localhost", 0))
        self.address = f"localhost:{self.listener.getsockname()[1]}"
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.listener.accept()[0]
            far = socket.create_connection(self.far)
            self.ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        ends, self.ends = self.ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Watch:
    """Each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()
        self.server = self.address = None

    def say(self, change):
        self.server.say(json.dumps(change, ensure_ascii=False))

    def watch(self, *options, **more):
        """One whose subscription is live."""
        made = Process(command(self.address, *options), **more)
        made.wait_line(SUBSCRIBED)
        return made

    def call(self, *options, address=None):
        return subprocess.run(command(address or self.address, *options), capture_output=True,
                              encoding="utf-8", timeout=20, stdin=subprocess.DEVNULL, check=False)

    def test_terminal(self):
        terminal = Terminal(self.address)
        self.say({"op": "insert", "database": "default", "collection": "users", "id": "u1",
                  "data": {"text": "ab\x1b[31m \u202e\x07" + "x" * 100}})
        line = terminal.line()
        self.checks.that(re.match(r"\x1b\[2m\d\d:\d\d:\d\d\.\d{3} \x1b\[0m\x1b\[32mINSERT\x1b\[0m "
                                  r"users/\x1b\[1mu1\x1b\[0m \{", line), "an insert's colors", line)
        plain = re.sub(r"\x1b\[\d*m", "", line)
        self.checks.equal((len(plain), plain[-1]), (40, "…"), "cut to the width")
        self.say(dict(PROBE, op="update", id="日本\u009b2J\x07語"))
        line = terminal.line()
        self.checks.that("\x1b[33mUPDATE" in line, "an update's color", line)
        self.checks.that("/\x1b[1m日本?2J?語\x1b[0m" in line,
                         "no control character of a document reaches the terminal", line)
        plain = re.sub(r"\x1b\[\d*m", "", line)
        self.checks.equal(len(plain), 40 - 3, "wide characters take two columns")
        self.say({"op": "delete", "database": "default", "collection": "users", "id": "u1"})
        line = terminal.line()
        self.checks.that(re.search(r"\x1b\[31mDELETE\x1b\[0m users/\x1b\[1mu1\x1b\[0m ", line),
                         "a delete", line)
        terminal.close()
        self.checks.equal(terminal.process.wait(), 0, "a terminal that goes away")

    def test_no_color(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            terminal = Terminal(self.address, **environment)
            self.say(PROBE)
            line = terminal.line()
            self.checks.that(re.match(r"\d\d:\d\d:\d\d\.\d{3} INSERT users/u1 \{.*…$", line),
                             f"{environment}", line)
            terminal.process.stop()
            terminal.close()
        terminal = Terminal(self.address, "--json", "--count", "1")
        self.say(PROBE)
        line = terminal.line()
        self.checks.equal(json.loads(line)["document"]["name"], "Zoë", "--json is neither colored"
                          " nor cut")
        self.checks.equal(terminal.process.wait(), 0, "--count")
        terminal.close()

    def test_pipe(self):
        watch = self.watch("--count", "1")
        self.say(dict(PROBE, data={"text": "x" * 500}))
        self.checks.equal(watch.wait(), 0, "--count")
        self.checks.that(len(watch.lines["out"]) == 1 and re.match(
            r"\d\d:\d\d:\d\d\.\d{3} INSERT users/u1 \{.*x{500}.*\}$", watch.lines["out"][0]),
            "neither colored nor cut", watch.lines["out"])

    def test_strings(self):
        watch = self.watch("--json", "--count", "2")
        name = 'a"b\\c\n\t\x01é😀'
        self.say(dict(PROBE, id=name, data={"s": name}))
        self.say({"op": "delete", "database": "default", "collection": "users", "id": name})
        self.checks.equal(watch.wait(), 0, "--count")
        first, second = (json.loads(line) for line in watch.lines["out"])
        self.checks.equal((first["document_id"], first["document"]["s"]), (name, name), "escapes")
        self.checks.equal((second["operation"], second["document_id"],
                           second["document"]["deleted"], "s" in second["document"]),
                          ("DELETE", name, True, False), "a delete has what a tombstone has")

    def test_id_and_filters(self):
        name = 'q"\\'
        watch = self.watch("--json", "--count", "1", "--id", name, "--filter", " n  >=  2 ")
        for number in range(4):
            self.say(dict(PROBE, id=name, data={"n": number}))
            self.say(dict(PROBE, data={"n": number}))
        self.checks.equal(watch.wait(), 0, "ends")
        record = json.loads(watch.lines["out"][0])
        self.checks.equal((record["document_id"], record["document"]["n"]), (name, 2), "both hold")

    def test_no_document(self):
        watch = self.watch("--json", "--count", "2", "--no-document", "--filter", "n > 0")
        for number in range(3):
            self.say(dict(PROBE, id=f"u{number}", data={"n": number}))
        self.checks.equal(watch.wait(), 0, "ends")
        records = [json.loads(line) for line in watch.lines["out"]]
        self.checks.equal([(record["document_id"], record["document"]) for record in records],
                          [("u1", None), ("u2", None)], "which documents, and nothing of them")

    def test_where(self):
        watch = self.watch("--json", "--count", "2", "--filter", "n < 4",
                           "--where", "n > 1 && name.startsWith('Z')")
        for number in range(5):
            self.say(dict(PROBE, id=f"u{number}", data={"n": number, "name": "Zoë"}))
            self.say(dict(PROBE, data={"n": number, "name": "Ada"}))
        self.checks.equal(watch.wait(), 0, "ends")
        records = [json.loads(line) for line in watch.lines["out"]]
        self.checks.equal([record["document_id"] for record in records], ["u2", "u3"],
                          "expression and filter both hold")
        watch = self.watch("--count=1", "--where=event.operation == 'DELETE' && _id in ['u7']")
        for change in (dict(PROBE, id="u7"), dict(PROBE, op="delete", id="u8"),
                       dict(PROBE, op="delete", id="u7")):
            self.say({name: change[name] for name in change if name != "data"})
        self.checks.equal(watch.wait(), 0, "ends")
        self.checks.that(re.search(" DELETE users/u7 ", watch.lines["out"][0]), "the one change",
                         watch.lines["out"])

    def test_where_refused(self):
        for expression, place, words, hint in (
                ("age >", "line 1, column 6", "ends too early", "value"),
                ("age = 18", "line 1, column 5", "no operator '='", "=="),
                ("age > 18 &&\n  größe(age) > 1", "line 2, column 5", "in quotes", ""),
                ("name == 'ö' && nosuch(age)", "line 1, column 16", "no function 'nosuch'",
                 "man 7 streamer-cel"),
                ("1 + 1", "expression", "not a bool", "compare")):
            for more in ((), ("--json",)):
                done = self.call("--where", expression, *more)
                self.checks.equal((done.returncode, done.stdout), (1, ""), f"{expression!r} {more}")
                self.checks.that("the subscription is refused" in done.stderr
                                 and place in done.stderr and words in done.stderr,
                                 f"{expression!r}: {place}: {words}", done.stderr)
                self.checks.that(hint in done.stderr.rpartition("; ")[2], "what would be right",
                                 done.stderr)
        for options in (("--where", ""), ("--where",)):
            done = self.call(*options)
            self.checks.that(done.returncode == 2 and "--where" in done.stderr,
                             f"{options} is usage", done.stderr)

    def test_where_keeps_failing(self):
        """One word on stderr, which is no change: --count goes on."""
        watch = self.watch("--json", "--count", "1", "--where", "price * 1.5 > 1.0")
        for _ in range(2 * FAILURES):
            self.say(dict(PROBE, data={"price": 2}))
        watch.wait_line("streamer watch: the expression keeps failing: .*type")
        self.say(dict(PROBE, data={"price": 2.0}))
        self.checks.equal(watch.wait(), 0, "a change that matches still comes")
        self.checks.equal((len(watch.lines["out"]), len(watch.lines["err"])), (1, 2), "said once")

    def test_where_of_an_original(self):
        """It would ignore the expression and send the whole collection: it is not even asked."""
        original = Foreign(is_original=True)
        done = self.call("--where", "age > 18", address=original.address)
        self.checks.equal((done.returncode, done.stdout), (1, ""), "refused")
        self.checks.that("refused: this Streamer does not know expressions" in done.stderr, "why",
                         done.stderr)
        self.checks.that("subscribe" not in original.seen, "and never asked", original.seen)
        watch = Process(command(original.address, "--filter", "age > 18"))
        watch.wait_line("subscribed to default/users")
        self.checks.equal(watch.stop(), 0, "what it knows, it is asked for")
        original.server.stop(0).wait()

    def test_gap_and_notice(self):
        """Both are said in their place, neither is a change."""
        delivery, gap, notice = (streamer_pb2.StreamerMessage() for _ in range(3))
        delivery.delivery.subscription_ids.append("s")
        delivery.delivery.event.event_id = "e"
        delivery.delivery.event.operation = streamer_pb2.OPERATION_TYPE_DELETE
        gap.gap.reason, gap.gap.events = streamer_pb2.Gap.SOURCE, 7
        gap.gap.subscription_ids.append("s")
        notice.notice.subscription_id, notice.notice.text = "s", "keeps failing"
        foreign = Foreign(False, [delivery, notice, gap, delivery])
        done = self.call("--where", "age > 18", "--count", "2", "--json", address=foreign.address)
        self.checks.equal(done.returncode, 0, "ends")
        self.checks.equal([json.loads(line)["event_id"] for line in done.stdout.splitlines()],
                          ["e", "e"], "the changes on stdout")
        self.checks.equal(sorted(done.stderr.splitlines()[1:]),
                          ["streamer watch: changes are missing here",
                           "streamer watch: the expression keeps failing"], "the rest on stderr")
        self.checks.equal(foreign.seen[:3], ["hello", "heartbeat", "subscribe"], "Hello is first")
        foreign.server.stop(0).wait()

    def test_refused(self):
        for condition, meant in (("age", "FIELD OP JSON"), ("age>=18", "FIELD OP JSON"),
                                 ("age = 18", "=="), ("name == nobody", '"text"'),
                                 ("age in [1,", "filter 1"), ("", "FIELD OP JSON")):
            done = self.call(f"--filter={condition}")
            self.checks.equal((done.returncode, done.stdout), (2, ""), f"{condition!r} is usage")
            self.checks.that(meant in done.stderr, f"{condition!r}: {meant}", done.stderr)
        done = self.call("--filter", "n == 1", "--filter", "m == x")
        self.checks.that(done.returncode == 2 and "filter 2" in done.stderr, "which one it is",
                         done.stderr)
        done = self.call("--filter", "age in 5")
        self.checks.that(done.returncode == 1 and "refused" in done.stderr
                         and "list" in done.stderr, "refused by the Streamer", done.stderr)
        done = self.call("--count", "0")
        self.checks.equal(done.returncode, 2, "--count 0")

    def test_connection(self):
        done = self.call(address="localhost:1")
        self.checks.that(done.returncode == 1 and "localhost:1" in done.stderr, "nobody listens",
                         done.stderr)
        done = self.call(address="nonsense")
        self.checks.that(done.returncode == 2 and "nonsense" in done.stderr, "no address",
                         done.stderr)
        server, address = peers.serve("--source", "ndjson:-")
        watch = Process(command(address, "--json", "--count", "2"))
        watch.wait_line(SUBSCRIBED)
        server.say(json.dumps(dict(PROBE, id="before")))
        watch.wait_line('"before"', output="out")
        for number, words in ((signal.SIGKILL, "lost"), (signal.SIGTERM, "shut")):
            server.stop(number)
            watch.wait_line(f"{words}.*; trying again")
            server, _ = peers.serve("--source", "ndjson:-", listen=address)
            watch.wait_line("connected again")
            watch.wait_line("changes are missing here")
            with watch.changed:
                watch.lines["err"].clear()
        server.say(json.dumps(dict(PROBE, id="after")))
        self.checks.equal(watch.wait(), 0, "--count counts on")
        self.checks.equal([json.loads(line)["document_id"] for line in watch.lines["out"]],
                          ["before", "after"], "the changes, once each")
        server.stop()

    def test_cuts(self):
        """The Streamer stays, only the connection goes: each change comes once, in order."""
        wire = Wire(self.address)
        watch = Process(command(wire.address, "--json", "--filter", "cut == true",
                                "--count", "3000"))
        watch.wait_line(SUBSCRIBED)
        for number in range(3000):
            self.say(dict(PROBE, id=str(number), data={"cut": True}))
            if number % 1000 == 500:
                wire.cut()
                watch.wait_line("lost.*; trying again")
            if number % 1000 == 800:
                watch.wait_line("connected again")
                with watch.changed:
                    watch.lines["err"].clear()
        self.checks.equal(watch.wait(), 0, "--count")
        self.checks.equal([int(json.loads(line)["document_id"]) for line in watch.lines["out"]],
                          list(range(3000)), "every change, once, in order")
        self.checks.equal(watch.lines["err"], [], "and no gap")

    def test_reconnect(self):
        """--reconnect waits for who has never been there."""
        server, address = peers.serve("--source", "ndjson:-")
        server.stop()
        watch = Process(command(address, "--reconnect", "--count", "1"))
        watch.wait_line(f"cannot connect to {address}; trying again")
        server, _ = peers.serve("--source", "ndjson:-", listen=address)
        watch.wait_line(SUBSCRIBED)
        server.say(json.dumps(PROBE))
        self.checks.equal(watch.wait(), 0, "--count")
        self.checks.equal(len(watch.lines["err"]), 2, "and no other word")
        server.stop()

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            watch = self.watch("--json")
            self.checks.equal(watch.stop(number), 0, f"signal {number} ends it with status 0")
            self.checks.equal(len(watch.lines["err"]), 1, "without a word")

    def test_reader_leaves(self):
        for moment in ("between changes", "at a change"):
            ours, theirs = os.pipe()
            watch = self.watch("--json", stdout=theirs)
            os.close(theirs)
            if moment == "at a change":
                self.say(PROBE)
                self.checks.that(os.read(ours, 100000).endswith(b"\n"), "a line at once")
            os.close(ours)
            self.say(PROBE)
            self.checks.equal(watch.wait(), 0, f"the reader leaves {moment}")
            self.checks.equal(len(watch.lines["err"]), 1, "without a word")

    def test_reader_stands_still(self):
        """A full pipe holds up the stream, not signals; and lines stay whole while it is slow."""
        ours, theirs = os.pipe()
        stuck = self.watch("--json", stdout=theirs)
        os.close(theirs)
        other = self.watch("--json", "--filter", "last == true", "--count", "1")
        for number in range(200):
            self.say(dict(PROBE, data={"n": number, "text": "x" * 10000}))
        self.say(dict(PROBE, data={"last": True}))
        self.checks.equal(other.wait(), 0, "another gets its changes meanwhile")
        text = bytearray()
        while text.count(b"\n") < 100:
            text += os.read(ours, 65536)
        numbers = [json.loads(line)["document"]["n"] for line in text.split(b"\n")[:100]]
        self.checks.equal(numbers, list(range(100)), "whole lines, in order")
        self.checks.equal(stuck.child.poll(), None, "it waits for its reader")
        self.checks.equal(stuck.stop(), 0, "SIGTERM while nobody reads")
        os.close(ours)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            watch = self.watch(stdout=full)
        self.say(PROBE)
        self.checks.equal(watch.wait(), 1, "a full disk")
        self.checks.that("No space left" in watch.lines["err"][-1], "the reason", watch.tail())

    def run(self):
        self.server, self.address = peers.serve("--source", "ndjson:-", "--expression-failures-max",
                                                str(FAILURES))
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
        self.checks.equal(self.server.stop(), 0, "the Streamer")
        return self.checks.finish()


if __name__ == "__main__":
    peers.run(lambda: Watch().run())
