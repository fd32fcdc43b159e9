#!/usr/bin/python3
"""Random documents of odd values against random filters of odd values, compared with the oracle.

  TEST_SEED=7 tests/e2e/test_filters.py --documents 2000 --subscriptions 1000
"""

import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from puller import Puller  # noqa: E402

DATABASE, COLLECTION = "default", "odd things/ü/x"
NUMBERS = [0, 1, -1, 2, 7, 25, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 1, 2 ** 53 + 2, -(2 ** 53) - 1,
           2 ** 63 - 1, -(2 ** 63), 2 ** 63 - 1024, 0.5, -0.5, 1.5, 25.5, 1e15, 1e16, 1e300, -1e300,
           5e-324, 0.1]
DOUBLES = [float(2 ** 53), float(2 ** 63), float(2 ** 64), -float(2 ** 63), 25.0, -0.0, 0.0, 1.0,
           1.8446744073709550e19]
UNSIGNED = [2 ** 63, 2 ** 63 + 1, 2 ** 64 - 1, 2 ** 64 - 2, 2 ** 64, 10 ** 30]
STRINGS = ["", "a", "A", "ab", "b", "é", "e\u0301", "\uffff", "\U0001f600", "25", "true", "null",
           "a'b", "a\\b", "\\' || true //", "\"", "line\nbreak", "\u0000", "\u2028", "<&>", "id",
           "x" * 300]
FIELDS = ["a", "b", "c", "n", "s", "list", "o", "o.a", "o.o.b", "o.", ".", "", "a.b", "list.0",
          "version", "updatedAt", "createdAt", "deleted", "collection", "missing", "o.missing",
          "n.x", "doc['a']", "in", "ключ", "database", "data", "event", "a'] == 1 || doc['b"]
KEYS = ["a", "b", "c", "n", "s", "list", "o", "", "deleted", "in", "ключ", "a.b", "version", "_id",
        "a'] == 1 || doc['b"]
OPERATORS = ["==", "==", "!=", "<", "<=", ">", ">=", "in", "contains"]


class Maker:
    """Random documents and filters."""

    def __init__(self, rng):
        self.rng = rng

    def scalar(self):
        rng = self.rng
        return rng.choice([rng.choice(NUMBERS), rng.choice(NUMBERS), rng.choice(STRINGS),
                           rng.choice(STRINGS), rng.random() < 0.5])

    def content(self, depth):
        """A value in a document."""
        rng = self.rng
        kind = rng.random()
        if depth and kind < 0.15:
            return [self.content(depth - 1) for _ in range(rng.randrange(4))]
        if depth and kind < 0.3:
            return {rng.choice(KEYS): self.content(depth - 1) for _ in range(rng.randrange(4))}
        if kind < 0.36:
            return None
        return rng.choice(UNSIGNED) if kind < 0.42 else self.scalar()

    def data(self, identifier):
        rng = self.rng
        made = {key: self.content(3) for key in KEYS if rng.random() < 0.6}
        if rng.random() < 0.9:
            made["id"] = identifier
        elif rng.random() < 0.5:
            made["id"] = self.content(1)
        return made

    def change(self, number):
        """A change in the long form; now and then a tombstone."""
        rng = self.rng
        identifier = f"d{rng.randrange(50)}" if rng.random() < 0.9 else rng.choice(STRINGS) + "d"
        when = {"t": 1767225600, "i": number + 1}
        mgo_doc_id = syntrix.mongo_id(DATABASE, COLLECTION, identifier)
        full_doc = syntrix.stored_document(DATABASE, COLLECTION, mgo_doc_id, self.data(identifier),
                                           rng.randrange(1, 30), (rng.choice([0, 1, 25]), 1000))
        op_type = rng.choice(["insert", "update", "update", "replace"])
        if rng.random() < 0.05:
            full_doc["data"], full_doc["deleted"], op_type = {}, True, "update"
        return {"event_id": syntrix.event_id(when["t"], when["i"], "documents", mgo_doc_id),
                "database": DATABASE, "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id,
                "op_type": op_type, "full_doc": full_doc, "cluster_time": when,
                "timestamp": number, "backend": "default_mongo"}

    def value(self, content):
        if isinstance(content, list):
            return {"list_value": {"values": [self.value(item) for item in content]}}
        if isinstance(content, bool):
            return {"bool_value": content}
        if isinstance(content, str):
            return {"string_value": content}
        if isinstance(content, int) and self.rng.random() < 0.6:
            return {"int_value": str(content)}
        return {"double_value": float(content)}

    def list_of_scalars(self, depth=1):
        rng = self.rng
        return [self.list_of_scalars(depth - 1) if depth and rng.random() < 0.2 else
                rng.choice([self.scalar(), rng.choice(DOUBLES)]) for _ in range(rng.randrange(5))]

    def rule(self):
        rng = self.rng
        if rng.random() < 0.15:
            return self.on_id()
        op = rng.choice(OPERATORS)
        if op == "in" or (op in ("==", "!=", "contains") and rng.random() < 0.15):
            content = self.list_of_scalars()
        else:
            content = rng.choice([self.scalar(), self.scalar(), rng.choice(DOUBLES)])
        return {"field": rng.choice(FIELDS), "op": op, "value": self.value(content)}

    def on_id(self):
        """Every operator: some of an id that is not known are answered, others an error."""
        rng = self.rng
        ids = [f"d{rng.randrange(50)}" for _ in range(rng.randrange(1, 5))] + ["é" + "d"]
        op = rng.choice(["==", "!=", "in", ">", ">=", "<"])
        return {"field": "_id", "op": op, "value": self.value(ids if op == "in" else ids[0])}

    def subscription(self, number):
        count = self.rng.choice([0, 1, 1, 1, 1, 2, 2, 3])
        return {"id": f"s{number}", "database": DATABASE, "collection": COLLECTION,
                "filters": [self.rule() for _ in range(count)]}


def request(subscription):
    message = peers.subscribe(subscription["id"], COLLECTION, database=DATABASE)
    for rule in subscription["filters"]:
        made = message.subscribe.filters.add(field=rule["field"], op=rule["op"])
        json_format.ParseDict(rule["value"], made.value)
    return message


def compare(checks, stream, subscriptions, changes):
    """Every delivery, up to one that none of the random filters has a part in."""
    wrong = matched = 0
    past = oracle.Past()
    for change in changes:
        expected = oracle.Expected(dict(change, full_doc=oracle.parse(
            syntrix.go_json(change["full_doc"]))), past)
        ids = expected.ids(subscriptions)
        matched += len(ids)
        if not ids:
            continue
        delivery = stream.delivery()
        seen = sorted(delivery.subscription_ids)
        event = delivery.event
        same = seen == ids and event.event_id == expected.event_id
        same = same and event.document_id == expected.document_id()
        data = oracle.parse(event.document_data or b"null")
        same = same and oracle.json.dumps(data, sort_keys=True) == oracle.json.dumps(
            expected.data, sort_keys=True)
        wrong += not same
        if not same and wrong < 5:
            odd = {*seen} ^ {*ids}
            checks.that(False, expected.event_id, (
                "too many" if odd - {*ids} else "too few",
                [item["filters"] for item in subscriptions if item["id"] in odd][:3],
                syntrix.go_json(change["full_doc"])))
        if event.event_id != expected.event_id:
            break
    checks.equal(wrong, 0, "deliveries as the oracle says")
    return matched


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--subscriptions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", 1)))
    options = parser.parse_args()
    maker = Maker(random.Random(options.seed))
    checks = peers.Checks()
    print(f"seed {options.seed}", flush=True)
    puller = Puller()
    streamer, address = peers.serve("--puller", puller.address)
    puller.wait_subscribers(1)
    stream = peers.Stream(peers.channel(address))
    subscriptions = [maker.subscription(number) for number in range(options.subscriptions)]
    for subscription in subscriptions:
        answer = stream.ask(request(subscription))
        checks.that(answer.success, "accepted", (subscription, answer.error))
    changes = [maker.change(number) for number in range(options.documents)]
    puller.push(*changes)
    with checks.section("deliveries"):
        matched = compare(checks, stream, subscriptions, changes)
        print(f"{len(changes)} changes, {len(subscriptions)} subscriptions, {matched} matches")
        checks.that(matched > options.documents, "a test that matches something", matched)
        checks.equal(stream.heartbeat().WhichOneof("payload"), "heartbeat_ack", "nothing more")
    checks.equal(streamer.stop(), 0, "SIGTERM ends it with status 0")
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
