"""A small family of expressions, from what the language says of them: as text, and what they give.

An expression is a tuple, its kind first; a path is a list of names, a constant a Python value:
  ("and" | "or", expression, expression), ("not", expression),
  ("compare", path, operator, constant), ("in", path, constants), ("member", constant, path),
  ("has", path), ("starts", path, text), ("size", path, operator, number), ("field", path),
  ("id", operator, constant), where the constant of "in" is a list
Nothing here is fast or clever; it is compared with the Streamer, so it shares nothing with it.
"""

import re

import oracle
from oracle import Fails

RESERVED = {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import",
            "in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void",
            "while"}
VARIABLES = {"_id", "doc", "event"}
FLIPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


# ---- what it gives -----------------------------------------------------------------------------

class Scope:
    """What there is of a change: its id, maybe unknown, and its document, or None."""

    def __init__(self, identifier, document):
        self.identifier, self.document = identifier, document


def look_up(scope, path):
    """The value at a path: of what is no object, and of a name that is not there, there is none."""
    value = scope.document
    for name in path:
        if not isinstance(value, dict) or name not in value:
            raise Fails("no such field")
        value = value[name]
    return value


def equal(a, b):
    """Never an error: what is of different kinds is not equal."""
    if a is None or b is None:
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    return oracle.equal(a, b)


def compare(a, operator, b):
    if operator in ("==", "!="):
        return equal(a, b) == (operator == "==")
    order = oracle.order(a, b)
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def member(constant, container):
    if isinstance(container, list):
        return any(equal(constant, item) for item in container)
    if isinstance(container, dict):
        return isinstance(constant, str) and constant in container
    raise Fails("neither list nor object")


def size(value):
    if not isinstance(value, (str, list, dict)):
        raise Fails("it has no size")
    return len(value)


def starts(value, text):
    if not isinstance(value, str):
        raise Fails("no string")
    return value.startswith(text)


def has(scope, path):
    container = look_up(scope, path[:-1])
    if not isinstance(container, dict):
        raise Fails("no object")
    return path[-1] in container


def compare_id(scope, operator, content):
    if isinstance(scope.identifier, oracle.UnknownId):
        return scope.identifier.compare(operator, content)
    if operator == "in":
        return scope.identifier in content
    return compare(scope.identifier, operator, content)


def condition(value):
    if not isinstance(value, bool):
        raise Fails("no bool")
    return value


def join(scope, decisive, sides):
    """The value that decides, whatever the other side is, an error included; else an error."""
    results = [outcome(scope, side) for side in sides]
    if decisive in results:
        return decisive
    if None in results:
        raise Fails("a side that would decide is an error")
    return not decisive


def evaluate(scope, expression):
    kind, *parts = expression
    if kind in ("and", "or"):
        return join(scope, kind == "or", parts)
    if kind == "not":
        return not evaluate(scope, parts[0])
    if kind == "id":
        return compare_id(scope, *parts)
    if kind == "has":
        return has(scope, parts[0])
    if kind == "member":
        return member(parts[0], look_up(scope, parts[1]))
    value = look_up(scope, parts[0])
    if kind == "field":
        return condition(value)
    if kind == "starts":
        return starts(value, parts[1])
    if kind == "in":
        return member(value, parts[1])
    return compare(size(value) if kind == "size" else value, parts[1], parts[2])


def outcome(scope, expression):
    """True, False, or None for an error."""
    try:
        return evaluate(scope, expression)
    except Fails:
        return None


def holds(expression, document, is_lost):
    """Whether a subscription with it gets the change; `is_lost`: only the id is known of it."""
    scope = Scope(oracle.look_up(document, "_id"), None if is_lost else document)
    return outcome(scope, expression) is True


# ---- as text -----------------------------------------------------------------------------------

class Writer:
    """Writes an expression in one of the ways in which it can be written."""

    def __init__(self, rng):
        self.rng = rng

    def string(self, text):
        quote = self.rng.choice("'\"")
        escape = self.rng.random() < 0.2
        return quote + "".join(self.letter(letter, quote, escape) for letter in text) + quote

    @staticmethod
    def letter(letter, quote, escape):
        if letter in (quote, "\\"):
            return "\\" + letter
        if letter < " " or escape:
            return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
        return letter

    def constant(self, content):
        if content is None:
            return "null"
        if isinstance(content, bool):
            return "true" if content else "false"
        if isinstance(content, str):
            return self.string(content)
        if isinstance(content, list):
            return "[" + ", ".join(self.constant(item) for item in content) + "]"
        if isinstance(content, int) and content >= 2 ** 63:
            return f"{content}u"
        return repr(content)

    @staticmethod
    def is_name(name):
        return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is not None and name not in RESERVED

    def path(self, path):
        if self.is_name(path[0]) and path[0] not in VARIABLES and self.rng.random() < 0.5:
            return path[0] + "".join(self.step(name) for name in path[1:])
        return "doc" + "".join(self.step(name) for name in path)

    def step(self, name):
        if self.is_name(name) and self.rng.random() < 0.8:
            return "." + name
        return f"[{self.string(name)}]"

    def compare(self, left, operator, right):
        if self.rng.random() < 0.3:
            left, operator, right = right, FLIPPED[operator], left
        return f"{left} {operator} {right}"

    def write(self, expression):
        kind, *parts = expression
        if kind in ("and", "or"):
            return "(" + {"and": " && ", "or": " || "}[kind].join(map(self.write, parts)) + ")"
        if kind == "not":
            return f"!({self.write(parts[0])})"
        if kind == "has":
            return f"has({self.path(parts[0][:-1]) if parts[0][1:] else 'doc'}.{parts[0][-1]})"
        if kind == "member":
            return f"{self.constant(parts[0])} in {self.path(parts[1])}"
        if kind == "id":
            operator, content = parts
            if operator == "in":
                return f"_id in {self.constant(content)}"
            return self.compare("_id", operator, self.constant(content))
        path = self.path(parts[0])
        if kind == "field":
            return path
        if kind == "starts":
            return f"{path}.startsWith({self.string(parts[1])})"
        if kind == "in":
            return f"{path} in {self.constant(parts[1])}"
        if kind == "size":
            path = self.rng.choice([f"size({path})", f"{path}.size()"])
        return self.compare(path, parts[1], self.constant(parts[2]))
