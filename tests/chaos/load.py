"""The recorded stream of a run, made from its seed, and what its gateways subscribe to."""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import peers  # noqa: E402
import syntrix  # noqa: E402

DATABASE, BACKENDS = "default", ["default_mongo", "other"]
CONTROL = "control"  # a collection that every gateway has whole: how a run knows that it is done
RARE = "rare"
COLLECTIONS = ["rooms", "users", "rooms/a/messages"]
DOCUMENTS, PARTS, WORDS = 60, 5, ["red", "green", "blue"]
EPOCH_SECONDS = 1767225600
LARGE_BYTES = 150_000
WIDTH = 100  # of a kilobyte each: more than the 64 KiB of a small message


class Recorder:
    """Makes changes one after the other and writes them to a file, a line each. Numbers are from
    1; a few changes have the cluster time of the one before, as those of a transaction do, and
    come in the order in which a Puller keeps them: a marker speaks of that one."""

    def __init__(self, rng, path, large=0.0, backends=1):
        self.rng = rng
        self.large = large
        self.backends = BACKENDS[:backends]
        self.newest = {}  # event id by backend
        self.changes = []
        self.numbers = {}  # by event id
        self.times = {}  # (T, I): the first and the last number there
        self.alive = {}
        self.time = (EPOCH_SECONDS, 0)
        self.newest_key = None
        self.written = open(path, "w", encoding="utf-8")  # for as long as the run

    def next_time(self):
        seconds, increment = self.time
        self.time = (seconds, increment + 1) if self.rng.random() < 0.95 else (seconds + 1, 1)

    def add(self, collection=None):
        """The next change, of this collection or of any."""
        number, rng = len(self.changes) + 1, self.rng
        together = number > 1 and collection is None and rng.random() < 0.05
        if collection is None:
            collection = RARE if rng.random() < 0.02 else rng.choice(COLLECTIONS)
            identifier = f"d{rng.randrange(DOCUMENTS)}"
        else:
            identifier = f"n{number}"
        if not together or self.key_of(collection, identifier) <= self.newest_key:
            self.next_time()
        self.newest_key = self.key_of(collection, identifier)
        self.put(number, collection, identifier)

    def id_of(self, collection, identifier):
        return syntrix.event_id(*self.time, "documents",
                                syntrix.mongo_id(DATABASE, collection, identifier))

    def key_of(self, collection, identifier):
        return syntrix.event_key(self.id_of(collection, identifier))

    def put(self, number, collection, identifier):
        backend = self.backends[sum(map(ord, identifier)) % len(self.backends)]
        change = {"event_id": self.id_of(collection, identifier), "database": DATABASE,
                  "mgo_coll": "documents", "backend": backend, "timestamp": number,
                  "mgo_doc_id": syntrix.mongo_id(DATABASE, collection, identifier),
                  "cluster_time": {"t": self.time[0], "i": self.time[1]}}
        self.newest[backend] = change["event_id"]
        change["progress"] = syntrix.progress(self.newest)
        change.update(self.content(number, collection, identifier, change["mgo_doc_id"]))
        if change["op_type"] == "delete":
            change["database"] = ""
        self.changes.append(change)
        self.numbers[change["event_id"]] = number
        first, _ = self.times.get(self.time, (number, number))
        self.times[self.time] = (first, number)
        self.written.write(json.dumps(change) + "\n")
        self.written.flush()

    def content(self, number, collection, identifier, mgo_doc_id):
        """What happens to the document. It is purged only alive: what a Streamer makes of the
        purge of a dead one depends on what it remembers."""
        rng, key = self.rng, (collection, identifier)
        was_alive = self.alive.get(key)
        kind = rng.random()
        if was_alive and kind < 0.04:
            self.alive[key] = False
            return {"op_type": "delete"}
        deleted = bool(was_alive) and kind < 0.1
        self.alive[key] = not deleted
        data = {} if deleted else self.data(number, identifier)
        full_doc = syntrix.stored_document(DATABASE, collection, mgo_doc_id, data, number,
                                           (1000, 2000))
        if deleted:
            full_doc["deleted"] = True
        kind = "insert" if was_alive is None else "update" if was_alive else "replace"
        return {"op_type": kind, "full_doc": full_doc}

    def data(self, number, identifier):
        rng = self.rng
        data = {"id": identifier, "number": number, "part": rng.randrange(PARTS),
                "price": rng.randrange(1000) / 10, "word": rng.choice(WORDS),
                "pad": "x" * rng.randrange(200)}
        if rng.random() < self.large:
            data["pad"] = "x" * LARGE_BYTES
        return data


def rule(field, op, content):
    value = {bool: "bool_value", int: "int_value", float: "double_value",
             str: "string_value"}.get(type(content))
    if value is None:
        return {"field": field, "op": op, "value": {"list_value": {"values": [
            rule("", "", item)["value"] for item in content]}}}
    return {"field": field, "op": op, "value": {value: content}}


def wide(name):
    """Many with ids so long that a delivery to all of them takes more than one message."""
    return [whole(f"{name}-{number}-{'x' * 1000}", RARE) for number in range(WIDTH)]


def subscription(rng, identifier, knows_expressions):
    """One of any kind, as JSON: what the gateway asks for and what the judge evaluates."""
    made = {"id": identifier, "database": DATABASE, "collection": rng.choice(COLLECTIONS),
            "filters": [], "omit_document": rng.random() < 0.3 and knows_expressions}
    kind = rng.choice(["whole", "equal", "equal", "range", "in", "id", "ids", "expression"])
    if kind == "equal":
        made["filters"] = [rng.choice([rule("part", "==", rng.randrange(PARTS)),
                                       rule("word", "==", rng.choice(WORDS))])]
    elif kind == "range":
        low = rng.randrange(80)
        made["filters"] = [rule("price", ">=", low), rule("price", "<", low + 20.5)]
    elif kind == "in":
        made["filters"] = [rule("word", "in", rng.sample(WORDS, 2)), rule("part", "!=", 0)]
    elif kind == "id":
        made["filters"] = [rule("_id", "==", f"d{rng.randrange(DOCUMENTS)}")]
    elif kind == "ids":
        made["filters"] = [rule("_id", "in", [f"d{rng.randrange(DOCUMENTS)}" for _ in range(5)])]
    elif kind == "expression" and knows_expressions:
        modulus = rng.randrange(2, 9)
        made["modulo"] = [modulus, rng.randrange(modulus)]
    return made


def whole(identifier, collection):
    return {"id": identifier, "database": DATABASE, "collection": collection, "filters": []}


def expression(made):
    """What a subscription's `modulo` says in the language."""
    modulus, rest = made["modulo"]
    return f"number % {modulus} == {rest} && price >= 10.0"


def holds(made):
    """The same for the oracle: of a document that has no number it is an error, so it is false."""
    modulus, rest = made["modulo"]

    def holds_of(document, _is_lost):
        return ("number" in document and document["number"] % modulus == rest
                and document["price"] >= 10.0)
    return holds_of
