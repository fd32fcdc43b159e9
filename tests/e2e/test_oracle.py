#!/usr/bin/python3
"""The oracle and the maker of changes against the facts they are to follow; no Streamer needed."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
import table_rows  # noqa: E402


def check_filters(checks):
    """The table's filters against the documents that they are played with."""
    changes = table_rows.Changes()
    for row in table_rows.load(""):
        short = row.get("changes", [{"fields": row.get("fields", {})}])[0]
        for key, wanted in (("match", True), ("no_match", False)):
            for rule in row.get(key, []):
                full_doc = changes.make(short, "default")["full_doc"]
                full_doc = full_doc if isinstance(full_doc, bytes) else syntrix.go_json(full_doc)
                seen = oracle.filter_holds(oracle.flatten(oracle.parse(full_doc)),
                                           table_rows.filter_message(*rule))
                checks.equal(seen, wanted, f"{row['name']}: {rule}"[:300])


def check_documents(checks):
    full_doc = {"data": {"id": "u1", "version": 9, "a": 1, "deleted": "yes"}, "collection": "users",
                "version": 2, "updatedAt": 3, "createdAt": 4}
    checks.equal(oracle.document_data(oracle.flatten(full_doc)),
                 {"a": 1, "deleted": "yes", "version": 2, "updatedAt": 3, "createdAt": 4},
                 "flatten")
    tomb = dict(full_doc, data={}, deleted=True)
    checks.equal(oracle.flatten(tomb)["id"], "", "a tombstone has no id")
    checks.equal(oracle.flatten(tomb)["deleted"], True, "and is deleted")
    table = [("insert", full_doc, "INSERT"), ("insert", tomb, "INSERT"),
             ("update", full_doc, "UPDATE"), ("update", tomb, "DELETE"),
             ("replace", full_doc, "INSERT"), ("replace", tomb, "DELETE"),
             ("delete", None, None), ("update", None, None), ("drop", full_doc, None)]
    for op_type, document, wanted in table:
        checks.equal(oracle.operation({"op_type": op_type, "full_doc": document}), wanted, op_type)
    check_past(checks, full_doc, tomb)
    subscription = {"database": "default", "collection": "users", "filters": [
        table_rows.filter_message("_id", "==", "u1")]}
    document = oracle.flatten(full_doc)
    checks.equal([oracle.matches(subscription, database, document)
                  for database in ("default", "other")], [True, False], "database and _id")


def check_past(checks, full_doc, tomb):
    """What depends on the document's past, or on what an update says."""
    dead, alive = ("users", "u1", True), ("users", "u1", False)
    named = {"mgo_doc_id": syntrix.mongo_id("default", "users", "u1")}
    for change, past, wanted in (
            ({"op_type": "update", "full_doc": full_doc}, dead, "INSERT"),
            ({"op_type": "update", "full_doc": full_doc}, alive, "UPDATE"),
            ({"op_type": "update", "full_doc": tomb}, dead, "DELETE"),
            ({"op_type": "update", "full_doc": full_doc,
              "update_desc": {"updatedFields": {"deleted": True}}}, alive, "DELETE"),
            ({"op_type": "update", "full_doc": full_doc,
              "update_desc": {"updatedFields": {"deleted": False}}}, None, "INSERT"),
            ({"op_type": "delete", **named}, None, "DELETE"),
            ({"op_type": "delete", **named}, alive, "DELETE"),
            ({"op_type": "delete", **named}, dead, None)):
        checks.equal(oracle.operation(change, past), wanted, f"{change['op_type']} after {past}")
    unknown = oracle.UnknownId(named["mgo_doc_id"], "users")
    checks.equal([unknown.compare("==", "u1"), unknown.compare("==", "u2"),
                  unknown.compare("!=", "u2"), unknown.compare("in", ["a", "u1"])],
                 [True, False, True, True], "an unknown id")


def check_syntrix(checks):
    mgo_doc_id = syntrix.mongo_id("default", "users", "doc1")
    identifier = syntrix.event_id(1767225600, 1, "documents", mgo_doc_id)
    for seen, wanted in (
            (mgo_doc_id, "default:c5065b7b91c54be94915e0060d04bc57"),
            (syntrix.collection_hash("users"), "17a7a8b05a979c62406ea768c93739c5"),
            (identifier, "1767225600-1-06ce2b77db89adaa"),
            (syntrix.progress({"default_mongo": identifier}),
             "eyJwIjp7ImRlZmF1bHRfbW9uZ28iOiIxNzY3MjI1NjAwLTEtMDZjZTJiNzdkYjg5YWRhYSJ9fQ"),
            (syntrix.progress({}), "e30"), (syntrix.parse_progress("e30"), {}),
            # BLAKE3's own test vectors: 0, 1, 64, 65 and 1,024 bytes of 0, 1 ... 250, 0 ...
            (syntrix.blake3(b"").hex()[:32], "af1349b9f5f9a1a6a0404dea36dcc949"),
            (syntrix.blake3(b"\0").hex()[:32], "2d3adedff11b61f14c886e35afa03673"),
            (syntrix.blake3(bytes(range(64))).hex()[:32], "4eed7141ea4a5cd4b788606bd23f46e2"),
            (syntrix.blake3(bytes(range(65))).hex()[:32], "de1e5fa0be70df6d2be8fffd0e99ceaa"),
            (syntrix.blake3(bytes(i % 251 for i in range(1024))).hex()[:32],
             "42214739f095a406f3fc83deb889744a"),
            (syntrix.go_json({"b": 1, "a": {"z": "<&>\u2028", "a": [25.0, None, True]}}),
             b'{"b":1,"a":{"a":[25,null,true],"z":"\\u003c\\u0026\\u003e\\u2028"}}')):
        checks.equal(seen, wanted, "as Syntrix writes it")
    for number, wanted in ((1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"),
                           (1e-7, "1e-7"), (0.1, "0.1"), (-0.0, "-0"), (1.5e300, "1.5e+300")):
        checks.equal(syntrix.go_json(number).decode(), wanted, "a double")


def main():
    checks = peers.Checks()
    check_filters(checks)
    check_documents(checks)
    check_syntrix(checks)
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
