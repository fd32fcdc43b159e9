#!/usr/bin/python3
"""Our reader of JSON beside Python's and Node's, on mutated documents: the same texts are refused,
the same values read, but for the rules in strict_json.py, and these:

* -0 written as an integer is the integer 0 with us and in Python, and -0.0 in Node; so Node's
  zeros are compared without their sign, and the signs of our doubles with Python's;
* Node has only doubles, and of members of one name the last: compared in that form.

  TEST_SEED=7 JSON_DOCUMENTS=2000 tests/e2e/test_json_peers.py
"""

import collections
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import strict_json  # noqa: E402

CHUNK = 20000
NUMBERS = ["0", "-0", "-0.0", "0.0", "1", "-1", "25", "25.0", "2.5e1", "9007199254740991",
           "9007199254740992", "9007199254740993", "9007199254740993.0", "9223372036854775807",
           "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
           "18446744073709551615", "18446744073709551616", "99999999999999999999",
           "10000000000000000000",
           "10000000000000000001", "28446744073709551615", "1e308",
           "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "-1e999", "1e-999",
           "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
           "2.2250738585072011e-308",
           "0.1", "1E+5", "1e0000000000000000000001", "1e99999999999999999999",
           "0e99999999999999999",
           "123456789012345678901234567890", "0.000000000000000000000000000000000001",
           "1" + "0" * 308, "1" + "0" * 400, "1" + "0" * 400 + "e-390", "0." + "0" * 400 + "1e401",
           "9007199254740993" + "0" * 30 + "1", "8.5" + "0" * 800 + "1"]
ODD_NUMBERS = ["01", "-01", "1.", ".5", "1e", "1e+", "+1", "-", "--1", "0x10", "1_000", "NaN",
               "Infinity", "-Infinity", "1.e5", "1e5.5", "١"]
STRINGS = ['""', '"a"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\\ud800"',
           '"\\udc00\\ud800"', '"\\ud83d\\u0041"', '"\\ud83dx"',
           '"\\\\"', '"\\/\\b\\f\\n\\r\\t\\""',
           '"\\u00e9é"', '"\\uFFFF"', '"\U0001f600"', '"\\x41"',
           '"\\u12"', '"\\u 123"', '"\\U0041"',
           '"\\u+123"', '"\x7f"', '"\u2028"', '"\t"', '"\x00"', '"__proto__"', '"constructor"',
           "'a'", '"' + "x" * 70 + '"', '"' + "é" * 40 + '\\n"', '"0"', '"\\u0061"']
WORDS = ["true", "false", "null", "tru", "True", "nul", "nulll", "undefined"]
SPACES = ["", "", "", "", " ", "\n", "\t\r\n ", "\x0b", "\x0c", "\u00a0", "\ufeff",
          "//", "/**/", "\x00"]
MARKS = ["{", "}", "[", "]", ",", ":", '"', "\\", "[]", "{}", ",,", "[,]", "{,}", '{"a"}', "\\u",
         "\\ud83d"]
BYTES = [b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80",
         b"\xed\x9f\xbf",
         b"\xee\x80\x80", b"\xef\xbb\xbf", b"\xf0\x80\x80\x80", b"\xf0\x90\x80\x80",
         b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
         b"\xe2\x82", b"\xc3", b"\x00",
         b"\x1f", b"\x7f"]


class Maker:
    """Texts that are nearly all JSON, and what becomes of them."""

    def __init__(self, rng):
        self.rng = rng
        self.kept = [b"{}"]

    def number(self):
        rng = self.rng
        kind = rng.randrange(3)
        if kind == 0:
            return repr(rng.uniform(-1, 1) * 10 ** rng.randrange(-30, 30))
        sign = rng.choice(["", "-"])
        if kind == 1:
            return sign + str(rng.randrange(10 ** rng.randrange(1, 22)))
        return sign + str(2 ** rng.choice([31, 32, 53, 63, 64]) + rng.randrange(-3, 4))

    def space(self):
        return self.rng.choice(SPACES[:7]) if self.rng.random() < 0.2 else ""

    def value(self, depth):
        rng = self.rng
        kind = rng.random()
        if depth and kind < 0.2:
            body = ",".join(self.value(depth - 1) for _ in range(rng.randrange(5)))
            made = "[" + body + "]"
        elif depth and kind < 0.45:
            body = ",".join(self.space() + rng.choice(STRINGS[:5] + STRINGS[-3:]) + self.space()
                            + ":" + self.value(depth - 1) for _ in range(rng.randrange(5)))
            made = "{" + body + "}"
        elif kind < 0.7:
            made = rng.choice(NUMBERS) if kind < 0.5 else self.number()
        else:
            made = rng.choice(STRINGS) if rng.random() < 0.15 else rng.choice(
                STRINGS[:5] + WORDS[:3])
        return self.space() + made + self.space()

    def piece(self):
        rng = self.rng
        chosen = rng.choice([NUMBERS, ODD_NUMBERS, STRINGS, WORDS, SPACES, MARKS, BYTES])
        made = rng.choice(chosen)
        return made if isinstance(made, bytes) else made.encode()

    def mutate(self, text):
        """One change: bytes put in, taken out, changed, repeated, or another text's."""
        rng = self.rng
        start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + rng.choice([1, 1, 2, 8, 1000]))
        kind = rng.randrange(8)
        if kind < 2:
            return text[:start] + self.piece() + text[start:]
        if kind == 2:
            return text[:start] + text[end:]
        if kind == 3:
            return text[:start] + self.piece() + text[end:]
        if kind == 4:
            return text[:start] + bytes([rng.randrange(256)]) + text[start + 1:]
        if kind == 5:
            return text[:end] + text[start:]
        if kind == 6:
            return text[:start] + rng.choice(self.kept)[:200] + text[end:]
        levels = rng.choice([1, 2, 95, 98, 99, 100, 101, 150, 2000])
        return b"[" * levels + text + b"]" * levels

    def document(self):
        rng = self.rng
        text = self.value(5).encode()
        if rng.random() < 0.1:
            self.kept = [*self.kept[-200:], text]
        for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 2, 3])):
            text = self.mutate(text)
        return text


def exact_form(value):
    """The value in json_peer.c's exact form."""
    if value is None:
        return "n"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int):
        return f"i{value}" if value in strict_json.INT64 else f"u{value}"
    if isinstance(value, float):
        return f"d{struct.pack('>d', value).hex()}"
    if isinstance(value, str):
        return f'"{value.encode().hex()}"'
    if isinstance(value, strict_json.Members):
        return "{" + "".join(exact_form(key) + exact_form(item) for key, item in value) + "}"
    return "[" + "".join(map(exact_form, value)) + "]"


def python_answer(text):
    """(exact form or "refused", the rule that refused it)."""
    try:
        return exact_form(strict_json.read(text)), None
    except strict_json.Refused as rule:
        return "refused", str(rule)
    except ValueError:
        return "refused", None


def ask(command, texts):
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    ended = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, timeout=300)
    lines = ended.stdout.decode().splitlines()
    if len(lines) != len(texts):
        raise AssertionError(f"{command}: {len(lines)} answers to {len(texts)} texts")
    return lines


def compare(checks, texts, counts):
    here = os.path.dirname(os.path.abspath(__file__))
    ours = ask([os.environ["JSON_PEER"]], texts)
    nodes = ask(["node", "--stack-size=4000", os.path.join(here, "json_peer.js")], texts)
    for text, our, node in zip(texts, ours, nodes):
        exact, _, merged = our.partition(" ")
        python, rule = python_answer(text)
        counts["read" if exact != "refused" else "refused"] += 1
        if rule:
            counts[rule] += 1
        agreed = exact == python and (rule or (merged or "refused") == node)
        counts["wrong"] += not agreed
        if not agreed and counts["wrong"] <= 5:
            checks.that(False, "one reading", (text[:500], rule, our[:300], python[:300],
                                               node[:300]))


def main():
    seed = int(os.environ.get("TEST_SEED", random.randrange(10 ** 6)))
    documents = int(os.environ.get("JSON_DOCUMENTS", 200000))
    print(f"seed {seed}", flush=True)
    maker = Maker(random.Random(seed))
    checks = peers.Checks()
    counts = collections.Counter()
    with checks.section("documents"):
        for start in range(0, documents, CHUNK):
            count = min(CHUNK, documents - start)
            compare(checks, [maker.document() for _ in range(count)], counts)
        print(f"{documents} documents: {dict(counts)}")
        checks.equal(counts["wrong"], 0, "every text is read alike")
        for name in ("read", "refused", *strict_json.RULES):
            checks.that(counts[name] > 0, f"some texts are of the kind: {name}")
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
