"""What a subscription must get, said as plainly as possible: each filter against each change.

Straight from the sheet of values and the original's operators. Nothing here is fast or clever; it
is compared with the Streamer, so it shares nothing with it.
"""

import functools
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import strict_json  # noqa: E402
import syntrix  # noqa: E402

INT64 = range(-2 ** 63, 2 ** 63)
UINT64_MAX = 2 ** 64 - 1


class Fails(Exception):
    """An evaluation error: it does not match, whatever the operator."""


def parse_integer(text):
    """An integer that fits neither int64 nor uint64 is a double."""
    number = int(text)
    return number if number in INT64 or 0 <= number <= UINT64_MAX else float(text)


def parse(text):
    return json.loads(text, parse_int=parse_integer)


def parse_leniently(text):
    """What can be made of a document's bytes that may have to be refused."""
    full_doc = json.loads(text.decode(errors="surrogateescape"))
    return dict(full_doc, data=full_doc.get("data") or {})


def is_refused(text):
    try:
        strict_json.read(text)
    except strict_json.Refused:
        return True
    return False


def flatten(full_doc, known=None):
    """The document that filters see: the user's fields, then the system's."""
    document = dict(full_doc["data"] or {})
    document["id"] = document_id(full_doc) or known or ""
    document["collection"] = full_doc["collection"]
    document["version"] = full_doc["version"]
    document["updatedAt"] = full_doc["updatedAt"]
    document["createdAt"] = full_doc["createdAt"]
    if full_doc.get("deleted"):
        document["deleted"] = True
    return document


def document_id(full_doc):
    """What the document itself says; a tombstone has no data.id."""
    identifier = (full_doc["data"] or {}).get("id")
    return identifier if isinstance(identifier, str) and is_utf8(identifier) else ""


def is_utf8(text):
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def document_data(document):
    """What a delivery carries: id and collection have fields of their own."""
    return {key: value for key, value in document.items() if key not in ("id", "collection")}


class Past:
    """What is known of documents from earlier changes: the id behind the store's, alive or not."""

    def __init__(self):
        self.documents = {}

    def of(self, change):
        """(collection, id, is it deleted) or None."""
        return self.documents.get(change.get("mgo_doc_id"))

    def note(self, change, collection, identifier, deleted):
        key = change.get("mgo_doc_id")
        if not has_identity(change):
            return
        if key in self.documents:
            self.documents[key] = (*self.documents[key][:2], deleted)
        elif identifier:
            self.documents[key] = (collection, identifier, deleted)


def has_identity(change):
    return re.fullmatch(r".*:[0-9a-f]{32}", change.get("mgo_doc_id") or "", re.S) is not None


def sets_deleted(change):
    """What an update says of the document's own `deleted`: True, False or None."""
    description = change.get("update_desc")
    if isinstance(description, (bytes, str)):
        description = json.loads(description) if description else None
    said = ((description or {}).get("updatedFields") or {}).get("deleted")
    return said if isinstance(said, bool) else None


def operation(change, past=None):
    """INSERT, UPDATE, DELETE, or None for a change that goes to nobody."""
    full_doc = change.get("full_doc")
    kind = change.get("op_type")
    was_deleted = bool(past and past[2])
    if kind == "delete":
        return "DELETE" if has_identity(change) and not was_deleted else None
    if full_doc is None or kind not in ("insert", "update", "replace"):
        return None
    if kind == "insert":
        return "INSERT"
    if full_doc.get("deleted"):
        return "DELETE"
    if kind == "replace":
        return "INSERT"
    if sets_deleted(change):
        return "DELETE"
    return "INSERT" if was_deleted or sets_deleted(change) is False else "UPDATE"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare_numbers(a, b):
    """Negative, zero or positive; integers among themselves exactly, otherwise as doubles."""
    if not (isinstance(a, int) and isinstance(b, int)):
        a, b = float(a), float(b)
    return (a > b) - (a < b)


def equal(a, b):
    if is_number(a) and is_number(b):
        return compare_numbers(a, b) == 0
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    for kind in (bool, str):
        if isinstance(a, kind) and isinstance(b, kind):
            return a == b
    return False


def order(a, b):
    """Negative, zero or positive; strings by their bytes, false before true."""
    if is_number(a) and is_number(b):
        return compare_numbers(a, b)
    if isinstance(a, str) and isinstance(b, str):
        a, b = a.encode(), b.encode()
    elif not (isinstance(a, bool) and isinstance(b, bool)):
        raise Fails("no order")
    return (a > b) - (a < b)


def contains(field, value):
    if isinstance(field, list):
        return any(equal(item, value) for item in field)
    if isinstance(field, dict):
        return isinstance(value, str) and value in field
    raise Fails("neither list nor object")


OPERATORS = {
    "==": equal,
    "!=": lambda field, value: not equal(field, value),
    "<": lambda field, value: order(field, value) < 0,
    "<=": lambda field, value: order(field, value) <= 0,
    ">": lambda field, value: order(field, value) > 0,
    ">=": lambda field, value: order(field, value) >= 0,
    "in": lambda field, value: any(equal(field, item) for item in value),
    "contains": contains,
}


UNKNOWN = None  # a key that no document has: an UnknownId stands there


@functools.lru_cache(maxsize=100000)
def path_hash(collection, identifier):
    return syntrix.document_hash(collection, identifier).hex()


class UnknownId:
    """The id of a delete whose document was never seen, or of a document that was refused: only
    its hash is known, or not even that."""

    def __init__(self, mgo_doc_id, collection):
        named = has_identity({"mgo_doc_id": mgo_doc_id})
        self.hash = mgo_doc_id[-32:] if named else None
        self.collection = collection

    def is_one(self, identifier):
        if self.hash is None:
            raise Fails("no hash to compare with")
        return (isinstance(identifier, str)
                and path_hash(self.collection, identifier) == self.hash)

    def compare(self, op, value):
        if op in ("==", "!="):
            return self.is_one(value) == (op == "==")
        if op == "in":
            return any(self.is_one(item) for item in value)
        raise Fails("no order of what is not known")


def look_up(document, path):
    if path == "_id":
        return document.get(UNKNOWN, document["id"])
    value = document
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            raise Fails("no such field")
        value = value[part]
    return value


def plain(value):
    """A filter's value (proto's names, as in JSON) as a Python value."""
    (kind, content), = value.items()
    if kind == "int_value":
        return int(content)
    if kind == "double_value":
        return float(content)
    if kind == "list_value":
        return [plain(item) for item in content.get("values", [])]
    return content


def filter_holds(document, rule):
    try:
        field, value = look_up(document, rule["field"]), plain(rule["value"])
        if isinstance(field, UnknownId):
            return field.compare(rule["op"], value)
        return OPERATORS[rule["op"]](field, value)
    except Fails:
        return False


def matches(subscription, database, document, is_lost=False):
    """Whether a subscription {database, collection, filters, holds} gets this document's change;
    `holds` says it for an expression, if there is one: of the document, or of an id alone."""
    return (subscription["database"] == database
            and subscription["collection"] == document["collection"]
            and all(filter_holds(document, rule) for rule in subscription.get("filters", []))
            and ("holds" not in subscription or subscription["holds"](document, is_lost)))


def rules_of(subscription):
    """Its filters, and `id_rules`: what its expression asks of _id as a filter could."""
    return subscription.get("filters", []) + subscription.get("id_rules", [])


def is_by_id(subscription):
    """Whether documents are found for it by their ids: those hear of hard deletes."""
    return any(rule["field"] == "_id" and rule["op"] in ("==", "in")
               for rule in rules_of(subscription))


def ids_asked_for(subscription):
    """The documents that it asks for by their ids: those that all its rules of that kind name."""
    asked = [plain(rule["value"]) if rule["op"] == "in" else [plain(rule["value"])]
             for rule in rules_of(subscription)
             if rule["field"] == "_id" and rule["op"] in ("==", "in")]
    for identifier in asked[0] if asked else []:
        if all(identifier in ids for ids in asked):
            yield identifier


class Expected:
    """A change as every gateway must see it, and for whom. `full_doc` may be a document's bytes."""

    def __init__(self, change, past=None):
        past = past if past is not None else Past()
        known = past.of(change)
        text = change.get("full_doc")
        if isinstance(text, bytes):
            change = dict(change, full_doc=parse_leniently(text))
        self.event_id = change["event_id"]
        self.operation = operation(change, known)
        self.database = change["database"]
        self.timestamp = change["timestamp"]
        self.document = self.data = None
        self.identified = ""
        self.change = change
        self.is_purge = change["op_type"] == "delete"
        self.is_refused = False
        if self.operation is None:
            return
        self.fill(change, text, known[1] if known and self.operation == "DELETE" else "")
        if self.is_purge and known:
            self.document = {"id": known[1], "collection": known[0]}
        if self.document is None:
            return
        if not self.document["id"] and (self.operation == "DELETE" or self.is_refused):
            self.document[UNKNOWN] = UnknownId(change.get("mgo_doc_id"),
                                               self.document["collection"])
        past.note(change, self.document["collection"], self.document["id"],
                  self.operation == "DELETE")

    def fill(self, change, text, known):
        """The document, for filters and for deliveries; `known` is what a DELETE's id was."""
        full_doc = change.get("full_doc")
        if self.is_purge:
            self.database = change["mgo_doc_id"].rpartition(":")[0]
            return
        self.document = {"id": document_id(full_doc) or known, "collection": full_doc["collection"]}
        if self.operation == "DELETE" and not full_doc.get("deleted"):
            self.document["deleted"] = True
        elif isinstance(text, bytes) and is_refused(text):
            self.is_refused = True
        else:
            full_doc = parse(text) if isinstance(text, bytes) else full_doc
            self.document = flatten(full_doc, known)
            self.data = document_data(self.document)

    def identify(self, subscriptions):
        """Of a DELETE whose id is not known: who asks for just that document knows it. It is
        delivered with the id; a filter on the field `id` sees none, whoever asks."""
        if self.operation != "DELETE" or self.identified or (self.document and self.document["id"]):
            return
        for subscription in subscriptions:
            unknown = UnknownId(self.change.get("mgo_doc_id"), subscription["collection"])
            if (unknown.hash is None or subscription["database"] != self.database
                    or self.document and subscription["collection"] != self.document["collection"]):
                continue
            for identifier in ids_asked_for(subscription):
                if unknown.is_one(identifier):
                    self.identified = identifier
                    self.document = {**(self.document or {}), "id": "", UNKNOWN: unknown,
                                     "collection": subscription["collection"]}
                    return

    def ids(self, subscriptions):
        """The ids of those of one gateway's subscriptions that match, sorted."""
        self.identify(subscriptions)
        if self.document is None:
            return []
        return sorted(subscription["id"] for subscription in subscriptions
                      if self.is_for(subscription)
                      and matches(subscription, self.database, self.document, self.is_refused))

    def is_for(self, subscription):
        """A purge is for who asked by id, a document that was refused for whole collections too."""
        if self.is_refused:
            if not subscription.get("filters") and "holds" not in subscription:
                return True
            # No field of it can be known: the look-up of any but _id fails.
            return is_by_id(subscription) and all(
                rule["field"] == "_id" for rule in subscription["filters"])
        return is_by_id(subscription) or not self.is_purge

    def document_id(self):
        return self.document["id"] or self.identified

    def delivery(self, ids):
        """The delivery as the gateways record it, document_data parsed, None if there is none."""
        return {"event_id": self.event_id, "ids": ids, "database": self.database,
                "collection": self.document["collection"], "document_id": self.document_id(),
                "operation": self.operation, "timestamp": self.timestamp,
                "document_data": self.data}
