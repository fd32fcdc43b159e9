#!/usr/bin/python3
"""The oracle and the maker of changes against the facts they are to follow; no Streamer needed."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402

DOCUMENT = oracle.parse(
    '{"n": 25, "x": 2.5, "max": 18446744073709551615, "odd": 9007199254740993, "vast": 1e300,'
    ' "s": "zebra", "t": true, "f": false, "nil": null, "list": [1, "a", [2, 3], null],'
    ' "o": {"in": {"deep": 7}, "nil": null}, "": {"": 1}, "a.b": 1, "z": "\\ud83d\\ude00",'
    ' "y": "\\uffff"}')
TABLE = [
    ("n", "==", 25, True), ("n", "==", 25.0, True), ("n", "==", "25", False),
    ("n", "!=", "25", True), ("n", "!=", 25.0, False), ("n", "<", 25.5, True),
    ("n", "in", [1, 25.0], True), ("n", "in", [], False), ("t", "==", 1, False),
    ("t", "!=", 1, True), ("t", ">", False, True), ("f", "<", True, True), ("t", ">", 0, False),
    ("odd", "==", 9007199254740992.0, True), ("odd", "==", 9007199254740992, False),
    ("odd", ">", 9007199254740992, True), ("odd", ">", 9007199254740992.0, False),
    ("max", "==", 18446744073709551616.0, True), ("max", ">", 2 ** 63 - 1, True),
    ("vast", ">", 2 ** 63 - 1, True), ("vast", "!=", 1, True),
    ("nil", "==", "", False), ("nil", "!=", "", True), ("nil", "<", 1, False),
    ("nil", "in", [1], False), ("none", "!=", 1, False), ("none", "in", [1], False),
    ("s", "contains", "ebr", False), ("s", ">", "Zebra", True), ("s", "<=", "zebra", True),
    ("y", "<", "\U0001f600", True), ("z", ">", "\uffff", True),
    ("list", "contains", 1.0, True), ("list", "contains", "b", False),
    ("list", "contains", [2, 3.0], True), ("list", "contains", [3, 2], False),
    ("list.0", "==", 1, False), ("list", "==", [1, "a", [2, 3], 4], False),
    ("o", "contains", "in", True), ("o", "contains", "deep", False), ("o", "contains", 1, False),
    ("o.in.deep", "==", 7, True), ("o.in.deep.x", "!=", 7, False), ("o.nil", "!=", 7, True),
    ("o.nil.x", "!=", 7, False), ("o", "!=", 7, True), ("o", "==", 7, False), ("o", "<", 7, False),
    (".", "==", 1, True), ("a.b", "==", 1, False), ("n", "contains", 25, False),
]


def value(content):
    """A Python value in proto's JSON."""
    if isinstance(content, list):
        return {"list_value": {"values": [value(item) for item in content]}}
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return {kinds[type(content)]: str(content) if type(content) is int else content}


def check_filters(checks):
    for field, op, content, wanted in TABLE:
        seen = oracle.filter_holds(DOCUMENT, {"field": field, "op": op, "value": value(content)})
        checks.equal(seen, wanted, f"{field} {op} {content!r}")


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
        {"field": "_id", "op": "==", "value": value("u1")}]}
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
