"""Rules of `streamer bench match` in the languages of the peers. A rule is taken apart into terms
(path, operation, value), all of which must hold; a language that has no words for one refuses."""

import decimal
import json
import re

PIECE = re.compile(r'(?P<path>[A-Za-z_][\w.]*)'
                   r'(?: == (?P<equal>"[^"\\]*")|\.startsWith\((?P<prefix>"[^"\\]*")\)'
                   r'|\.endsWith\((?P<suffix>"[^"\\]*")\))')
ORDERS = ("<", "<=", ">", ">=")


class Refused(Exception):
    """Why a language cannot say it."""


def terms(rule):
    """Of filters, and of an expression that joins plain comparisons by &&."""
    found = [(each["field"], each["op"], each["value"]) for each in rule["filters"]]
    for piece in filter(None, rule.get("expression", "").split(" && ")):
        one = PIECE.fullmatch(piece)
        if not one:
            raise Refused(f"this script does not take apart {piece}")
        operation = next(name for name in ("equal", "prefix", "suffix") if one[name])
        found.append((one["path"], operation.replace("equal", "=="), json.loads(one[operation])))
    return found


# ---- patterns, of event-ruler and quamina --------------------------------------------------------

def escape(text):
    return text.replace("\\", "\\\\").replace("*", "\\*")


def leaf(operations, is_ruler):
    """What one member must be, all of the operations at once."""
    names = tuple(sorted(operation for operation, _ in operations))
    values = dict(operations)
    if names in (("==",), ("contains",)):
        return next(iter(values.values()))
    if names == ("!=",):
        return {"anything-but": values["!="] if is_ruler else [values["!="]]}
    if names == ("prefix",):
        return {"prefix": values["prefix"]}
    if names == ("prefix", "suffix"):
        return {"wildcard": f"{escape(values['prefix'])}*{escape(values['suffix'])}"}
    if all(name in ORDERS for name in names):
        if not is_ruler:
            raise Refused("it has no order of numbers")
        lower_first = sorted(operations, reverse=True)
        return {"numeric": [part for operation in lower_first for part in operation]}
    raise Refused(f"it has no {' and '.join(names)} of one member")


def pattern(rule, is_ruler):
    members = {}
    for path, operation, value in terms(rule):
        members.setdefault(path, []).append((operation, value))
    whole = {}
    for path, operations in members.items():
        *parents, last = path.split(".")
        place = whole
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = [leaf(operations, is_ruler)]
    return json.dumps(whole, separators=(",", ":"))


def event_ruler(rule):
    return pattern(rule, True)


def quamina(rule):
    return pattern(rule, False)


# ---- expressions, of a-tree and cel-go -----------------------------------------------------------

ATREE_WORDS = {"==": "=", "!=": "<>", **{order: order for order in ORDERS}}
KINDS = {bool: "boolean", int: "integer", float: "float", str: "string"}


def attribute_name(path):
    return path.replace(".", "__")


def atree_literal(value):
    if isinstance(value, float):
        text = format(decimal.Decimal(repr(value)), "f")
        return text if "." in text else text + ".0"
    return f"'{value}'" if isinstance(value, str) else str(value)


def atree(rule):
    said = []
    for path, operation, value in terms(rule):
        name = attribute_name(path)
        if operation == "contains":
            said.append(f"{name} one of [{atree_literal(value)}]")
        elif operation in ATREE_WORDS:
            said.append(f"{name} {ATREE_WORDS[operation]} {atree_literal(value)}")
        else:
            raise Refused(f"it has no {operation} of a text")
    return " and ".join(said)


def atree_attributes(rules):
    """Lines of kind, name and JSON pointer: those that the rules speak of."""
    found = {}
    for rule in rules:
        for path, operation, value in terms(rule):
            found[path] = KINDS[type(value)] + ("_list" if operation == "contains" else "")
    return "".join(f"{kind}\t{attribute_name(path)}\t/{path.replace('.', '/')}\n"
                   for path, kind in found.items())


def cel(rule):
    said = []
    for path, operation, value in terms(rule):
        text = json.dumps(value)
        if operation == "contains":
            said.append(f"{text} in doc.{path}")
        elif operation in ("prefix", "suffix"):
            call = "startsWith" if operation == "prefix" else "endsWith"
            said.append(f"doc.{path}.{call}({text})")
        else:
            said.append(f"doc.{path} {operation} {text}")
    return " && ".join(said)
