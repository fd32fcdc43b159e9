"""The table's rows (test_table.py says how they are written), and the changes they speak of."""

import glob
import json
import os
import re

import peers
import syntrix

ROW_KEYS = {"name", "subscriptions", "changes", "steps", "deliveries", "match", "no_match",
            "refuse", "fields", "original", "why", "transports", "reason"}
CHANGE_KEYS = {"op", "id", "database", "collection", "fields", "data", "data_text", "deleted",
               "version", "full_doc", "full_doc_hex", "change"}


def expand(pairs):
    made = dict(pairs)
    return made["repeat"] * made["times"] if set(made) == {"repeat", "times"} else made


def only(keys, made, name):
    odd = set(made) - keys
    if odd:
        raise AssertionError(f"{name}: what is {sorted(odd)}?")


def load(pattern):
    rows = []
    for path in sorted(glob.glob(os.path.join(peers.HERE, "table", "*.json"))):
        with open(path, encoding="utf-8") as text:
            rows += json.load(text, object_pairs_hook=expand)
    names = [row["name"] for row in rows]
    if len(set(names)) != len(names):
        raise AssertionError(f"twice: {sorted({n for n in names if names.count(n) > 1})}")
    for row in rows:
        only(ROW_KEYS, row, row["name"])
        if ("original" in row) != ("why" in row) or ("transports" in row) != ("reason" in row):
            raise AssertionError(f"{row['name']}: original wants why, transports want a reason")
    return [row for row in rows if re.search(pattern, row["name"])]


def typed(content):
    """The wire's Value of a row's value."""
    if isinstance(content, dict):
        return content
    if isinstance(content, list):
        return {"list_value": {"values": [typed(item) for item in content]}}
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return {kinds[type(content)]: str(content) if type(content) is int else content}


def filter_message(field, operator, *content):
    made = {"field": field, "op": operator}
    if content:
        made["value"] = typed(content[0])
    return made


class Changes:
    """Makes the changes of all rows, in the order of one cluster."""

    def __init__(self):
        self.count = 0

    @staticmethod
    def full_doc(short, database, mgo_doc_id):
        """The document as an object, or as bytes: `full_doc` as it stands, null for none, or
        Syntrix's around `data`, `data_text` (JSON as it stands) or `fields` (and the id)."""
        if "full_doc_hex" in short:
            return bytes.fromhex(short["full_doc_hex"])
        if "full_doc" in short:
            full_doc = short["full_doc"]
            return full_doc.encode() if isinstance(full_doc, str) else full_doc
        data = {"id": short.get("id", "d1"), **short.get("fields", {})}
        data = {} if short.get("deleted") and "fields" not in short else data
        made = syntrix.stored_document(database, short.get("collection", "c"), mgo_doc_id,
                                       short.get("data", data), short.get("version", 1),
                                       (1000, 2000))
        if "deleted" in short:
            made["deleted"] = short["deleted"]
        if "data_text" in short:
            made["data"] = {}
            return syntrix.go_json(made).replace(b'"data":{}',
                                                 b'"data":' + short["data_text"].encode())
        return made

    def make(self, short, own_database):
        """A change in the long form of a row's: op, id, database, collection, version, deleted and
        the document; `change` replaces members of the long form."""
        only(CHANGE_KEYS, short, "change")
        self.count += 1
        database = short.get("database", own_database)
        mgo_doc_id = syntrix.mongo_id(database, short.get("collection", "c"), short.get("id", "d1"))
        when = short.get("change", {}).get("cluster_time", {"t": 1767225600, "i": self.count})
        made = {"event_id": syntrix.event_id(when["t"], when["i"], "documents", mgo_doc_id),
                "database": database, "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id,
                "op_type": short.get("op", "insert"), "cluster_time": when,
                "timestamp": 1767225600000 + self.count, "txn_number": 0,
                "backend": "default_mongo",
                "full_doc": self.full_doc(short, database, mgo_doc_id)}
        made.update(short.get("change", {}))
        return made
