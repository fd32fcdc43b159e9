#!/usr/bin/python3
"""streamer bench match: every workload against the oracle, what it prints, files of rules and changes, errors."""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

KEYS = ["workload", "subscriptions", "events", "match_ns_per_event", "read_and_match_ns_per_event",
        "matches_per_event", "bytes_per_subscription", "subscribe_ns", "unsubscribe_ns",
        "longest_pause_us", "seed"]
NAMED = ["document-id", "equality", "conjunction", "range", "book", "fanout", "zipf", "prefix",
         "contains", "or", "not-equal", "mixed", "rules", "boolean", "conjunctions"]
# subscriptions that match an event, at 2,000 subscriptions
MATCHES = {"document-id": (1, 1), "equality": (1, 1), "conjunction": (1, 1), "range": (7, 14),
           "book": (7, 12), "fanout": (2000, 2000), "zipf": (20, 200), "prefix": (1, 1.5),
           "contains": (9, 10), "or": (1.7, 2.3), "not-equal": (3, 4), "mixed": (15, 40),
           "rules": (5, 7), "boolean": (5, 80), "conjunctions": (0, 2)}

RULES = [
    {"id": "adults", "database": "default", "collection": "users",
     "filters": [{"field": "age", "op": ">", "value": 18}]},
    {"id": "ada", "database": "default", "collection": "users", "filters": [],
     "expression": 'name == "Ada" // a comment'},
    {"id": "both", "collection": "users", "filters": [{"field": "tags", "op": "contains", "value": "a"}],
     "expression": "has(doc.age) && age < 99"},
    {"id": "all", "database": "default", "collection": "users"},
    {"id": "by id", "database": "default", "collection": "users",
     "filters": [{"field": "_id", "op": "in", "value": ["u1", "u3"]}]},
    {"id": "elsewhere", "database": "other", "collection": "users", "filters": []},
]
CHANGES = [
    {"op": "insert", "collection": "users", "id": "u1",
     "data": {"name": "Ada", "age": 36, "tags": ["a"]}},
    {"op": "update", "database": "default", "collection": "users", "id": "u2",
     "data": {"name": "Bob", "age": 17, "tags": ["a", "b"]}},
    {"op": "delete", "database": "default", "collection": "users", "id": "u3"},
    {"progress": "a heartbeat"},
    {"op": "insert", "database": "other", "collection": "users", "id": "u4", "data": {"age": 40}},
    {"op": "insert", "database": "default", "collection": "rooms", "id": "r1", "data": {"age": 40}},
]
# which rules hold for the line of a change, counted from 1
WANTED = {1: {"adults", "ada", "both", "all", "by id"}, 2: {"both", "all"}, 3: {"all", "by id"},
          5: {"elsewhere"}}


def bench(*arguments):
    done = subprocess.run([peers.STREAMER, "bench", *arguments], encoding="utf-8",
                          capture_output=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def lines_of(items):
    return "".join(json.dumps(item) + "\n" for item in items)


def matches_of(out):
    return [line for line in out.splitlines() if "\t" in line]


class Bench:
    def __init__(self, folder):
        self.checks = peers.Checks()
        self.folder = folder

    def file(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def test_workloads(self):
        status, out, errors = bench("match", "--workload", "all", "--subscriptions", "2000",
                                    "--events", "500", "--verify", "--json")
        self.checks.equal(status, 0, f"every workload agrees with the oracle {errors[-300:]}")
        made = {row["workload"]: row for row in map(json.loads, out.splitlines())}
        self.checks.equal([name for name in NAMED if name not in made], [], "every workload is there")
        for name, row in made.items():
            self.checks.equal(list(row), KEYS, f"{name}: the keys")
            self.checks.equal((row["subscriptions"], row["events"], row["seed"]), (2000, 500, 1),
                              f"{name}: what was asked for")
            self.checks.that(f"{name}: 1000000 pairs verified, 0 differ" in errors,
                             f"{name}: every pair was verified", errors)
            least, most = MATCHES.get(name, (0, 12))
            self.checks.that(least <= row["matches_per_event"] <= most, f"{name}: matches", row)
            self.checks.that(row["read_and_match_ns_per_event"] > 0 < row["match_ns_per_event"],
                             f"{name}: times", row)
        for name in ("boolean", "conjunctions"):
            self.checks.that(f"{name}: " in errors and "distinct predicates" in errors,
                             f"{name}: its predicates are counted", errors)

    def test_busy(self):
        status, out, errors = bench("match", "--workload", "equality", "--subscriptions", "1000",
                                    "--events", "2000", "--busy", "--json")
        self.checks.equal(status, 0, f"the processor's time {errors[-300:]}")
        row = json.loads(out)
        self.checks.that(0 < row["match_ns_per_event"] < row["read_and_match_ns_per_event"] < 1e6,
                         "its figures are of a thread that was running", row)

    def test_seeds(self):
        rules = []
        for seed in ("1", "1", "2"):
            path = self.file("seeded")
            status, _, _ = bench("match", "--workload", "mixed", "--subscriptions", "50", "--events",
                                 "10", "--seed", seed, "--write-rules", path)
            self.checks.equal(status, 0, "written")
            with open(path, encoding="utf-8") as file:
                rules.append(file.read())
        self.checks.that(rules[0] == rules[1] != rules[2], "the seed alone decides what is made")

    def test_round_trip(self):
        for name in ("mixed", "rules", "boolean", "range", "document-id"):
            rules, events = self.file(name + ".rules"), self.file(name + ".events")
            made = ["match", "--workload", name, "--subscriptions", "600", "--events", "80"]
            status, out, _ = bench(*made, "--write-rules", rules, "--write-events", events)
            self.checks.equal((status, out), (0, ""), f"{name}: written")
            _, own, _ = bench(*made, "--matches")
            status, out, errors = bench("match", "--rules", rules, "--events", events, "--matches",
                                        "--verify", "--json")
            self.checks.equal(status, 0, f"{name}: read again {errors}")
            self.checks.that(len(matches_of(own)) >= 80 or name == "boolean", f"{name}: matches")
            self.checks.that(matches_of(out) == matches_of(own), f"{name}: the same matches")
            self.checks.equal(matches_of(out), sorted(matches_of(out)), f"{name}: in order")
            row = json.loads(out.splitlines()[-1])
            self.checks.equal((list(row), row["subscriptions"], row["events"]), (KEYS, 600, 80),
                              f"{name}: figures too")

    def test_files(self):
        rules = self.file("rules", lines_of(RULES))
        events = self.file("events", lines_of(CHANGES) + "\n")
        status, out, errors = bench("match", "--rules", rules, "--events", events, "--matches",
                                    "--verify")
        self.checks.equal(status, 0, f"own files {errors}")
        made = {}
        for event, rule in (line.split("\t") for line in matches_of(out)):
            made.setdefault(int(event.split("-")[1]), set()).add(rule)
        self.checks.equal(made, WANTED, "who got which line")

    def refused(self, rules, events, *wanted):
        status, out, errors = bench("match", "--rules", self.file("rules", rules), "--events",
                                    self.file("events", events))
        self.checks.equal(status, 2, f"{wanted}: the status")
        self.checks.that(not matches_of(out), f"{wanted}: no matches", out)
        for text in wanted:
            self.checks.that(text in errors, f"the message has {text}", errors)

    def test_bad_lines(self):
        good = lines_of(RULES[:1])
        changes = lines_of(CHANGES)
        rule = {"id": "x", "collection": "users"}
        for bad, wanted in (
                ("{", "line 2: "), ("[1]\n", "found list"), ("3\n", "found int"),
                (lines_of([{**rule, "filter": []}]), 'unknown member "filter", expected one of id'),
                (lines_of([{"collection": "users"}]), '"id" is missing'),
                (lines_of([{"id": "x"}]), '"collection" is missing'),
                (lines_of([{**rule, "id": 5}]), 'expected "id" to be of kind string, found int'),
                (lines_of([{**rule, "id": "adults"}]), 'the id "adults" is that of line 1'),
                (lines_of([{**rule, "filters": [5]}]), "filter 1: expected"),
                (lines_of([{**rule, "filters": [{"field": "a", "op": "=="}]}]),
                 'filter 1: "value" is missing'),
                (lines_of([{**rule, "filters": [{"field": "a", "op": "eq", "value": 1}]}]),
                 "filter 1: failed to compile filters: unsupported operator: eq; use one of"),
                (lines_of([{**rule, "expression": "age = 18"}]), "equality is written =="),
                (lines_of([{**rule, "expression": "age >"}]), "line 1, column")):
            self.refused(good + bad, changes, "/rules: line 2: ", wanted)
        self.refused("", changes, "has no rules")
        self.refused(good, "", "has no changes")
        self.refused(good, changes + '{"op":"insert"}\n', "/events: line 7: ", '"collection" is missing')
        self.refused(good, '{"op":"inserted","collection":"users"}\n', "/events: line 1: ", "inserted")

    def test_arguments(self):
        rules = self.file("rules", lines_of(RULES))
        for arguments, wanted in (
                ([], "what to measure (match, delivery, e2e) is missing"),
                (["matching"], "match, delivery and e2e can"),
                (["match"], "--workload NAME or --rules FILE is missing"),
                (["match", "--workload", "equalty"], "did you mean equality?"),
                (["match", "--workload", "nothing"], "--list tells them all"),
                (["match", "--workload", "range", "--subscriptions", "0"], "a whole number from 1"),
                (["match", "--workload", "range", "--subscriptions", "99999999999"], "4294967295"),
                (["match", "--workload", "range", "--events", "many"], "a whole number from 1"),
                (["match", "--rules", rules], "wants --events FILE too"),
                (["match", "--rules", rules, "--events", "/nowhere"], "cannot open /nowhere"),
                (["match", "--rules", "/nowhere", "--events", rules], "cannot open /nowhere"),
                (["match", "--rules", rules, "--workload", "range"], "not with --workload"),
                (["match", "--workload", "range", "--write-rules", "/nowhere/at/all"], "cannot open"),
                (["match", "--workload", "all", "--matches"], "not for all"),
                (["match", "--workload", "range", "--jsn"], "did you mean --json?")):
            status, out, errors = bench(*arguments)
            self.checks.equal((status, matches_of(out)), (2, []), f"{arguments}: the status")
            self.checks.that(wanted in errors, f"{arguments}: the message", errors)
        for arguments in (["--help"], ["match", "--help"], ["match", "--list"]):
            status, out, errors = bench(*arguments)
            self.checks.equal((status, errors), (0, ""), f"{arguments}: the status")
            self.checks.that("match" in out or "equality" in out, f"{arguments}: help", out)

    def test_table(self):
        status, out, errors = bench("match", "--workload", "equality", "--subscriptions", "100",
                                    "--events", "50")
        head, row = out.splitlines()
        self.checks.equal((status, len(head)), (0, len(row)), "the columns stand one below the other")
        self.checks.that("\x1b" not in out, "no colours in a pipe", out)
        self.checks.that(row.startswith("equality "), "the row", row)
        self.checks.that("residuals are lifted" in errors, "it says that limits are lifted", errors)

    def run(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
        return self.checks.finish()


def main():
    with tempfile.TemporaryDirectory() as folder:
        return Bench(folder).run()


if __name__ == "__main__":
    peers.run(main)
