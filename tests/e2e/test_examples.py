#!/usr/bin/python3
"""The programs in examples/: the engine by itself, the gateway and the Puller beside a Streamer."""

import importlib.util
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
from peers import Process, puller_pb2  # noqa: E402

PULLER = os.path.join(peers.ROOT, "examples", "puller", "puller.py")
ENGINE = """\
moving is live
large is live
all is live
wrong is refused: .+
INSERT orders/o1 {"state":"paid","total":250,.*} for all large
INSERT orders/o2 {"state":"open","total":12,.*} for all
INSERT orders/o3 {"state":"sent","total":40,.*} for all moving
DELETE orders/o1 {.*"deleted":true} for all
"""


def in_order(text):
    """The ids behind the last "for" of each line have no order of their own."""
    return re.sub(r"(?<= for ).*$", lambda ids: " ".join(sorted(ids[0].split())), text,
                  flags=re.MULTILINE)


def load_puller():
    """The example as a module; tests/e2e has another one of its name."""
    spec = importlib.util.spec_from_file_location("example_puller", PULLER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Examples:
    """Each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()
        self.puller = load_puller()

    def gateway(self, address):
        """One that is connected."""
        gateway = Process([os.environ["EXAMPLE_GATEWAY"], address, "default"])
        gateway.wait_line("^connection", output="out")
        return gateway

    def test_engine(self):
        done = subprocess.run([os.environ["EXAMPLE_ENGINE"]], capture_output=True, timeout=60,
                              encoding="utf-8", check=False)
        self.checks.equal((done.returncode, done.stderr), (0, ""), "the engine ends well")
        self.checks.that(re.fullmatch(ENGINE, in_order(done.stdout)), "what it prints", done.stdout)

    def test_gateway(self):
        server, address = peers.serve("--source", "ndjson:-")
        gateway = self.gateway(address)
        gateway.say("sub grown users age >= 18")
        gateway.say("sub all users")
        gateway.say("sub wrong users age >=")
        gateway.wait_line("^live: grown$", output="out")
        gateway.wait_line("^live: all$", output="out")
        gateway.wait_line(r"^refused: wrong: .*\(line 1, column 7\)$", output="out")
        gateway.say("subscribe x")
        gateway.wait_line("^error: .*sub ID COLLECTION", output="out")
        server.say('{"op":"insert","database":"default","collection":"users","id":"u1",'
                   '"data":{"age":36}}')
        gateway.wait_line('^INSERT users/u1 {"age":36,.*} for (all grown|grown all)$', output="out")
        gateway.say("unsub all")
        gateway.say("sub last users")  # behind the unsub, and so is its answer
        gateway.wait_line("^live: last$", output="out")
        server.say('{"op":"insert","database":"default","collection":"users","id":"u2",'
                   '"data":{"age":40}}')
        gateway.wait_line("^INSERT users/u2 .* for (grown last|last grown)$", output="out")
        gateway.child.stdin.close()
        self.checks.equal(gateway.wait(), 0, "its client has gone")
        server.stop()

    def test_gateway_notice(self):
        """An expression that fails for every change is said to whom it belongs."""
        server, address = peers.serve("--source", "ndjson:-", "--expression-failures-max", "2")
        gateway = self.gateway(address)
        gateway.say("sub broken users name + 1 > 2")
        gateway.wait_line("^live: broken$", output="out")
        for number in range(3):
            server.say('{"op":"insert","database":"default","collection":"users",'
                       f'"id":"u{number}","data":{{"name":"Zoë"}}}}')
        gateway.wait_line("^notice: .+ for broken$", output="out")
        gateway.stop()
        server.stop()

    def test_gateway_end(self):
        """When the Streamer goes, the gateway is told, and waits for it to come back."""
        server, address = peers.serve("--source", "ndjson:-")
        gateway = self.gateway(address)
        server.stop()
        gateway.wait_line("^connection lost", output="out")
        self.checks.that(gateway.child.poll() is None, "it waits", gateway.tail())
        gateway.stop()
        mistaken = subprocess.run([os.environ["EXAMPLE_GATEWAY"], "no port", "default"],
                                  capture_output=True, timeout=20, check=False)
        self.checks.equal(mistaken.returncode, 1, "no address")

    def test_puller(self):
        """As its README runs it."""
        puller = Process([sys.executable, PULLER, "--listen", "localhost:0"])
        port = puller.wait_line(r"listening on port (\d+)").group(1)
        server, address = peers.serve("--puller", f"localhost:{port}")
        puller.wait_line(r"reads from \(0, 0\)")
        gateway = self.gateway(address)
        gateway.say("sub all users")
        gateway.wait_line("^live: all$", output="out")
        puller.say('insert default users u1 {"name":"Zoë"}')
        puller.say("insert default users")
        puller.say("delete default users u1")
        gateway.wait_line('^INSERT users/u1 .*"name": "Zoë"', output="out")
        gateway.wait_line("^DELETE users/u1 .* for all$", output="out")
        puller.wait_line("^puller: insert default users: ")
        for process in (gateway, server, puller):
            process.stop()

    def test_resume(self):
        """The Puller goes away and comes back: what has changed in between is not missed."""
        log = self.puller.Log()
        before, port = self.puller.serve(log, "localhost:0")
        server, address = peers.serve("--puller", f"localhost:{port}",
                                      "--puller-backoff-min-ms", "50")
        server.wait_line("connected to the puller")
        gateway = self.gateway(address)
        gateway.say("sub all users")
        gateway.wait_line("^live: all$", output="out")
        log.add("insert", "default", "users", "u1", {})
        gateway.wait_line("^INSERT users/u1 ", output="out")
        before.stop(0).wait()
        log.add("update", "default", "users", "u1", {"n": 2})
        log.add("insert", "default", "users", "u2", {"n": 3})
        after, _ = self.puller.serve(log, f"localhost:{port}")
        gateway.wait_line('^UPDATE users/u1 {"n": 2', output="out")
        gateway.wait_line('^INSERT users/u2 {"n": 3', output="out")
        self.checks.equal(sum(" users/u1 " in line for line in gateway.lines["out"]), 2,
                          "each change once")
        for process in (gateway, server):
            process.stop()
        after.stop(0).wait()

    def abandon(self, log, ask):
        """As many callers as the Puller has threads, who go when each holds one that waits."""
        self.puller.HEARTBEAT_SECONDS = 3600
        waiting, behind = threading.Semaphore(0), log.behind

        def told(position, *others):
            if position == log.newest():
                waiting.release()
            return behind(position, *others)

        log.behind = told
        calls = [ask() for _ in range(16)]
        for _ in calls:
            self.checks.that(waiting.acquire(timeout=20), "a thread that waits")
        for call in calls:
            call.cancel()

    def test_markers(self):
        """after: empty, everything, a marker, and none of ours."""
        self.puller.HEARTBEAT_SECONDS = 0.1
        log = self.puller.Log()
        for number in range(3):
            log.add("insert", "default", "users", f"u{number}", {})
        server, port = self.puller.serve(log, "localhost:0")
        ask = peers.channel(f"localhost:{port}").unary_stream(
            peers.SUBSCRIBE, request_serializer=puller_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=puller_pb2.PullerEvent.FromString)

        def read(after, count):
            call = ask(puller_pb2.SubscribeRequest(consumer_id="test", after=after), timeout=20)
            events = [next(call) for _ in range(count)]
            call.cancel()
            return events

        everything = read("e30", 4)
        times = [(event.change_event.cluster_time.t, event.change_event.cluster_time.i)
                 for event in everything[:3]]
        self.checks.that(times == sorted(set(times)), "times only grow", times)
        self.checks.that(not everything[3].HasField("change_event")
                         and everything[3].progress == everything[2].progress,
                         "a heartbeat says where it stands", everything[3])
        self.checks.equal([event.progress for event in read(everything[0].progress, 2)],
                          [event.progress for event in everything[1:3]], "what is behind a marker")
        self.checks.that(not read("", 1)[0].HasField("change_event"), "nothing of the past")
        try:
            read("bm9uZQ", 1)
            self.checks.that(False, "a marker that is none is refused")
        except grpc.RpcError as error:
            self.checks.equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "a bad marker")
        self.abandon(log, lambda: ask(puller_pb2.SubscribeRequest(after="e30")))
        self.checks.equal(len(read("e30", 3)), 3, "threads are given back")
        server.stop(0).wait()


def main():
    test = Examples()
    for name in sorted(name for name in dir(test) if name.startswith("test_")):
        with test.checks.section(name):
            getattr(test, name)()
    return test.checks.finish()


if __name__ == "__main__":
    peers.run(main)
