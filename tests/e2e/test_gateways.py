#!/usr/bin/python3
"""Gateways' bad days: a peer made of raw frames stalls, dribbles, floods, drops or dies beside a
grpcio gateway that gets everything in order meanwhile; no more memory than the limits add up to.

  tests/e2e/test_gateways.py             all cases
  tests/e2e/test_gateways.py stall 50    those with one of these words in their name
"""

import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import raw_h2  # noqa: E402
import syntrix  # noqa: E402
from peers import Stream, streamer_pb2, subscribe  # noqa: E402
from puller import Puller  # noqa: E402

# Memory that a test runner has filled counts whether anybody uses it or not.
os.environ.pop("MALLOC_PERTURB_", None)

METERED = os.environ.get("METERED", os.path.join(peers.ROOT, "build", "tests", "e2e", "metered"))
MEGABYTE = 1 << 20
SLACK = 12 * MEGABYTE  # the engine's own: rings, buffers of a turn, the allocator's
CONNECTION = 3 * MEGABYTE  # buffers of one connection beside what the options limit
BATCH = 10  # changes of the good gateway at a time


class Engine:
    """A Streamer whose figures can be asked for, between a Puller and a good gateway."""

    def __init__(self, checks, **limits):
        self.checks = checks
        self.puller = Puller(heartbeat=5.0)
        self.pushing = threading.Lock()
        self.count = 0
        limits = {"document_ids_bytes": 0, "history_events": 0, **limits}
        words = [str(word) for pair in limits.items() for word in pair]
        self.process = peers.Process([METERED, self.puller.address, *words])
        self.answers = 0
        found = self.process.wait_line(r"listening on (\S+):(\d+)")
        self.address = f"127.0.0.1:{found.group(2)}"
        self.puller.wait_subscribers(1)
        self.channel = peers.channel(self.address)
        self.good = Stream(self.channel)
        checks.that(self.good.ask(subscribe("good", "good")).success, "a good gateway")
        self.stopping = threading.Event()
        self.batches, self.wrong = 0, ""
        self.batched = threading.Condition()
        self.traffic = threading.Thread(target=self.run_traffic, daemon=True)

    def __enter__(self):
        self.rss = self.memory()
        self.traffic.start()
        self.wait_batches(1)
        return self

    def __exit__(self, *failure):
        if failure[0] is None:
            self.wait_batches(2)
        self.stopping.set()
        self.traffic.join(20)
        self.checks.equal(self.wrong, "", "the good gateway gets everything in order")
        self.checks.equal(self.process.child.poll(), None, "the process lives")
        self.process.child.stdin.close()
        self.checks.equal(self.process.wait(), 0, "and ends well")
        self.channel.close()
        self.puller.stop()
        return False

    def push(self, collection, *documents):
        """Changes, each {"id": ...} and whatever else."""
        with self.pushing:
            for data in documents:
                self.count += 1
                mgo_doc_id = syntrix.mongo_id("default", collection, data["id"])
                self.puller.add({
                    "event_id": syntrix.event_id(1767225600, self.count, "documents", mgo_doc_id),
                    "database": "default", "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id,
                    "op_type": "insert", "cluster_time": {"t": 1767225600, "i": self.count},
                    "full_doc": syntrix.stored_document("default", collection, mgo_doc_id, data,
                                                        self.count, (1000, 2000)),
                    "timestamp": self.count, "txn_number": 0, "backend": "default_mongo"})
            self.puller.begin()

    def run_traffic(self):
        try:
            while not self.stopping.is_set():
                wanted = [f"{self.batches}-{number}" for number in range(BATCH)]
                self.push("good", *({"id": identifier} for identifier in wanted))
                seen = [self.good.delivery().event.document_id for _ in wanted]
                if seen != wanted:
                    raise AssertionError(f"{seen}, not {wanted}")
                with self.batched:
                    self.batches += 1
                    self.batched.notify_all()
        except Exception as error:  # pylint: disable=broad-except
            with self.batched:
                self.wrong = f"{type(error).__name__}: {error}"
                self.batched.notify_all()

    def wait_batches(self, more, seconds=30):
        """So many batches from now on, so that the good gateway has lived through what was."""
        with self.batched:
            until = self.batches + more
            if not self.batched.wait_for(lambda: self.batches >= until or self.wrong, seconds):
                self.wrong = "nothing comes"

    def memory(self, name="VmRSS"):
        with open(f"/proc/{self.process.child.pid}/status", encoding="ascii") as status:
            return int(re.search(name + r":\s+(\d+) kB", status.read()).group(1)) << 10

    def bounded(self, *limits):
        """The most memory so far is no more than the limits add up to."""
        grown = self.memory("VmHWM") - self.rss
        self.checks.that(grown <= sum(limits) + SLACK,
                         f"memory grew by no more than {sum(limits)} and {SLACK}", grown)

    def figures(self):
        self.process.say("figures")
        with self.process.changed:
            lines = self.process.lines["out"]
            if not self.process.changed.wait_for(lambda: "." in lines, 20):
                raise AssertionError("no figures")
            made = dict(line.rsplit(" ", 1) for line in lines if line[0] not in "#.")
            del lines[:]
        return {name.split("{")[0].removeprefix("streamer_").removesuffix("_total"): float(figure)
                for name, figure in made.items()}

    def wait_figure(self, name, least=1, rounds=400):
        """The counter's figure once it is that; asked again as the good gateway gets on."""
        for _ in range(rounds):
            figure = self.figures()[name]
            if figure >= least:
                return figure
            self.wait_batches(1)
        raise AssertionError(f"{name} stays at {figure}, not {least}")

    def logged(self, *patterns):
        """A line that has all of them, and names a gateway."""
        self.process.wait_line("".join(f"(?=.*{pattern})" for pattern in
                                       (*patterns, r"gateway=127\.0\.0\.1:\d+")))
        self.checks.passed += 1

    def peer(self, **options):
        return raw_h2.Peer(self.address, **options)


def parsed(message):
    return streamer_pb2.StreamerMessage.FromString(message)


def ask(peer, stream, message):
    """A subscribe by a raw peer, and its answer."""
    peer.say(stream, message.SerializeToString())
    return parsed(peer.receive(stream, 1)[0]).subscribe_response


def big(prefix, count, size):
    return [{"id": f"{prefix}{number}", "text": "x" * size} for number in range(count)]


def ids_of(messages):
    return [parsed(message).delivery.event.document_id for message in messages]


class Days:
    """Each method is a case."""

    def __init__(self, checks):
        self.checks = checks

    def engine(self, **limits):
        return Engine(self.checks, **limits)

    def ends_slow(self, engine, peer, stream):
        status, _ = peer.end(stream)
        self.checks.equal(status, "8", "the stream ends RESOURCE_EXHAUSTED")
        self.checks.that("queue_hard_bytes" in peer.calls[stream].headers.get("grpc-message", ""),
                         "and says by which limit", peer.calls[stream].headers)

    def test_stall_by_window(self):
        """A gateway that opens no window, while 40 MB are for it."""
        hard = 4 * MEGABYTE
        with self.engine(queue_hard_bytes=hard, queue_soft_bytes=hard) as engine:
            peer = engine.peer(grants=False)
            stream = peer.open()
            ask(peer, stream, subscribe("all", "heavy"))
            for part in range(10):
                engine.push("heavy", *big(part, 100, 40000))
            self.ends_slow(engine, peer, stream)
            engine.logged("too slow: queue_hard_bytes exceeded", r"queued_bytes=\d{7}",
                          f"queue_hard_bytes={hard}")
            self.checks.equal(engine.wait_figure("streams_slow"), 1, "counted")
            engine.bounded(hard, CONNECTION)
            peer.send(raw_h2.WINDOW_UPDATE, 0, 0, MEGABYTE.to_bytes(4, "big"))
            stream = peer.open()
            self.checks.that(ask(peer, stream, subscribe("all", "light")).success,
                             "it may come back on the same connection")
            engine.push("light", {"id": "new"})
            self.checks.equal(ids_of(peer.receive(stream, 1)), ["new"], "and is served")
            peer.close()

    def test_stall_by_socket(self):
        """A gateway whose machine reads nothing at all: its connection is given up too."""
        hard = 4 * MEGABYTE
        with self.engine(queue_hard_bytes=hard, queue_soft_bytes=hard, listen_ping_ms=300,
                         listen_ping_timeout_ms=1000) as engine:
            peer = engine.peer(window=(1 << 31) - 1, reads=False)
            peer.send(raw_h2.WINDOW_UPDATE, 0, 0, b"\x7f\x00\x00\x00")
            stream = peer.open()
            peer.say(stream, subscribe("all", "heavy").SerializeToString())
            engine.wait_figure("subscribes", 2)
            for part in range(10):
                engine.push("heavy", *big(part, 100, 40000))
            engine.logged("too slow: queue_hard_bytes exceeded", r"queued_bytes=\d{7}",
                          f"queue_hard_bytes={hard}")
            self.checks.equal(engine.wait_figure("streams_slow"), 1, "counted")
            engine.logged("the peer is dead", "ping_ms=300", "ping_timeout_ms=1000")
            self.checks.equal(engine.wait_figure("grpc_connections_dead"), 1, "counted as dead")
            engine.bounded(hard, CONNECTION)
            peer.close()

    def test_windows(self):
        """The smallest windows that HTTP/2 has by itself, and one of a single byte."""
        with self.engine() as engine:
            for window, count, size in ((65535, 200, 30000), (1, 3, 100)):
                peer = engine.peer(window=window)
                stream = peer.open()
                self.checks.that(ask(peer, stream, subscribe("all", "narrow")).success,
                                 f"a window of {window}: answered")
                documents = big(f"w{window}-", count, size)
                engine.push("narrow", *documents)
                seen = ids_of(peer.receive(stream, count))
                self.checks.equal(seen, [data["id"] for data in documents],
                                  f"a window of {window}: all in order")
                peer.close()

    def test_dribble(self):
        """A byte at a time, in frames and packets of their own."""
        with self.engine() as engine:
            peer = engine.peer()
            stream = peer.open()
            for byte in raw_h2.prefixed(subscribe("slow", "dribble").SerializeToString()):
                peer.data(stream, bytes([byte]))
            self.checks.that(parsed(peer.receive(stream, 1)[0]).subscribe_response.success,
                             "a subscribe a byte at a time is answered")
            engine.push("dribble", {"id": "d1"})
            self.checks.equal(ids_of(peer.receive(stream, 1)), ["d1"], "and served")
            peer.close()
            whole = raw_h2.frame(raw_h2.HEADERS, raw_h2.END_HEADERS, 1, raw_h2.request())
            peer = engine.peer()
            stream = peer.begin()
            for byte in whole:
                peer.raw(bytes([byte]))
            self.checks.that(ask(peer, stream, subscribe("slow", "dribble")).success,
                             "a header a byte at a time opens a stream")
            peer.close()

    def test_header_never_finished(self):
        """Headers that do not end: too many pieces, or silence."""
        with self.engine(listen_idle_ms=400) as engine:
            peer = engine.peer()
            stream = peer.begin()
            peer.send(raw_h2.HEADERS, 0, stream, raw_h2.request())
            pieces = 0
            while pieces < 100000 and not peer.closed and peer.send(
                    raw_h2.CONTINUATION, 0, stream, raw_h2.field("x", "y" * 100)):
                pieces += 1
            self.checks.that(peer.goaway is not None or peer.closed, "headers without an end",
                             pieces)
            engine.logged("Too many CONTINUATION frames")
            self.checks.that(engine.wait_figure("grpc_protocol_errors") >= 1, "counted")
            peer.close()
            peer = engine.peer()
            stream = peer.begin()
            peer.send(raw_h2.HEADERS, 0, stream, raw_h2.request())
            for flags in (0, 0, raw_h2.END_HEADERS):
                peer.send(raw_h2.CONTINUATION, flags, stream, raw_h2.field("x", "y" * 100) * 100)
            self.checks.equal(peer.end(stream)[0], "8", "large headers: RESOURCE_EXHAUSTED")
            engine.logged(r"headers of \d{5} bytes", "header_bytes_max=16384")
            self.checks.equal(engine.wait_figure("grpc_headers_too_large"), 1, "counted")
            peer.close()
            peer = engine.peer()
            peer.send(raw_h2.HEADERS, 0, peer.begin(), raw_h2.request()[:20])
            peer.wait_closed()
            engine.logged("no call is open", "idle_ms=400")
            self.checks.equal(engine.wait_figure("grpc_connections_idle"), 1, "silence is counted")
            engine.bounded(CONNECTION)

    def test_message_never_finished(self):
        """One may wait for its end; many may not hold more than the connection's limit."""
        most, size = 4 * MEGABYTE, 2 * MEGABYTE
        with self.engine(listen_unfinished_bytes_max=most,
                         listen_message_bytes_max=size) as engine:
            peer = engine.peer()
            streams = [peer.open() for _ in range(12)]
            prefix = raw_h2.prefixed(b"x" * size)[:5]
            over = [stream for stream in streams
                    if not peer.data(stream, prefix + b"x" * (size - 1000))]
            peer.wait(lambda: sum(call.status() == "8" for call in peer.calls.values())
                      >= len(streams) - 2, "ends of the streams beyond the limit")
            self.checks.that(len(over) <= len(streams) - 1, "the first may wait", over)
            engine.logged("unfinished messages of", f"unfinished_bytes_max={most}")
            self.checks.that(engine.wait_figure("grpc_messages_unfinished")
                             >= len(streams) - 2, "counted")
            stream = peer.open()
            self.checks.that(ask(peer, stream, subscribe("a", "after")).success,
                             "what fits is taken on the same connection")
            too_large = peer.open()
            peer.data(too_large, b"\0\xff\xff\xff\xff")
            self.checks.equal(peer.end(too_large)[0], "8", "a length of 4 GiB is refused at once")
            self.checks.equal(engine.wait_figure("grpc_messages_too_large"), 1, "and counted")
            engine.bounded(most, CONNECTION)
            peer.close()

    def test_resets_in_flight(self):
        """Streams dropped while bytes for them are on their way, and connections too."""
        with self.engine() as engine:
            peer = engine.peer(window=1 << 20, grants=False)
            peer.send(raw_h2.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            bystander = peer.open()
            ask(peer, bystander, subscribe("calm", "calm"))
            for number in range(60):
                stream = peer.open()
                ask(peer, stream, subscribe("all", "flight"))
                engine.push("flight", *big(f"{number}-", 3, 200000))
                peer.wait(lambda: len(peer.calls[stream].data) > 20000, "bytes in flight")
                peer.reset(stream)
            engine.push("calm", {"id": "c1"})
            self.checks.equal(ids_of(peer.receive(bystander, 1)), ["c1"],
                              "the connection's other stream lives on")
            peer.close()
            for _ in range(20):
                peer = engine.peer(window=1 << 20, grants=False)
                stream = peer.open()
                ask(peer, stream, subscribe("all", "flight"))
                engine.push("flight", *big("c", 3, 200000))
                peer.wait(lambda: len(peer.calls[stream].data) > 20000, "bytes in flight")
                peer.close()
            left = ("grpc_connections", "streams", "subscriptions_active")
            for _ in range(400):
                figures = engine.figures()
                if [figures[name] for name in left] == [2, 1, 1]:
                    break
                engine.wait_batches(1)
            self.checks.equal([figures[name] for name in left], [2, 1, 1],
                              "nothing is left of them but the Puller and the good one")
            engine.bounded(CONNECTION, 16 * MEGABYTE)

    def test_rapid_reset(self):
        """10,000 streams opened and dropped on one connection."""
        with self.engine() as engine:
            peer = engine.peer()
            cancel = raw_h2.CANCEL.to_bytes(4, "big")
            peer.raw(b"".join(
                raw_h2.frame(raw_h2.HEADERS, raw_h2.END_HEADERS, stream, raw_h2.request())
                + raw_h2.frame(raw_h2.RST_STREAM, 0, stream, cancel)
                for stream in range(1, 20000, 2)))
            peer.wait_closed()
            engine.logged("too many streams are reset", "resets_per_second=100")
            figures = engine.figures()
            self.checks.equal(figures["grpc_floods"], 1, "counted")
            self.checks.that(figures["grpc_calls"] < 1000, "and ended early",
                             figures["grpc_calls"])
            engine.bounded(CONNECTION)
            peer.close()

    def test_rapid_reset_goaway(self):
        """Just over the limit: the GOAWAY can be read, as nothing is left unread behind it."""
        with self.engine(listen_resets_per_second=1) as engine:
            peer = engine.peer()
            for _ in range(7):
                stream = peer.open()
                peer.reset(stream)
            peer.wait(lambda: peer.goaway is not None or peer.closed, "GOAWAY")
            self.checks.equal(peer.goaway, raw_h2.ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM")
            peer.close()

    def test_subscribe_flood(self):
        """Subscribes without end by a gateway that does not read the answers."""
        soft, hard = 256 << 10, 16 * MEGABYTE
        with self.engine(queue_soft_bytes=soft, queue_soft_ms=200,
                         queue_hard_bytes=hard) as engine:
            peer = engine.peer(window=0, grants=False)
            stream = peer.open()
            number = 0
            while number < 200000:
                content = b"".join(raw_h2.prefixed(subscribe(
                    f"s{number + more}", "flood").SerializeToString()) for more in range(100))
                number += 100
                if not peer.data(stream, content):
                    break
            self.checks.equal(peer.end(stream)[0], "8", "the stream ends RESOURCE_EXHAUSTED")
            self.checks.that("queue_soft_bytes" in peer.calls[stream].headers["grpc-message"],
                             "and says by which limit", peer.calls[stream].headers)
            engine.logged("too slow: queue_soft_bytes exceeded", r"queued_bytes=\d{6}",
                          f"queue_soft_bytes={soft}")
            self.checks.equal(engine.wait_figure("streams_slow"), 1, "counted")
            engine.bounded(hard, CONNECTION, number * 1000)
            peer.close()

    def test_control_flood(self):
        """PINGs and SETTINGS without end by a peer that does not read."""
        with self.engine() as engine:
            for count, flood in ((1, raw_h2.frame(raw_h2.PING, 0, 0, b"12345678")),
                                 (2, raw_h2.frame(raw_h2.SETTINGS, 0, 0))):
                peer = engine.peer(reads=False)
                peer.raw(flood * 500000)
                self.checks.equal(engine.wait_figure("grpc_floods", count), count, "counted")
                peer.close()
            engine.logged("does not read the answers", "control_frames_max=8192")
            engine.bounded(2 * CONNECTION)

    def test_nesting(self):
        """A filter's list in a list in a list, 100,000 deep."""
        with self.engine() as engine:
            peer = engine.peer()
            stream = peer.open()
            parts, size = [b"\x0a\x01x"], 3
            for _ in range(100000):
                for tag in (b"\x0a", b"\x2a"):  # ListValue.values, Value.list_value
                    parts.append(tag + varint(size))
                    size += len(parts[-1])
            nested = b"".join(reversed(parts))
            rule = b"\x0a\x01f\x12\x02==\x1a" + varint(len(nested)) + nested
            wanted = b"\x0a\x01b\x12\x04calm\x1a" + varint(len(rule)) + rule
            peer.say(stream, b"\x0a" + varint(len(wanted)) + wanted)
            answer = parsed(peer.receive(stream, 1)[0]).subscribe_response
            self.checks.that(not answer.success and answer.subscription_id == "b",
                             "refused with an answer", answer)
            self.checks.that(answer.error.startswith("failed to compile filters: "),
                             "that says why", answer.error)
            engine.logged("subscription refused")
            self.checks.that(ask(peer, stream, subscribe("b", "calm")).success,
                             "the stream lives on, the id is free")
            engine.bounded(CONNECTION, 2 * MEGABYTE)
            peer.close()

    def test_ids(self):
        """Ids of 1 byte, of 1 MiB, and of nearly a whole message."""
        with self.engine(subscription_id_bytes_max=MEGABYTE) as engine:
            stream = Stream(engine.channel)
            ids = ["i"] + [letter * MEGABYTE for letter in "abcdef"]
            for identifier in ids:
                answer = stream.ask(subscribe(identifier, "ids"))
                self.checks.that(answer.success and answer.subscription_id == identifier,
                                 f"an id of {len(identifier)} bytes", answer.error[:200])
            answer = stream.ask(subscribe("z" * (4 * MEGABYTE - 100), "ids"))
            self.checks.that(not answer.success and "subscription_id_bytes_max" in answer.error,
                             "an id of nearly 4 MiB is refused by its limit",
                             (answer.success, answer.error[:200]))
            engine.push("ids", {"id": "d1"}, {"id": "d2"})
            for document in ("d1", "d2"):
                got, parts = [], 0
                while len(got) < len(ids):
                    delivery = stream.delivery()
                    self.checks.equal(delivery.event.document_id, document, "the event of a part")
                    self.checks.that(delivery.ByteSize() <= 4 * MEGABYTE, "no part is too large",
                                     delivery.ByteSize())
                    got += delivery.subscription_ids
                    parts += 1
                self.checks.that(sorted(got) == sorted(ids), f"{document} for every id, once",
                                 [len(identifier) for identifier in got])
                self.checks.equal(parts, 2, "in as few parts as can be")
            stream.cancel()

    def test_dead(self):
        """No acknowledgement: dead. A quiet peer that acknowledges is kept, however long."""
        with self.engine(listen_ping_ms=100, listen_ping_timeout_ms=1000) as engine:
            quiet, dead = engine.peer(), engine.peer(acks=False)
            streams = {}
            for peer in (quiet, dead):
                streams[peer] = peer.open()
                ask(peer, streams[peer], subscribe("a", "quiet"))
            dead.wait_closed()
            engine.logged("the peer is dead", "ping_ms=100", "ping_timeout_ms=1000", "calls=1")
            self.checks.equal(engine.wait_figure("grpc_connections_dead"), 1, "counted")
            quiet.wait(lambda: quiet.pings >= 30, "PINGs", 60)
            engine.push("quiet", {"id": "d1"})
            self.checks.equal(ids_of(quiet.receive(streams[quiet], 1)), ["d1"],
                              "the quiet one is served after 30 PINGs")
            self.checks.equal(engine.figures()["grpc_connections_dead"], 1, "only one was dead")
            quiet.close()

    def test_large_event(self):
        """An event that is too large for a message goes without its data."""
        with self.engine(delivery_bytes_max=65536) as engine:
            peer = engine.peer()
            stream = peer.open()
            ask(peer, stream, subscribe("all", "large"))
            engine.push("large", *big("fits", 1, 60000), *big("large", 1, 70000), {"id": "after"})
            got = [parsed(message).delivery for message in peer.receive(stream, 3)]
            self.checks.equal([(delivery.event.document_id, delivery.event.document_data != b"")
                               for delivery in got],
                              [("fits0", True), ("large0", False), ("after", True)],
                              "without its data, in its place")
            self.checks.equal(engine.wait_figure("deliveries_without_data"), 1, "counted")
            peer.close()

    def test_one_of_50(self):
        """One stalled among 50: the other 49 get everything."""
        hard, others, count, wave = MEGABYTE, 49, 200, 20
        with self.engine(queue_hard_bytes=hard, queue_soft_bytes=hard) as engine:
            channels = [peers.channel(engine.address) for _ in range(7)]
            streams = [Stream(channels[number % 7]) for number in range(others)]
            for stream in streams:
                self.checks.that(stream.ask(subscribe("all", "shared")).success, "one of 49")
            peer = engine.peer(grants=False)
            stalled = peer.open()
            ask(peer, stalled, subscribe("all", "shared"))
            seen = [[] for _ in streams]
            documents = big("s", count, 20000)
            for at in range(0, count, wave):
                engine.push("shared", *documents[at:at + wave])
                for number, stream in enumerate(streams):
                    seen[number] += [stream.delivery(30).event.document_id for _ in range(wave)]
            for number in range(others):
                self.checks.equal(seen[number], [data["id"] for data in documents],
                                  f"gateway {number} of 49")
            self.ends_slow(engine, peer, stalled)
            engine.logged("too slow: queue_hard_bytes exceeded", f"queue_hard_bytes={hard}")
            self.checks.equal(engine.figures()["streams_slow"], 1, "only one was slow")
            engine.bounded(hard * (others + 1), CONNECTION * 8)
            for channel in channels:
                channel.close()
            peer.close()


def varint(number):
    made = b""
    while number > 127:
        made += bytes([number & 127 | 128])
        number >>= 7
    return made + bytes([number])


def main():
    checks = peers.Checks()
    words = sys.argv[1:]
    for name in sorted(name for name in dir(Days) if name.startswith("test_")):
        if not words or any(word in name for word in words):
            with checks.section(name):
                getattr(Days(checks), name)()
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
