#!/usr/bin/python3
"""Real input, real peers: Debian's packages through a Puller of grpcio, our Streamer and gateways
of grpcio and grpc-js; every gateway gets what a naive evaluation says, in order, once.

  tests/e2e/test_packages.py                    all packages with one worker, a part with two
  TEST_SEED=7 tests/e2e/test_packages.py        other changes and other filters
  tests/e2e/test_packages.py --limit 2000       fewer packages
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402

DATABASE = "default"
COLLECTION = "packages"
SUBSCRIPTIONS = 12  # of one gateway
MATCHED_MAX = 0.08  # of the changes, by the filters of one gateway that has no whole collection
SAMPLE = 400
SECONDS = 400


def package_index():
    """The number of packages in the index; fills it first where that is possible."""
    for attempt in (1, 2):
        found = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=True,
                               stderr=subprocess.DEVNULL).stdout.count(b"\nVersion: ")
        if found >= 1000 or attempt == 2 or os.geteuid() != 0:
            return found
        subprocess.run(["apt-get", "update"], stdout=subprocess.DEVNULL, check=False)
    return 0


def make_changes(path, limit, seed):
    """Writes the changes and one more, the last, in a collection of its own; gives its event id."""
    command = [os.path.join(peers.ROOT, "tools", "debian-packages"), "--seed", str(seed),
               "--updates", "0.15", "--database", DATABASE]
    with open(path, "w", encoding="utf-8") as out:
        subprocess.run(command + (["--limit", str(limit)] if limit else []), stdout=out, check=True)
        when = {"t": 1999999999, "i": 1}
        mgo_doc_id = syntrix.mongo_id(DATABASE, "control", "last")
        identifier = syntrix.event_id(when["t"], when["i"], "documents", mgo_doc_id)
        change = {"event_id": identifier, "database": DATABASE, "mgo_coll": "documents",
                  "mgo_doc_id": mgo_doc_id, "op_type": "insert",
                  "full_doc": syntrix.stored_document(DATABASE, "control", mgo_doc_id,
                                                      {"id": "last"}, 1, (1, 1)),
                  "cluster_time": when, "timestamp": 1, "backend": "default_mongo",
                  "progress": syntrix.progress({"default_mongo": identifier})}
        out.write(json.dumps(change) + "\n")
    return identifier


def read_changes(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield oracle.parse(line)


def sample(path, rng):
    """Some of the documents, to take filter values from."""
    kept = []
    for number, change in enumerate(read_changes(path)):
        full_doc = change.get("full_doc")
        if not oracle.operation(change) or not full_doc or full_doc["collection"] != COLLECTION:
            continue
        document = oracle.flatten(change["full_doc"])
        if len(kept) < SAMPLE:
            kept.append(document)
        elif rng.random() < SAMPLE / number:
            kept[rng.randrange(SAMPLE)] = document
    return kept


def proto_value(content):
    """A Python value as a filter's Value in proto's JSON; some integers travel as doubles."""
    if isinstance(content, bool):
        return {"bool_value": content}
    if isinstance(content, int) and content in oracle.INT64:
        return {"int_value": str(content)}
    if isinstance(content, (int, float)):
        return {"double_value": float(content)}
    if isinstance(content, str):
        return {"string_value": content}
    return {"list_value": {"values": [proto_value(item) for item in content]}}


def as_gateway(content, rng):
    """Syntrix's gateway sends every number as a double: half of ours do too."""
    return float(content) if oracle.is_number(content) and rng.random() < 0.5 else content


def is_value(content):
    """Whether it can be a filter's value: there is no null and no object."""
    if isinstance(content, list):
        return all(is_value(item) for item in content)
    return content is not None and not isinstance(content, dict)


class Filters:
    """Random filters over values that the documents have."""

    def __init__(self, documents, rng):
        self.documents = documents
        self.rng = rng
        paths = {}
        for document in documents:
            for path, content in self.walk(document, ""):
                paths.setdefault(path, []).append(content)
        self.values = {path: contents for path, contents in paths.items() if path != "id"}
        self.common = [path for path, contents in self.values.items() if len(contents) > SAMPLE / 4]

    def walk(self, content, path):
        """(path, value), nested objects too; a key with a dot in it cannot be reached."""
        for key, inner in content.items():
            if "." in key:
                continue
            yield path + key, inner
            if isinstance(inner, dict):
                yield from self.walk(inner, f"{path}{key}.")

    def plain_value(self, path):
        for _ in range(20):
            content = self.rng.choice(self.values[path])
            if is_value(content):
                return as_gateway(content, self.rng)
        return "none"

    def of_list(self, path):
        """A filter on a path whose values are lists."""
        rng = self.rng
        for _ in range(20):
            content = rng.choice(self.values[path])
            if isinstance(content, list) and content:
                return rng.choice([("contains", rng.choice(content)), ("contains", content[0]),
                                   ("==", content), ("in", [content, "x", 1])])
        return "!=", []

    def of_object(self, path):
        keys = [key for content in self.values[path] if isinstance(content, dict)
                for key in content]
        return "contains", self.rng.choice(keys or ["none"])

    def on_path(self, path):
        """(op, Python value)."""
        rng = self.rng
        kinds = {type(content) for content in self.values[path]}
        if list in kinds and rng.random() < 0.9:
            return self.of_list(path)
        if dict in kinds and rng.random() < 0.9:
            return self.of_object(path)
        op = rng.choice(["==", "==", "==", "!=", "<", "<=", ">", ">=", "in", "in"])
        if op == "in":
            return op, [self.plain_value(path) for _ in range(rng.randrange(0, 5))]
        content = self.plain_value(path)
        if rng.random() < 0.04:
            content = rng.choice(["", 0, 1.5, True, "\\' || true //"])  # often of another kind
        if isinstance(content, list) and op in ("<", "<=", ">", ">="):
            op = "!="
        return op, content

    def rule(self):
        rng = self.rng
        path = rng.choice(self.common if rng.random() < 0.8 else list(self.values))
        op, content = self.on_path(path)
        if content is None:
            op, content = "==", "none"
        return {"field": path, "op": op, "value": proto_value(content)}

    def on_id(self):
        """Only what a tombstone, whose id is not known, never matches."""
        rng = self.rng
        ids = [document["id"] for document in self.documents if document["id"]]
        op = rng.choice(["==", "==", "==", "in", ">="])
        if op == "in":
            content = rng.sample(ids, rng.randrange(1, 6))
        else:
            content = max(ids) if op == ">=" else rng.choice(ids)
        return {"field": "_id", "op": op, "value": proto_value(content)}

    def rules(self):
        if self.rng.random() < 0.25:
            return [self.on_id()]
        return [self.rule() for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3, 4]))]

    def matched(self, rules):
        return sum(all(oracle.filter_holds(document, rule) for rule in rules)
                   for document in self.documents) / len(self.documents)

    def selective(self, most):
        """Rules that match few changes, and the part they match."""
        while True:
            rules = self.rules()
            part = self.matched(rules)
            if part <= most:
                return rules, part


def make_subscriptions(filters, whole):
    """One gateway's; whole: with the whole collection."""
    made = [{"id": "last", "collection": "control"},
            {"id": "elsewhere", "collection": "packages/x"}]
    if whole:
        made.append({"id": "all", "collection": COLLECTION})
    left = 1.0 if whole else MATCHED_MAX
    while len(made) < SUBSCRIPTIONS + 2:
        rules, part = filters.selective(left)
        left -= part
        made.append({"id": f"s{len(made)}", "collection": COLLECTION, "filters": rules})
    for subscription in made:
        subscription["database"] = DATABASE
    made.append(dict(made[-1], id="other", database="other"))
    return made


class Gateway:
    """One gateway process and what it has recorded."""

    def __init__(self, folder, number, address, subscriptions, last_event):
        self.name = f"gateway {number} ({'grpc-js' if number % 2 else 'grpcio'})"
        self.subscriptions = subscriptions
        self.out = os.path.join(folder, f"gateway-{number}.out")
        settings = os.path.join(folder, f"gateway-{number}.json")
        with open(settings, "w", encoding="utf-8") as text:
            json.dump({"address": address, "out": self.out, "last_event": last_event,
                       "subscriptions": subscriptions}, text)
        program = os.path.join(peers.HERE, "gateway.js" if number % 2 else "gateway.py")
        run = ["node"] if number % 2 else [sys.executable]
        self.process = peers.Process(run + [program, settings])
        self.expected = self.deliveries = 0
        self.wrong = None

    def open(self):
        self.lines = open(self.out, encoding="utf-8")  # pylint: disable=consider-using-with

    def compare(self, expected):
        """Whether its next record is this change, if it should have it at all."""
        ids = expected.ids(self.subscriptions)
        if not ids or self.wrong:
            return
        self.expected += 1
        line = self.lines.readline()
        if not line:
            self.wrong = f"nothing more, although {expected.event_id} is for {ids}"
            return
        self.deliveries += 1
        seen = oracle.parse(line)
        seen["ids"].sort()
        try:
            seen["document_data"] = json.loads(seen["document_data"] or "null",
                                               object_pairs_hook=no_repeats,
                                               parse_int=oracle.parse_integer)
        except ValueError as error:
            self.wrong = f"{expected.event_id} for {ids}: document_data: {error}"
            return
        wanted = expected.delivery(ids)
        if exact(seen) != exact(wanted):
            self.wrong = f"{expected.event_id} for {ids}: {difference(wanted, seen)}"

    def finish(self):
        if not self.wrong and self.lines.readline():
            self.wrong = "more than expected"
        self.lines.close()


def no_repeats(pairs):
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(f"a key twice: {pairs}")
    return made


def exact(content):
    """In Python 1 == 1.0 == True; not here."""
    return json.dumps(content, sort_keys=True)


def difference(wanted, seen):
    """Where two records differ, the documents apart."""
    wanted, seen = ({**record, **(record["document_data"] or {})} for record in (wanted, seen))
    return "; ".join(f"{key}: wanted {wanted.get(key)!r}, seen {seen.get(key)!r}"
                     for key in sorted({*wanted, *seen} - {"document_data"})
                     if exact(wanted.get(key)) != exact(seen.get(key)))[:1500]


def check_all(gateways, changes):
    for gateway in gateways:
        gateway.open()
    past = oracle.Past()
    for change in read_changes(changes):
        expected = oracle.Expected(change, past)
        if expected.operation:
            for gateway in gateways:
                gateway.compare(expected)
    for gateway in gateways:
        gateway.finish()


def run(checks, folder, options, workers):
    """One replay; a line of figures at its end."""
    rng = random.Random(options.seed)
    changes = os.path.join(folder, "changes.ndjson")
    last_event = make_changes(changes, options.limit, options.seed)
    filters = Filters(sample(changes, rng), rng)
    puller = peers.Process([sys.executable, os.path.join(peers.HERE, "puller.py"),
                            "--file", changes, "--hold"])
    address = puller.wait_line(r"listening on (\S+)").group(1)
    count = int(puller.wait_line(r"holds (\d+) changes", 120).group(1))
    streamer, listening = peers.serve("--puller", address, "--workers", str(workers),
                                      *options.serve)
    puller.wait_line("subscribed ")
    gateways = [Gateway(folder, number, listening, make_subscriptions(filters, number < 2),
                        last_event) for number in range(options.gateways)]
    for gateway in gateways:
        gateway.process.wait_line("^ready$", 60, "out")
    began = time.monotonic()
    puller.say("go")
    for gateway in gateways:
        status = gateway.process.wait(max(1, began + SECONDS - time.monotonic()))
        checks.that(status == 0, f"{gateway.name} ended", gateway.process.tail())
    took, cpu = time.monotonic() - began, streamer.cpu_seconds()
    checks.equal(streamer.stop(), 0, "SIGTERM ends the streamer with status 0")
    puller.stop()
    check_all(gateways, changes)
    for gateway in gateways:
        checks.that(not gateway.wrong, f"{gateway.name} got what it should", gateway.wrong or "")
    deliveries = sum(gateway.deliveries for gateway in gateways)
    checks.that(deliveries > count, "a test that delivers something", deliveries)
    print(f"seed {options.seed}, {workers} workers: {count} events, {options.gateways} gateways, "
          f"{sum(len(gateway.subscriptions) for gateway in gateways)} subscriptions, "
          f"{deliveries} deliveries in {took:.1f} s, streamer {cpu:.2f} s of CPU", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="packages (default: all, then 6000)")
    parser.add_argument("--gateways", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", 1)))
    options = parser.parse_args()
    # Gateways share two cores with everything else here: being slow is not what is tested.
    options.serve = ["--queue-hard-bytes", "4294967296", "--queue-soft-bytes", "4294967296"]
    checks = peers.Checks()
    print(f"seed {options.seed}", flush=True)
    found = package_index()
    if not checks.that(found >= 1000, "a package index (apt-get update fills it)", found):
        return checks.finish()
    wanted = options.limit
    for workers in (1, 2):
        options.limit = wanted or (None if workers == 1 else 6000)
        with checks.section(f"with {workers} workers"), \
                tempfile.TemporaryDirectory(prefix="streamer-e2e-") as folder:
            run(checks, folder, options, workers)
        peers.Process.end_all()
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
