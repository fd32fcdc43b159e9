#!/usr/bin/python3
"""The program as its user meets it: help, mistakes, NDJSON, watch, the puller command, ending."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import Process, STREAMER, puller_pb2  # noqa: E402

SHORT = [
    {"op": "insert", "database": "default", "collection": "users", "id": "u1",
     "data": {"name": "Zoë", "age": 25}},
    {"op": "update", "database": "default", "collection": "users", "id": "u1",
     "data": {"name": "Zoë", "age": 26}},
    {"op": "insert", "database": "default", "collection": "users", "id": "u2", "data": {"age": 3}},
    {"op": "insert", "database": "other", "collection": "users", "id": "u3", "data": {"age": 99}},
    {"op": "replace", "database": "default", "collection": "users", "id": "u2",
     "data": {"age": 44}},
]
RECORD = {"event_id", "database", "collection", "document_id", "operation", "document",
          "timestamp", "subscription_ids"}


def long_form(number, document, data):
    mgo_doc_id = syntrix.mongo_id("default", "users", document)
    identifier = syntrix.event_id(1767225600, number, "documents", mgo_doc_id)
    return {"event_id": identifier, "database": "default", "mgo_coll": "documents",
            "mgo_doc_id": mgo_doc_id, "op_type": "insert",
            "full_doc": syntrix.stored_document("default", "users", mgo_doc_id,
                                                dict(data, id=document), 1, (1000, 2000)),
            "cluster_time": {"t": 1767225600, "i": number}, "timestamp": 5000 + number,
            "txn_number": 0, "backend": "default_mongo",
            "progress": syntrix.progress({"default_mongo": identifier})}


class Cli:
    """Each method is a section."""

    def __init__(self, folder):
        self.checks = peers.Checks()
        self.folder = folder

    def file(self, name, lines):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            for line in lines:
                text = line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
                out.write(text + "\n")
        return path

    def call(self, *arguments, seconds=20, **options):
        return subprocess.run([STREAMER, *arguments], capture_output=True, encoding="utf-8",
                              timeout=seconds, stdin=subprocess.DEVNULL, check=False, **options)

    def test_help(self):
        done = self.call("--help")
        self.checks.equal((done.returncode, done.stderr), (0, ""), "--help")
        for command in ("serve", "puller", "watch"):
            self.checks.that(f"streamer {command}" in done.stdout, f"an example of {command}",
                             done.stdout)
            one = self.call(command, "--help")
            self.checks.that(one.returncode == 0 and "--" in one.stdout, f"{command} --help",
                             (one.returncode, one.stdout, one.stderr))
        for option in ("--puller", "--source", "--listen", "--workers"):
            self.checks.that(option in self.call("serve", "--help").stdout, f"serve {option}")
        done = self.call("--version")
        self.checks.that(done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout),
                         "--version", done.stdout)

    def test_mistakes(self):
        for arguments, meant in ((["serve", "--worker", "2"], "--workers"),
                                 (["serve", "--pullr=x"], "--puller"),
                                 (["watch", "--databse", "d"], "--database"),
                                 (["puller", "--fil", "x"], "--file"),
                                 (["serv"], "serve"), (["wach"], "watch")):
            done = self.call(*arguments)
            self.checks.equal(done.returncode, 2, f"{arguments} is a usage error")
            self.checks.that(meant in done.stderr, f"{arguments}: {meant} was meant", done.stderr)
            self.checks.equal(done.stdout, "", f"{arguments} leaves stdout alone")
        for arguments in (["serve", "--workers", "many"], ["serve", "--workers", "257"],
                          ["serve", "--workers"], ["serve", "--source", "csv:x"],
                          ["puller"], ["watch", "--database", "d"], [],
                          ["watch", "--database", "d", "--collection", "c", "--filter", "age"],
                          ["serve", "stray"]):
            done = self.call(*arguments)
            self.checks.equal(done.returncode, 2, f"{arguments} is a usage error")
            self.checks.that(done.stderr, f"{arguments} says why")
        path = self.file("none", [])
        for arguments in (["serve", "--source", f"ndjson:{path}-missing"],
                          ["puller", "--file", f"{path}-missing"]):
            done = self.call(*arguments, "--listen", "localhost:0")
            self.checks.equal(done.returncode, 1, f"{arguments[0]} of a missing file fails")
            self.checks.that("missing" in done.stderr, "and names it", done.stderr)

    def test_port_taken(self):
        with socket.create_server(("localhost", 0)) as taken:
            port = taken.getsockname()[1]
            done = self.call("serve", "--source", "ndjson:-", "--listen", f"localhost:{port}")
            self.checks.equal(done.returncode, 1, "a port that is taken")
            self.checks.that(str(port) in done.stderr, "is named", done.stderr)

    def serve_file(self, name, lines, *options):
        path = self.file(name, lines)
        return self.call("serve", "--source", "ndjson:" + path, "--listen", "localhost:0", *options)

    def test_ndjson_file(self):
        good = SHORT + [long_form(1, "long", {"age": 7})]
        done = self.serve_file("good", good, "--exit-at-end")
        self.checks.equal(done.returncode, 0, f"a file to its end: {done.stderr[-300:]}")
        self.checks.equal(done.stdout, "", "the log is on stderr")
        bad = good[:2] + ['{"op":"insert",'] + good[2:]
        for name, line in (("cut", bad[2]), ("no object", "[1]"), ("no op", '{"id":"x"}'),
                           ("unknown op", '{"op":"upsert","collection":"c","id":"x","data":{}}'),
                           ("not UTF-8", None)):
            lines = good[:2] + [line or "?"] + good[2:]
            path = self.file("bad", lines)
            if line is None:
                with open(path, "rb") as text:
                    content = text.read().replace(b"\n?\n", b'\n{"op":"insert","id":"\xff"}\n')
                with open(path, "wb") as text:
                    text.write(content)
            arguments = ["serve", "--source", "ndjson:" + path, "--listen", "localhost:0",
                         "--exit-at-end"]
            done = self.call(*arguments)
            self.checks.equal(done.returncode, 1, f"a bad line ({name}) ends it")
            self.checks.that(re.search(r"\b3\b", done.stderr), f"{name}: its number", done.stderr)
            done = self.call(*arguments, "--skip-bad")
            self.checks.equal(done.returncode, 0, f"--skip-bad passes over it ({name})")

    def feed(self, server, watch, count):
        """Changes until the watcher has printed that many lines: so it is known to be there."""
        deadline = time.monotonic() + 20
        while len(watch.lines["out"]) < count and watch.child.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"watch shows nothing: {watch.tail()} {server.tail()}")
            server.say(json.dumps({"op": "insert", "database": "default", "collection": "users",
                                   "id": "probe", "data": {"probe": True, "age": 100}}))
            time.sleep(0.05)

    def watch(self, address, *options):
        return Process([STREAMER, "watch", "--streamer", address, "--database", "default",
                        "--collection", "users", *options])

    def test_ndjson_watch(self):
        server, address = peers.serve("--source", "ndjson:-", "--exit-at-end")
        everything = self.watch(address, "--json")
        adults = self.watch(address, "--json", "--filter", "age >= 18", "--filter",
                            'name != "nobody"')
        probes = self.watch(address, "--json", "--filter", "probe == true")
        one = self.watch(address, "--json", "--id", "u2")
        reader = self.watch(address)
        self.feed(server, everything, 1)
        self.feed(server, probes, 1)
        self.feed(server, reader, 1)
        for watch, change in ((adults, {"name": "probe", "age": 18}), (one, {"id": "u2"})):
            deadline = time.monotonic() + 20
            while not watch.lines["out"] and time.monotonic() < deadline:
                server.say(json.dumps({"op": "insert", "database": "default", "id": "u2",
                                       "collection": "users", "data": dict(change, early=1)}))
                time.sleep(0.05)
        for change in SHORT + [long_form(1, "long", {"age": 7})]:
            server.say(json.dumps(change, ensure_ascii=False))
        last = {"op": "insert", "database": "default", "collection": "users", "id": "last",
                "data": {"name": "last", "age": 50, "probe": True}}
        server.say(json.dumps(last))
        server.say(json.dumps(dict(last, id="u2")))
        for watch in (everything, adults, probes):
            watch.wait_line('"document_id": ?"last"', output="out")
        one.wait_line('"age": ?50', output="out")
        reader.wait_line("last", output="out")
        self.checks.that(any("Zoë" in line for line in reader.lines["out"]), "a readable form",
                         reader.lines["out"][-5:])
        self.check_watched(everything, adults, one)
        server.child.stdin.close()
        self.checks.equal(server.wait(), 0, "--exit-at-end at the end of stdin")

    @staticmethod
    def records(watch):
        made = [json.loads(line) for line in watch.lines["out"]]
        return [record for record in made if record["document_id"] not in ("probe", "last")
                and not record["document"].get("early") and "probe" not in record["document"]]

    def check_watched(self, everything, adults, one):
        seen = self.records(everything)
        self.checks.equal([(record["document_id"], record["operation"], record["document"]["age"])
                           for record in seen],
                          [("u1", "INSERT", 25), ("u1", "UPDATE", 26), ("u2", "INSERT", 3),
                           ("u2", "INSERT", 44), ("long", "INSERT", 7)], "watch --json")
        for record in seen:
            self.checks.equal(set(record), RECORD, "the members of a record")
            self.checks.equal((record["database"], record["collection"],
                               len(record["subscription_ids"])), ("default", "users", 1), "named")
        self.checks.equal(len({record["event_id"] for record in seen}), 5, "event ids differ")
        wanted = long_form(1, "long", {"age": 7})
        self.checks.equal((seen[-1]["event_id"], seen[-1]["timestamp"],
                           seen[-1]["document"]["updatedAt"]),
                          (wanted["event_id"], wanted["timestamp"], 2000), "the long form is kept")
        self.checks.equal([record["document"]["age"] for record in self.records(adults)],
                          [25, 26], "filters")
        self.checks.equal([record["document"]["age"] for record in self.records(one)], [3, 44],
                          "--id")

    def test_watch_count(self):
        server, address = peers.serve("--source", "ndjson:-")
        watch = self.watch(address, "--json", "--count", "3")
        self.feed(server, watch, 3)
        self.checks.equal(watch.wait(), 0, "--count ends it")
        self.checks.equal(len(watch.lines["out"]), 3, "with that many lines")
        done = self.call("watch", "--streamer", address, "--database", "default", "--collection",
                         "users", "--filter", "age eq 5")
        self.checks.that(done.returncode in (1, 2) and "eq" in done.stderr, "a refused filter",
                         (done.returncode, done.stderr))
        server.child.stdin.close()
        time.sleep(0.5)
        self.checks.equal(server.child.poll(), None, "a source at its end stays up")
        began = time.monotonic()
        self.checks.equal(server.stop(), 0, "SIGTERM: status 0")
        self.checks.that(time.monotonic() - began < 10, "soon")

    def subscribe(self, to, after, count):
        """(event ids, markers, error) of that many changes."""
        method = to.unary_stream(peers.SUBSCRIBE, puller_pb2.SubscribeRequest.SerializeToString,
                                 puller_pb2.PullerEvent.FromString)
        call = method(puller_pb2.SubscribeRequest(consumer_id=f"c{after}{count}", after=after),
                      timeout=15)
        events = []
        try:
            for event in call:
                if event.HasField("change_event"):
                    events.append(event)
                if len(events) == count:
                    break
        except grpc.RpcError as error:
            return events, error
        call.cancel()
        return events, None

    def test_puller(self):
        changes = [long_form(number, f"u{number}", {"age": number, "text": "<ü>"})
                   for number in range(1, 21)]
        path = self.file("long", changes)
        puller = Process([STREAMER, "puller", "--file", path, "--listen", "localhost:0"])
        port = puller.wait_line(r"listening on \S+:(\d+)").group(1)
        to = peers.channel(f"localhost:{port}")
        events, error = self.subscribe(to, "e30", 20)
        self.checks.equal([event.change_event.event_id for event in events],
                          [change["event_id"] for change in changes], f"all, from e30 {error}")
        for event, change in zip(events, changes):
            self.checks.equal(event.progress, change["progress"], "its marker")
            self.checks.equal(json.loads(event.change_event.full_doc), change["full_doc"],
                              "full_doc")
            self.checks.equal((event.change_event.cluster_time.i, event.change_event.mgo_doc_id,
                               event.change_event.op_type, event.change_event.backend),
                              (change["cluster_time"]["i"], change["mgo_doc_id"], "insert",
                               "default_mongo"), "its fields")
        events, error = self.subscribe(to, changes[4]["progress"], 15)
        self.checks.equal([event.change_event.event_id for event in events],
                          [change["event_id"] for change in changes[5:]], f"resumed {error}")
        _, error = self.subscribe(to, "no marker!", 1)
        self.checks.equal((error and error.code(), error and error.details()[:31]),
                          (grpc.StatusCode.INVALID_ARGUMENT, "invalid 'after' progress marker"),
                          "a bad marker")
        to.close()
        self.checks.equal(puller.stop(), 0, "SIGTERM: status 0")

    def test_chain(self):
        """puller, serve and watch, all ours."""
        path = self.file("chain", SHORT[:3] + [long_form(9, "long", {"age": 7})])
        puller = Process([STREAMER, "puller", "--file", path, "--listen", "localhost:0",
                          "--rate", "500", "--loop"])
        port = puller.wait_line(r"listening on \S+:(\d+)").group(1)
        server, address = peers.serve("--puller", f"localhost:{port}")
        watch = self.watch(address, "--json", "--filter", "age > 3", "--count", "60")
        self.checks.equal(watch.wait(), 0, f"60 changes of a loop: {watch.tail()}")
        records = [json.loads(line) for line in watch.lines["out"]]
        self.checks.equal(len({record["event_id"] for record in records}), 60,
                          "each round has new event ids")
        ages = [record["document"]["age"] for record in records]
        at = [25, 26, 7].index(ages[0])
        self.checks.equal(ages, ([25, 26, 7] * 22)[at:at + 60], "in order")
        times = [tuple(map(int, record["event_id"].split("-")[:2])) for record in records]
        self.checks.equal(times, sorted(set(times)), "each round has new cluster times")
        self.checks.equal(server.stop(), 0, "serve ends with status 0")
        self.checks.equal(puller.stop(), 0, "puller ends with status 0")

    def run(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
            Process.end_all()
        return self.checks.finish()


def main():
    with tempfile.TemporaryDirectory(prefix="streamer-cli-") as folder:
        return Cli(folder).run()


if __name__ == "__main__":
    peers.run(main)
