"""Expressions of CEL over documents, from a seed: the part of the language that @bufbuild/cel and
ours both have. Most are well typed and find what they look for; the edges of each type are dear."""

import json

INTS = [0, 1, -1, 2, 3, 7, 24, 63, 64, 100, -3, -100, 2 ** 31 - 1, -2 ** 31, 2 ** 32, 2 ** 53 - 1,
        2 ** 53, 2 ** 53 + 1, -2 ** 53 - 1, 2 ** 63 - 1, 2 ** 63 - 2, -2 ** 63, -2 ** 63 + 1]
UINTS = [0, 1, 2, 3, 7, 24, 2 ** 32, 2 ** 53 + 1, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 2, 2 ** 64 - 1]
DOUBLES = ["0.0", "1.0", "-1.0", "2.0", "3.0", "0.5", "-0.5", "1.5", "2.5", "0.1", "3.14", "24.0",
           "1e3", "-0.0", "1e-7", "123456.789", "9007199254740992.0", "9007199254740993.0",
           "9223372036854775807.0", "9223372036854775808.0", "-9223372036854775808.0",
           "18446744073709551615.0", "18446744073709551616.0", "1e19", "5e-324", "1e-310",
           "1.7976931348623157e308"]
TEXTS = ["", "a", "b", "ab", "abc", "aaa", "ABC", "hello world", " a b ", "a,b,c", "é", "ñandú",
         "ẞß", "\t\n", "\"'", "\\", "0", "1", "-1", "true", "name", "日本語", "a\u0301", "%", "\u0000",
         "\u00a0x\u2003", "\ufeff"]
WIDE = ["😀", "a😀b", "\uffff", "😀😀", "\U0010ffff"]
PATTERNS = ["a", "^a", "b$", "^$", "a.c", "[a-c]+", "^(a|b)+$", "\\d+", "\\w*", "a{2}", "(?i)abc",
            "é", "^.$", "[^a]", "\\s", "^\\S+$", "a|", "(", "a**", "[", "\\pL", "^.*a"]
DURATIONS = ["0", "0s", "1s", "-1s", "1.5s", "1h30m", "90m", "100ms", "-20ms", "1us", "1ns",
             "1h2m3.004s", ".5s", "1.s", "+1s", "10000h"]
BAD_DURATIONS = ["9223372036s", "9223372037s", "-9223372036s", "2562047h47m16.854775807s", "1", "s",
                 "", "1d", "1 s", "1e3s", "-", "1.5", "h", "1s1", "10000000h"]
STAMPS = ["1970-01-01T00:00:00Z", "2009-02-13T23:31:30Z", "2026-01-31T08:00:00.5+01:00",
          "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
          "2000-02-29T12:34:56.789123456Z", "2024-12-31T23:59:59Z", "1900-03-01T00:00:00-12:00",
          "2023-02-28T00:00:00Z", "1972-06-30T01:02:03.000001Z", "2021-07-04T15:00:00-07:00"]
BAD_STAMPS = ["", "2023-01-01", "2023-13-01T00:00:00Z", "2023-01-01T00:00:00", "x",
              "10000-01-01T00:00:00Z", "2023-01-01T25:00:00Z"]
ZONES = ["UTC", "+01:00", "-02:30", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
GETTERS = ["getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
           "getHours", "getMinutes", "getSeconds", "getMilliseconds"]
SPAN_GETTERS = ["getHours", "getMinutes", "getSeconds", "getMilliseconds"]
INT_TEXTS = ["0", "1", "-1", "42", "007", "9223372036854775807", "9223372036854775808",
             "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
             "18446744073709551616", "a", "1.5", "1e3", "--1", "1a", "١"]
DOUBLE_TEXTS = ["0", "1", "-1", "1.5", "-0.0", "1e3", "1E-7", "NaN", "Infinity", "-Infinity",
                "1e309", "5e-324", "0.1", "a", "1.5.5", "1e", "--1",
                "123456789012345678901234567890"]
BOOL_TEXTS = ["true", "false", "True", "FALSE", "t", "f", "1", "0", "yes", "", "tRUE", "T"]
KINDS = ["null", "bool", "int", "uint", "double", "string", "bytes", "list", "map", "timestamp",
         "duration", "type"]
TYPE_NAMES = ["null_type", "bool", "int", "uint", "double", "string", "bytes", "list", "map",
              "type", "google.protobuf.Timestamp", "google.protobuf.Duration"]
# What is under a name of a document: of this kind, nearly always.
FIELDS = {"i": "int", "j": "int", "u": "uint", "d": "double", "s": "string", "t": "string",
          "b": "bool", "c": "bool", "n": "null", "li": "ints", "ls": "strings", "lm": "maps",
          "o": "map", "x": "any"}


def quoted(rng, text):
    """The text as a literal, one of the ways to write it."""
    kind = rng.randrange(8)
    if kind == 0:
        return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'
    if kind == 1 and all(ord(c) < 0x10000 for c in text):
        return "'" + "".join(f"\\u{ord(c):04X}" for c in text) + "'"
    if kind == 2 and not any(c in "\"\\\r\n\0" for c in text):
        return 'r"' + text + '"'
    if kind == 3 and "\\" not in text and "'" not in text and "\0" not in text:
        return "'''" + text + "'''"
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\000"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


class Documents:
    """Random objects, and the two ways in which they are written."""

    def __init__(self, rng):
        self.rng = rng

    def make(self, kind, depth):
        rng = self.rng
        if rng.random() < 0.03 or kind == "any":
            kind = rng.choice(["null", "bool", "int", "uint", "double", "string", "ints", "map"])
        if kind == "null":
            return None
        if kind == "bool":
            return rng.random() < 0.5
        if kind == "int":
            return rng.choice(INTS) if rng.random() < 0.5 else rng.randrange(-10, 100)
        if kind == "uint":  # a whole number is one only beyond the ints
            return rng.choice([value for value in UINTS if value >= 2 ** 63])
        if kind == "double":
            return float(rng.choice(DOUBLES))
        if kind == "string":
            return rng.choice(WIDE if rng.random() < 0.1 else TEXTS)
        if kind == "map":
            return self.object(depth - 1) if depth else {}
        item = {"ints": "int", "strings": "string", "maps": "map"}[kind]
        return [self.make(item, depth) for _ in range(rng.choice([0, 1, 2, 3, 3, 5]))]

    def object(self, depth):
        made = {name: self.make(kind, depth) for name, kind in FIELDS.items()
                if self.rng.random() < 0.85}
        if self.rng.random() < 0.3:
            made["a-b"] = self.make("any", depth)
        return made


def typed(value):
    """The document as cel_peer.js reads it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return ["i" if value < 2 ** 63 else "u", str(value)]
    if isinstance(value, float):
        return ["d", repr(value)]
    if isinstance(value, list):
        return ["l", [typed(item) for item in value]]
    return ["m", [[key, typed(item)] for key, item in value.items()]]


class Expressions:
    """Each method gives the text of an expression of its kind."""

    def __init__(self, rng):
        self.rng = rng
        self.scope = []  # of macros: (variable, kind)

    def of(self, kind, depth):
        """Of the kind; now and then of another."""
        rng = self.rng
        if rng.random() < 0.008:
            kind = rng.choice(KINDS)
        if kind == "any":
            kind = rng.choice(KINDS)
        variables = [name for name, of in self.scope if of == kind]
        if variables and rng.random() < 0.5:
            return rng.choice(variables)
        if rng.random() < 0.25:
            found = self.path(kind)
            if found:
                return found
        if depth > 0 and rng.random() < 0.06:
            return f"({self.of('bool', depth - 1)} ? {self.of(kind, depth - 1)} : " \
                   f"{self.of(kind, depth - 1)})"
        if depth > 0 and rng.random() < 0.03:
            return f"[{self.of(kind, depth - 1)}, {self.of(kind, depth - 1)}][{rng.randrange(3)}]"
        if depth > 0 and rng.random() < 0.03:
            return f"dyn({self.of(kind, depth - 1)})"
        if depth <= 0 or rng.random() < 0.15:
            return getattr(self, "leaf_" + kind)()
        return getattr(self, kind)(depth - 1)

    def join(self, kind, operator, depth, other=None):
        text = f"{self.of(kind, depth)} {operator} {self.of(other or kind, depth)}"
        return f"({text})" if self.rng.random() < 0.85 else text

    def path(self, kind):
        """A field of the document, or of one of its objects."""
        rng = self.rng
        wanted = {"list": ["ints", "strings", "maps"]}.get(kind, [kind])
        if rng.random() < 0.04:
            wanted = ["any"]
        names = [name for name, of in FIELDS.items() if of in wanted]
        if not names:
            return None
        roots = ["doc"] * 4 + [name for name, of in self.scope if of == "map"] * 4
        steps = [rng.choice(roots)]
        steps += [rng.choice([".o"] * 5 + ["['o']"] * 3 + [".lm[0]", ".zz"])
                  for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))]
        name = rng.choice(names)
        steps.append(rng.choice([f".{name}", f".{name}", f".{name}", f"['{name}']"]))
        return "".join(steps)

    def number(self, depth):
        return self.of(self.rng.choice(["int", "uint", "double"]), depth)

    # ---- leaves ----

    def leaf_null(self):
        return "null"

    def leaf_bool(self):
        return self.rng.choice(["true", "false"])

    def leaf_int(self):
        value = self.rng.choice(INTS if self.rng.random() < 0.3 else INTS[:12])
        return self.rng.choice([str(value), str(value), hex(value)])

    def leaf_uint(self):
        value = self.rng.choice(UINTS if self.rng.random() < 0.3 else UINTS[:6])
        return self.rng.choice([f"{value}u", f"{value}u", f"{hex(value)}u", f"{value}U"])

    def leaf_double(self):
        return self.rng.choice(DOUBLES)

    def leaf_string(self):
        rng = self.rng
        return quoted(rng, rng.choice(WIDE if rng.random() < 0.06 else TEXTS))

    def leaf_bytes(self):
        return self.rng.choice(["b''", "b'a'", "b'abc'", "b'\\xff'", "b'\\000\\377'", "b'é'",
                                "b\"ab\"", "b'\\x61b'", "b'😀'", "b'\\xc3\\x28'"])

    def leaf_list(self):
        return self.rng.choice(["[]", "[1, 2, 3]", "['a', 'b']", "[1, 2u, 3.0]", "[[1], [2]]",
                                "[true, null]", "[{'a': 1}]", "[0]"])

    def leaf_map(self):
        good = ["{}", "{'a': 1}", "{1: 'a', 2: 'b'}", "{1u: 1}", "{true: 1, false: 2}",
                "{'i': 1, 's': 'x'}", "{'o': {'i': 5}}"]
        bad = ["{1: 1, 1u: 2}", "{'a': 1, 'a': 2}", "{1.0: 1}", "{null: 1}"]
        return self.rng.choice(bad if self.rng.random() < 0.03 else good)

    def leaf_timestamp(self):
        chosen = STAMPS if self.rng.random() < 0.97 else BAD_STAMPS
        return f"timestamp('{self.rng.choice(chosen)}')"

    def leaf_duration(self):
        chosen = DURATIONS if self.rng.random() < 0.97 else BAD_DURATIONS
        return f"duration('{self.rng.choice(chosen)}')"

    def leaf_type(self):
        return self.rng.choice(TYPE_NAMES)

    # ---- kinds ----

    def null(self, depth):
        del depth
        return "null"

    def bool(self, depth):
        return self.rng.choice([self.logic, self.logic, self.equality, self.order, self.membership,
                                self.predicate, self.predicate, self.text_test, self.presence,
                                self.bool_of])(depth)

    def logic(self, depth):
        if self.rng.random() < 0.25:
            return f"!{self.of('bool', 0)}" if self.rng.random() < 0.3 else \
                f"!({self.of('bool', depth)})"
        return self.join("bool", self.rng.choice(["&&", "||"]), depth)

    def equality(self, depth):
        operator = self.rng.choice(["==", "!="])
        if self.rng.random() < 0.3:
            return f"({self.number(depth)} {operator} {self.number(depth)})"
        if self.rng.random() < 0.2:
            return f"({self.of('any', depth)} {operator} {self.of('any', depth)})"
        return self.join(self.rng.choice(KINDS), operator, depth)

    def order(self, depth):
        operator = self.rng.choice(["<", "<=", ">", ">="])
        if self.rng.random() < 0.4:
            return f"({self.number(depth)} {operator} {self.number(depth)})"
        kind = self.rng.choice(["bool", "int", "uint", "double", "string", "bytes", "timestamp",
                                "duration"])
        return self.join(kind, operator, depth)

    def membership(self, depth):
        kind = self.rng.choice(["int", "string", "any", "int", "double", "uint"])
        return self.join(kind, "in", depth, self.rng.choice(["list", "map"]))

    def macro(self, name, depth, body):
        """x.name(variable, body) over a list or a map whose items are of a kind."""
        rng = self.rng
        over, kind = rng.choice([("doc.li", "int"), ("doc.ls", "string"), ("doc.lm", "map"),
                                 ("[1, 2, 3]", "int"), ("['a', 'b']", "string"),
                                 ("doc.o", "string"), ("{'a': 1, 'b': 2}", "string"), (None, "any")])
        over = over or self.of(rng.choice(["list", "map"]), depth)
        variable = rng.choice(["v", "w", "doc" if rng.random() < 0.05 else "v"])
        self.scope.append((variable, kind))
        text = ", ".join(self.of(of, depth) for of in body)
        self.scope.pop()
        return f"{over}.{name}({variable}, {text})"

    def predicate(self, depth):
        return self.macro(self.rng.choice(["all", "exists", "exists_one"]), depth, ["bool"])

    def text_test(self, depth):
        name = self.rng.choice(["contains", "startsWith", "endsWith", "matches"])
        argument = quoted(self.rng, self.rng.choice(PATTERNS)) if name == "matches" \
            else self.of("string", depth)
        return f"{self.of('string', depth)}.{name}({argument})"

    def presence(self, depth):
        name = self.rng.choice([*FIELDS, "zz"])
        if self.rng.random() < 0.5:
            return f"has(doc.{self.rng.choice(['', '', 'o.', 'zz.', 's.'])}{name})"
        return f"has({self.of('map', depth)}.{name})"

    def bool_of(self, depth):
        del depth
        return f"bool({quoted(self.rng, self.rng.choice(BOOL_TEXTS))})"

    def int(self, depth):
        rng = self.rng
        kind = rng.randrange(10)
        if kind < 4:
            return self.join("int", rng.choice("+-*/%"), depth)
        if kind == 4:
            return f"-{self.of('int', 0)}" if rng.random() < 0.3 else f"-({self.of('int', depth)})"
        if kind == 5:
            sized = self.of(rng.choice(["string", "bytes", "list", "map"]), depth)
            return rng.choice([f"size({sized})", f"{sized}.size()"])
        if kind == 6:
            return f"int({self.of(rng.choice(['int', 'uint', 'double', 'timestamp']), depth)})"
        if kind == 7:
            return f"int({quoted(rng, rng.choice(INT_TEXTS))})"
        if kind == 8:
            return self.getter(depth)
        name = rng.choice(["indexOf", "lastIndexOf"])
        start = f", {rng.randrange(-1, 6)}" if rng.random() < 0.3 else ""
        return f"{self.of('string', depth)}.{name}({self.of('string', depth)}{start})"

    def getter(self, depth):
        rng = self.rng
        if rng.random() < 0.3:
            return f"{self.of('duration', depth)}.{rng.choice(SPAN_GETTERS)}()"
        zone = f"'{rng.choice(ZONES)}'" if rng.random() < 0.3 else ""
        return f"{self.of('timestamp', depth)}.{rng.choice(GETTERS)}({zone})"

    def uint(self, depth):
        rng = self.rng
        if rng.random() < 0.6:
            return self.join("uint", rng.choice("+-*/%"), depth)
        if rng.random() < 0.3:
            return f"uint({quoted(rng, rng.choice(INT_TEXTS))})"
        return f"uint({self.number(depth)})"

    def double(self, depth):
        rng = self.rng
        if rng.random() < 0.6:
            return self.join("double", rng.choice("+-*/"), depth)
        if rng.random() < 0.2:
            return f"-({self.of('double', depth)})"
        if rng.random() < 0.3:
            return f"double({quoted(rng, rng.choice(DOUBLE_TEXTS))})"
        return f"double({self.number(depth)})"

    def string(self, depth):
        rng = self.rng
        kind = rng.randrange(10)
        text = self.of("string", depth)
        if kind < 2:
            return self.join("string", "+", depth)
        if kind == 2:
            of = rng.choice(["string", "int", "uint", "double", "bool", "bytes", "timestamp",
                             "duration"])
            return f"string({self.of(of, depth)})"
        if kind == 3:
            return f"{text}.{rng.choice(['lowerAscii', 'upperAscii', 'trim'])}()"
        if kind == 4:
            count = f", {rng.choice([-1, 0, 1, 2])}" if rng.random() < 0.3 else ""
            return f"{text}.replace({self.of('string', 0)}, {self.of('string', 0)}{count})"
        if kind == 5:
            end = f", {rng.randrange(-1, 6)}" if rng.random() < 0.5 else ""
            return f"{text}.substring({rng.randrange(-1, 5)}{end})"
        if kind == 6:
            return f"{text}.charAt({rng.randrange(-1, 6)})"
        if kind == 7:
            separator = rng.choice(["", "', '", "''"])
            return f"{self.of('list', depth)}.join({separator})"
        if kind == 8:
            return f"strings.quote({text})"
        return self.formatted(depth)

    def formatted(self, depth):
        rng = self.rng
        clause, of = rng.choice([("%s", "string"), ("%d", "int"), ("%x", "int"), ("%X", "string"),
                                 ("%o", "int"), ("%b", "int"), ("%s", "bool"), ("%d", "uint"),
                                 ("%x", "bytes"), ("%b", "bool"), ("%s", "list"),
                                 ("%.2f", "double"), ("%.3e", "double")])
        return f"'<{clause}>%%'.format([{self.of(of, depth)}])"

    def bytes(self, depth):
        if self.rng.random() < 0.5:
            return self.join("bytes", "+", depth)
        return f"bytes({self.of('string', depth)})"

    def list(self, depth):
        rng = self.rng
        kind = rng.randrange(8)
        if kind == 0:
            return self.join("list", "+", depth)
        if kind == 1:
            return self.macro("map", depth, ["any"])
        if kind == 2:
            return self.macro("filter", depth, ["bool"])
        if kind == 3:
            return self.macro("map", depth, ["bool", "any"])
        if kind == 4:
            count = f", {rng.choice([-1, 0, 1, 2])}" if rng.random() < 0.3 else ""
            return f"{self.of('string', depth)}.split({self.of('string', 0)}{count})"
        of = rng.choice(KINDS)
        return "[" + ", ".join(self.of(of, depth) for _ in range(rng.randrange(4))) + "]"

    def map(self, depth):
        rng = self.rng
        of = rng.choice(["string", "string", "string", "int", "uint", "bool"])
        entries = [f"{self.of(of, 0)}: {self.of('any', depth)}" for _ in range(rng.randrange(4))]
        return "{" + ", ".join(entries) + "}"

    def timestamp(self, depth):
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return f"({self.of('timestamp', depth)} + {self.of('duration', depth)})"
        if kind == 1:
            return f"({self.of('timestamp', depth)} - {self.of('duration', depth)})"
        if kind == 2:
            return f"({self.of('duration', depth)} + {self.of('timestamp', depth)})"
        return f"timestamp({self.of('timestamp', depth)})"

    def duration(self, depth):
        kind = self.rng.randrange(3)
        if kind == 0:
            return self.join("duration", self.rng.choice("+-"), depth)
        if kind == 1:
            return self.join("timestamp", "-", depth)
        return f"duration({self.of('duration', depth)})"

    def type(self, depth):
        return f"type({self.of('any', depth)})"


def cases(rng, count):
    """Pairs of expression and document; each document serves some."""
    documents, expressions = Documents(rng), Expressions(rng)
    document = None
    for number in range(count):
        if number % 10 == 0:
            document = documents.object(2)
        kind = rng.choice(["bool", "bool", "bool", "any"])
        yield expressions.of(kind, rng.choice([1, 2, 3, 3, 4])), document


def lines(made):
    """What the two peers read: ours, theirs."""
    ours, theirs = [], []
    for expression, document in made:
        ours.append(json.dumps({"expression": expression, "document": document}))
        theirs.append(json.dumps({"expression": expression, "typed": typed(document)}))
    return ours, theirs
