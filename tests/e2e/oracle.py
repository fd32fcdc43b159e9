"""What a subscription must get, said as plainly as possible: each filter against each change.

Straight from the sheet of values and the original's operators. Nothing here is fast or clever; it
is compared with the Streamer, so it shares nothing with it.
"""

import json

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


def flatten(full_doc):
    """The document that filters see: the user's fields, then the system's."""
    document = dict(full_doc["data"] or {})
    document["id"] = document_id(full_doc)
    document["collection"] = full_doc["collection"]
    document["version"] = full_doc["version"]
    document["updatedAt"] = full_doc["updatedAt"]
    document["createdAt"] = full_doc["createdAt"]
    if full_doc.get("deleted"):
        document["deleted"] = True
    return document


def document_id(full_doc):
    """A tombstone has no data.id: its id is not known, and is empty."""
    identifier = (full_doc["data"] or {}).get("id")
    return identifier if isinstance(identifier, str) else ""


def document_data(document):
    """What a delivery carries: id and collection have fields of their own."""
    return {key: value for key, value in document.items() if key not in ("id", "collection")}


def operation(change):
    """INSERT, UPDATE, DELETE, or None for a change that goes to nobody."""
    full_doc = change.get("full_doc")
    kind = change.get("op_type")
    if full_doc is None or kind not in ("insert", "update", "replace"):
        return None
    if kind == "insert":
        return "INSERT"
    if full_doc.get("deleted"):
        return "DELETE"
    return "INSERT" if kind == "replace" else "UPDATE"


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


def look_up(document, path):
    if path == "_id":
        return document["id"]
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
        return OPERATORS[rule["op"]](look_up(document, rule["field"]), plain(rule["value"]))
    except Fails:
        return False


def matches(subscription, database, document):
    """Whether a subscription {database, collection, filters} gets this document's change."""
    return (subscription["database"] == database
            and subscription["collection"] == document["collection"]
            and all(filter_holds(document, rule) for rule in subscription.get("filters", [])))


class Expected:
    """A change as every gateway must see it, and for which subscriptions."""

    def __init__(self, change):
        self.event_id = change["event_id"]
        self.operation = operation(change)
        self.database = change["database"]
        self.timestamp = change["timestamp"]
        self.document = flatten(change["full_doc"]) if self.operation else None

    def ids(self, subscriptions):
        """The ids of those of one gateway's subscriptions that match, sorted."""
        if self.operation is None:
            return []
        return sorted(subscription["id"] for subscription in subscriptions
                      if matches(subscription, self.database, self.document))

    def delivery(self, ids):
        """The delivery as the gateways record it, document_data parsed."""
        return {"event_id": self.event_id, "ids": ids, "database": self.database,
                "collection": self.document["collection"], "document_id": self.document["id"],
                "operation": self.operation, "timestamp": self.timestamp,
                "document_data": document_data(self.document)}
