#!/usr/bin/python3
"""Whatever the documents, filters and changes: what is delivered is what the oracle says.

Rounds of 500 subscriptions x 200 changes in one collection, each round with a seed and a Streamer
of its own. The documents are made as text, with what JSON allows and what must be refused; about
half of the filters ask for what the documents have, or for its neighbours. A third of the
subscriptions have an expression, of the family in expression_oracle.py, some of them besides
filters.

  PROPERTY_PAIRS=2000000 tests/e2e/test_property.py
  TEST_SEED=7 PROPERTY_PAIRS=1 tests/e2e/test_property.py      one round, that of seed 7
"""

import json
import math
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import expression_oracle  # noqa: E402
import oracle  # noqa: E402
import peers  # noqa: E402
import strict_json  # noqa: E402
import syntrix  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from puller import Puller  # noqa: E402

DATABASE, COLLECTION, LAST = "default", "rooms/ü/things", "control"
SUBSCRIPTIONS, CHANGES = 500, 201  # the last change is not of the collection
IDS = ["a", "b", "c", "é", "\U0001f600", "with space", "q\"\\", "nul\0", "x" * 300,
       *(f"d{number}" for number in range(12))]
KEYS = ["a", "b", "n", "s", "list", "o", "", "deleted", "version", "_id", "in", "a.b", "ключ",
        "\U0001f600", "nul\0", "collection"]
NUMBERS = ["0", "-0", "-0.0", "0.0", "1", "1.0", "1e0", "10e-1", "-1", "25", "25.0", "2.5e1", "0.1",
           "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740992.0",
           "-9007199254740993", "9223372036854775807", "9223372036854775808",
           "9223372036854775808.0", "-9223372036854775808", "-9223372036854775809",
           "18446744073709551615", "18446744073709551614", "18446744073709551616", "1e19", "1e300",
           "-1e300", "1.7976931348623157e308", "5e-324", "1e-999", "1000000000000000000000"]
STRINGS = ['""', '"a"', '"A"', '"ab"', '"\\u0061"', '"é"', '"\\u00e9"', '"e\\u0301"', '"\\u0000"',
           '"a\\u0000b"', '"\\ud83d\\ude00"', '"\U0001f600"', '"\\uffff"', '"\uffff"', '"\\\\"',
           '"\\/"', '"/"', '"\\"\\b\\f\\n\\r\\t"', '"25"', '"true"', '"null"', '"\u2028"',
           '"' + "x" * 100 + '"', '"' + "x" * 99 + '"']
REFUSED = [b"1e999", b"-1e400", b"1" + b"0" * 400, b'"\\ud800"', b'"\\udc00x"', b'"\xff"',
           b'"\xed\xa0\x80"', b'"\xc0\x80"', b"[" * 99 + b"]" * 99,
           b'{"":' * 150 + b"0" + b"}" * 150,
           b'{"\\ud800":1}', b'[1,{"a":[1e999]}]']
DEEPEST = b"[" * 98 + b"1" + b"]" * 98  # the document and its data are two levels more
ORDERS = ["<", "<=", ">", ">="]


class Documents:
    """Texts of documents' data."""

    def __init__(self, rng):
        self.rng = rng

    def space(self):
        return self.rng.choice([b" ", b"\n", b"\t\r "]) if self.rng.random() < 0.03 else b""

    def string(self, text):
        """A string written out, now and then with escapes where none are needed."""
        if self.rng.random() < 0.1:
            return json.dumps(text).encode()
        return json.dumps(text, ensure_ascii=False).encode()

    def value(self, depth):
        rng = self.rng
        kind = rng.random()
        if depth and kind < 0.14:
            made = b"[" + b",".join(self.value(depth - 1) for _ in range(rng.randrange(5))) + b"]"
        elif depth and kind < 0.3:
            made = self.members(depth - 1, [(rng.choice(KEYS), None)
                                            for _ in range(rng.randrange(5))])
        elif kind < 0.36:
            made = b"null"
        elif kind < 0.44:
            made = rng.choice([b"true", b"false"])
        else:
            made = rng.choice(NUMBERS if kind < 0.75 else STRINGS).encode()
        return self.space() + made + self.space()

    def members(self, depth, pairs):
        made = [self.space() + self.string(key) + self.space() + b":"
                + (text if text is not None else self.value(depth)) for key, text in pairs]
        return b"{" + b",".join(made) + b"}"

    def data(self, identifier, refuse):
        rng = self.rng
        if not refuse and rng.random() < 0.02:
            return b"null"
        pairs = [(key, None) for key in KEYS if rng.random() < 0.5]
        pairs += [(key, None) for key, _ in pairs if rng.random() < 0.08]  # repeated keys
        if refuse:
            pairs.append((rng.choice(KEYS[:8]), rng.choice(REFUSED)))
        elif rng.random() < 0.03:
            pairs.append(("list", DEEPEST))
        kind = rng.random()
        if kind < 0.9:
            pairs.append(("id", self.string(identifier)))
        elif kind < 0.95:
            pairs.append(("id", rng.choice([b"7", b"null", b'""', b'["a"]'])))
        elif refuse:
            pairs.append(("id", b'"\\ud800"'))
        rng.shuffle(pairs)
        return self.members(3, pairs)


class Changes:
    """Changes to a few documents: made, changed, deleted, revived, purged, sent again."""

    def __init__(self, rng):
        self.rng = rng
        self.documents = Documents(rng)
        self.kept = [b"{}"]
        self.increment = 0

    def full_doc(self, mgo_doc_id, identifier, deleted):
        rng = self.rng
        refuse = rng.random() < 0.08
        data = b"{}" if deleted and not refuse else self.documents.data(identifier, refuse)
        if not deleted and rng.random() < 0.1:
            data = rng.choice(self.kept)  # a document that repeats, maybe another one's
        elif not deleted:
            self.kept.append(data)
        pairs = [("id", self.documents.string(mgo_doc_id)), ("database", b'"default"'),
                 ("collection", self.documents.string(COLLECTION)),
                 ("updatedAt", rng.choice([b"0", b"1767225600000", b"9007199254740993"])),
                 ("createdAt", b"1767225600000"),
                 ("version", rng.choice([b"1", b"2", b"25", b"18446744073709551615"])),
                 ("data", data)]
        if deleted:
            pairs.append(("deleted", b"true"))
        elif rng.random() < 0.05:
            pairs.append(("deleted", b"false"))
        if rng.random() < 0.1:
            rng.shuffle(pairs)
        return self.documents.members(0, pairs)

    def description(self):
        fields = self.rng.choice([{"deleted": True}, {"deleted": False}, {"deleted": "true"},
                                  {"data.deleted": True}, {"version": 2, "data": {"a": 1}}])
        return self.rng.choice([{"updatedFields": fields}, {"updatedFields": fields}, {},
                                {"removedFields": ["deleted"]}])

    def make(self, number):
        rng = self.rng
        identifier = rng.choice(IDS)
        mgo_doc_id = syntrix.mongo_id(DATABASE, COLLECTION, identifier)
        if rng.random() < 0.03:
            mgo_doc_id = "default:no hash"
        kind = rng.choices(["insert", "update", "replace", "tombstone", "undelete", "delete"],
                           [4, 5, 2, 3, 3, 1])[0]
        self.increment += rng.random() < 0.8  # several at one time are a transaction's
        time = {"t": 1767225600, "i": self.increment + 1}
        change = {"event_id": f"{time['t']}-{time['i']}-{number:016x}", "database": DATABASE,
                  "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id, "op_type": kind,
                  "cluster_time": time, "timestamp": number, "backend": "default_mongo"}
        if kind == "delete":
            return dict(change, database="")
        change["full_doc"] = self.full_doc(mgo_doc_id, identifier, kind == "tombstone")
        if kind == "tombstone":
            change["op_type"] = rng.choice(["update", "update", "replace"])
        elif kind == "undelete":
            change.update(op_type="update", update_desc=self.description())
        return change

    def last(self, number):
        """One that is surely delivered, behind all others."""
        mgo_doc_id = syntrix.mongo_id(DATABASE, LAST, "last")
        full_doc = syntrix.stored_document(DATABASE, LAST, mgo_doc_id, {"id": "last"}, 1, (1, 1))
        return dict(self.make(number), database=DATABASE, mgo_doc_id=mgo_doc_id, op_type="insert",
                    full_doc=syntrix.go_json(full_doc), update_desc=None)


class Filters:
    """Filters, half of them of the documents' own values."""

    def __init__(self, rng, changes):
        self.rng = rng
        texts = [change["full_doc"] for change in changes if "full_doc" in change]
        self.documents = [oracle.flatten(oracle.parse(text)) for text in texts
                          if not oracle.is_refused(text)]
        self.random = Documents(rng)

    def constant(self, depth=1):
        """A value that a filter can have, not of a document."""
        rng = self.rng
        if depth and rng.random() < 0.1:
            return [self.constant(depth - 1) for _ in range(rng.randrange(4))]
        return rng.choice([oracle.parse(rng.choice(NUMBERS)), oracle.parse(rng.choice(STRINGS)),
                           rng.random() < 0.5])

    def number(self, value):
        if isinstance(value, int) and value in strict_json.INT64 and self.rng.random() < 0.6:
            return {"int_value": str(value)}
        return {"double_value": float(value)}

    def value(self, content):
        if isinstance(content, list):
            return {"list_value": {"values": [self.value(item) for item in content]}}
        if isinstance(content, bool):
            return {"bool_value": content}
        return {"string_value": content} if isinstance(content, str) else self.number(content)

    def can_be_asked(self, content, depth=16):
        if isinstance(content, list):
            return depth > 0 and all(self.can_be_asked(item, depth - 1) for item in content)
        return isinstance(content, (bool, int, float, str))

    def walk(self):
        """(path, value) of something in a document."""
        value, path = self.rng.choice(self.documents), []
        while isinstance(value, dict) and value and (not path or self.rng.random() < 0.7):
            key = self.rng.choice(sorted(value))
            path.append(key)
            value = value[key]
        return ".".join(path), value

    def neighbour(self, content):
        if isinstance(content, str):
            return self.rng.choice([content + "\0", content[:-1], content.upper()])
        if isinstance(content, float):
            beside = math.nextafter(content, self.rng.choice([-1e308, 1e308]))
            return beside if math.isfinite(beside) else content
        if isinstance(content, int) and not isinstance(content, bool):
            return content + self.rng.choice([-1, 1])
        return content

    def derived(self):
        """What a document has: most often it holds."""
        rng = self.rng
        field, content = self.walk()
        kind = rng.random()
        if isinstance(content, dict):
            key = rng.choice(sorted(content)) if content else ""
            return {"field": field, "op": "contains", "value": {"string_value": key}}
        if isinstance(content, list) and content and kind < 0.6:
            item = rng.choice(content)
            if self.can_be_asked(item):
                return {"field": field, "op": "contains", "value": self.value(item)}
        if not self.can_be_asked(content):
            return {"field": field, "op": "!=", "value": self.value(self.constant())}
        if kind < 0.25:
            return {"field": field, "op": "in",
                    "value": self.value([self.constant(), content, self.constant()])}
        content = self.neighbour(content) if rng.random() < 0.3 else content
        plain = not isinstance(content, list)
        op = rng.choice(["==", "==", "!=", *(ORDERS if plain else [])])
        return {"field": field, "op": op, "value": self.value(content)}

    def invented(self):
        rng = self.rng
        op = rng.choice(["==", "==", "!=", "in", "contains", *ORDERS])
        field = rng.choice([*KEYS[:5], *KEYS[6:9], *KEYS[10:], "o.a", "o.", ".", "..", "o.o", "n.x",
                            "missing", "list.0", "updatedAt", "id", "createdAt"])
        content = self.constant(0 if op in ORDERS else 1)
        if op == "in" and not isinstance(content, list):
            content = [content]
        return {"field": field, "op": op, "value": self.value(content)}

    def on_id(self):
        rng = self.rng
        op = rng.choice(["==", "==", "!=", "in", "in", *ORDERS])
        ids = [rng.choice([*IDS, "", "nobody"]) for _ in range(rng.randrange(5))]
        return {"field": "_id", "op": op,
                "value": self.value(ids if op == "in" else rng.choice([*IDS, "", "nobody"]))}

    def rule(self, invent):
        if self.rng.random() < 0.12:
            return self.on_id()
        made = self.invented() if invent else self.derived()
        return self.on_id() if made["field"] == "_id" else made

    def condition(self, depth=3):
        """An expression of expression_oracle.py."""
        rng = self.rng
        kind = rng.random()
        if depth and kind < 0.4:
            return (rng.choice(["and", "or"]), self.condition(depth - 1), self.condition(depth - 1))
        if depth and kind < 0.5:
            return ("not", self.condition(depth - 1))
        path, content = self.place()
        if kind < 0.58 and expression_oracle.Writer.is_name(path[-1]):
            return ("has", path)
        return self.fitting(path, content) if rng.random() < 0.7 else self.unfitting(path)

    def place(self):
        """(path, value) of something in a document; now and then one that may not be there."""
        rng = self.rng
        value, path = rng.choice(self.documents), []
        while isinstance(value, dict) and value and (not path or rng.random() < 0.7):
            path.append(rng.choice(sorted(value)))
            value = value[path[-1]]
        return (path, value) if rng.random() < 0.9 else ([*path, rng.choice(["a", "no one"])], None)

    def fitting(self, path, content):
        """One that the value may answer, often by true."""
        rng = self.rng
        if isinstance(content, dict):
            return rng.choice([("size", path, rng.choice(["==", "<"]), len(content)),
                               ("member", rng.choice([*sorted(content), "a", 1]), path)])
        if isinstance(content, list):
            items = [item for item in content if self.can_be_asked(item)]
            return rng.choice([("size", path, rng.choice(["==", ">="]), len(content)),
                               ("member", rng.choice([*items, self.constant()]), path)])
        if isinstance(content, str) and rng.random() < 0.4:
            return rng.choice([("starts", path, content[:rng.randrange(3)]),
                               ("size", path, rng.choice([*ORDERS, "=="]), len(content))])
        if isinstance(content, bool) and rng.random() < 0.3:
            return ("field", path)
        if rng.random() < 0.2:
            others = [self.constant() for _ in range(rng.choice([2, 2, 2, 40]))]
            return ("in", path, rng.sample([content, *others], len(others) + 1))
        if rng.random() < 0.3:
            content = self.neighbour(content)
            if isinstance(content, int) and not isinstance(content, bool):
                content = oracle.parse_integer(str(content))  # what fits no literal is a double
        return ("compare", path, rng.choice(["==", "!=", *(ORDERS if content is not None else [])]),
                content)

    def unfitting(self, path):
        """One to which the value is likely an error, or of another kind."""
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            return ("starts", path, rng.choice(["", "a"]))
        if kind == 1:
            return ("size", path, rng.choice([*ORDERS, "==", "!="]), rng.randrange(3))
        if kind == 2:
            return ("field", path)
        if kind == 3:
            return ("member", self.constant(), path)
        if kind == 4:
            return ("in", path, [self.constant() for _ in range(rng.randrange(1, 4))])
        return ("compare", path, rng.choice(["==", "!=", *ORDERS]), self.constant(0))

    def with_id(self):
        """How to join a condition with one on the id, that one, and whether both together ask for
        documents by their ids."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 3:
            return rng.choice(["and", "or"]), ("id", rng.choice(["!=", *ORDERS]),
                                               rng.choice([*IDS, "", "nobody"])), False
        asked = [rng.choice([*IDS, "", "nobody"]) for _ in range(rng.randrange(1, 5))]
        by_id = ("id", "in", asked) if rng.random() < 0.5 else ("id", "==", asked[0])
        return [("and", by_id, True), ("or", by_id, False), ("and", ("not", by_id), False)][kind]

    def by_expression(self, number):
        """One with an expression and, some of them, a filter."""
        rng = self.rng
        condition, id_rules = self.condition(), []
        if rng.random() < 0.4:
            join, on_id, is_by_id = self.with_id()
            condition = (join, *rng.sample([on_id, condition], 2))
            id_rules = [{"field": "_id", "op": on_id[1],
                         "value": self.value(on_id[2])}] if is_by_id else []
        rule = self.rule(rng.random() < 0.5)
        return {"id": f"e{number}", "database": DATABASE, "collection": COLLECTION,
                "filters": [rule] if rule["field"] != "_id" and rng.random() < 0.3 else [],
                "id_rules": id_rules, "expression": expression_oracle.Writer(rng).write(condition),
                "holds": lambda *change: expression_oracle.holds(condition, *change)}

    def subscription(self, number):
        if self.rng.random() < 0.33:
            return self.by_expression(number)
        count = self.rng.choice([1, 1, 1, 1, 1, 2, 2, 3, 5])
        invent = self.rng.random() < 0.5
        rules = [self.rule(invent) for _ in range(count)]
        # Who asks for two documents at once gets none, but may be the one who knows an unknown id.
        by_id = [rule for rule in rules if rule["field"] == "_id" and rule["op"] in ("==", "in")]
        return {"id": f"s{number}", "database": DATABASE, "collection": COLLECTION,
                "filters": [rule for rule in rules if rule not in by_id[1:]]}


def request(subscription):
    message = peers.subscribe(subscription["id"], subscription["collection"], database=DATABASE)
    for rule in subscription["filters"]:
        made = message.subscribe.filters.add(field=rule["field"], op=rule["op"])
        json_format.ParseDict(rule["value"], made.value)
    message.subscribe.expression = subscription.get("expression", "")
    return message


def seen_of(delivery):
    """A delivery as the oracle would write it; a document as JSON, for -0.0 == 0 in Python."""
    event = delivery.event
    data = oracle.parse(event.document_data) if event.document_data else None
    return {"event_id": event.event_id, "ids": sorted(delivery.subscription_ids),
            "database": event.database, "collection": event.collection,
            "document_id": event.document_id, "operation": event.operation,
            "timestamp": event.timestamp, "document_data": json.dumps(data, sort_keys=True)}


def wanted_of(expected, ids):
    wanted = expected.delivery(ids)
    operations = peers.streamer_pb2.OperationType
    wanted["operation"] = operations.Value("OPERATION_TYPE_" + expected.operation)
    wanted["document_data"] = json.dumps(expected.data, sort_keys=True)
    return wanted


def describe(seen, wanted, subscriptions, change):
    odd = {*seen["ids"]} ^ {*wanted["ids"]}
    return ({key: (seen[key], wanted[key]) for key in seen
             if key != "ids" and seen[key] != wanted[key]},
            "too many" if odd - {*wanted["ids"]} else "too few",
            [(item["filters"], item.get("expression")) for item in subscriptions
             if item["id"] in odd][:3], change)


def compare(checks, stream, subscriptions, changes, counts):
    """Every delivery in the order of the changes; the last change is delivered in any case."""
    past = oracle.Past()
    for change in changes:
        expected = oracle.Expected(change, past)
        ids = expected.ids(subscriptions)
        counts["matches"] += sum(identifier[0] in "se" for identifier in ids)
        counts["by expression"] += sum(identifier[0] == "e" for identifier in ids)
        counts["refused"] += expected.is_refused
        counts[expected.operation] = counts.get(expected.operation, 0) + 1
        if ids:
            seen = seen_of(stream.delivery())
            wanted = wanted_of(expected, ids)
            counts["deliveries"] += 1
            if not checks.that(seen == wanted, "a delivery as the oracle says",
                               describe(seen, wanted, subscriptions, change)
                               if seen != wanted else ""):
                counts["wrong"] += 1
                if seen["event_id"] != wanted["event_id"] or counts["wrong"] > 5:
                    return


def play(checks, seed, counts):
    rng = random.Random(seed)
    maker = Changes(rng)
    changes = [maker.make(number) for number in range(CHANGES - 1)]
    changes.append(maker.last(CHANGES))
    filters = Filters(rng, changes)
    subscriptions = [filters.subscription(number) for number in range(SUBSCRIPTIONS)]
    if rng.random() < 0.7:
        subscriptions.append({"id": "whole", "database": DATABASE, "collection": COLLECTION,
                              "filters": []})
    subscriptions.append({"id": "last", "database": DATABASE, "collection": LAST, "filters": []})
    puller = Puller()
    trust = ["--trust-json"] if seed % 2 else []
    streamer, address = peers.serve("--puller", puller.address, *trust)
    puller.wait_subscribers(1)
    channel = peers.channel(address)
    stream = peers.Stream(channel)
    for subscription in subscriptions:
        answer = stream.ask(request(subscription))
        checks.that(answer.success, "a condition is accepted",
                    "" if answer.success else (subscription, answer.error))
    for number, change in enumerate(changes):
        again = [changes[rng.randrange(number)]] if number and rng.random() < 0.1 else []
        puller.push(change, change, *again)  # the second one and older ones are repeats
    compare(checks, stream, subscriptions, changes, counts)
    counts["pairs"] += SUBSCRIPTIONS * (CHANGES - 1)
    stream.cancel()
    channel.close()
    checks.equal(streamer.stop(), 0, "SIGTERM ends it with status 0")
    puller.stop()


def main():
    seed = int(os.environ.get("TEST_SEED", random.randrange(10 ** 6)))
    pairs = int(os.environ.get("PROPERTY_PAIRS", 100000))
    checks = peers.Checks()
    counts = {"pairs": 0, "matches": 0, "by expression": 0, "deliveries": 0, "refused": 0,
              "wrong": 0}
    while counts["pairs"] < pairs and checks.failed == 0:
        print(f"seed {seed}", flush=True)
        with checks.section(f"seed {seed}"):
            play(checks, seed, counts)
        seed += 1
    print(f"{counts}, {100 * counts['matches'] / max(counts['pairs'], 1):.1f} % of the pairs match")
    checks.that(counts["matches"] * 100 > counts["pairs"], "enough matches", counts)
    checks.that(counts["by expression"] * 100 > counts["pairs"], "enough by expression", counts)
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
