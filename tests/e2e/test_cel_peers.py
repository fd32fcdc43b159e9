#!/usr/bin/python3
"""Our CEL beside @bufbuild/cel, on expressions and documents from a seed: the same value of the
same type, or an error of both. What differs otherwise is one of RULES, each with its reason.

  TEST_SEED=7 CEL_CASES=200000 tests/e2e/test_cel_peers.py
"""

import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cel_cases  # noqa: E402
import peers  # noqa: E402

CHUNK = 20000


def has_text(pattern):
    """A rule of the expression's text alone."""
    found = re.compile(pattern, re.DOTALL)
    return lambda expression, document, ours, theirs: found.search(expression)


def is_wide(expression, document, ours, theirs):
    """A character beyond the basic plane is about, and a function that counts or orders."""
    del ours, theirs
    text = expression + json.dumps(document, ensure_ascii=False)
    return (re.search(r"[\uffff\U00010000-\U0010ffff]|\\U000[1f]|\\u(d8|ffff)", text, re.I)
            and re.search(r"substring|charAt|ndexOf|split|trim|replace|[<>]", expression))


def in_map(expression, document, ours, theirs):
    del document
    return " in " in expression and theirs == "error" and ours != "error"


def is_beyond_doubles(expression, document, ours, theirs):
    """Numbers are compared for equality, one of them a whole number that no double can be."""
    del ours, theirs
    numbers = re.findall(r"\d{16,}|0x\w{14,}", expression + json.dumps(document))
    return numbers and re.search(r"==|!=| in ", expression)


def of_no_text(expression, document, ours, theirs):
    """duration() of something else than a text with digits."""
    del document, ours, theirs
    return re.search(r"\bduration\((?!'[^']*\d)", expression)


def finds_null(expression, document, ours, theirs):
    del ours, theirs
    return " in " in expression and "null" in expression + json.dumps(document)


# What @bufbuild/cel does otherwise, and why ours stays: (name and reason, whether it is about).
RULES = [
    ("has() of a field that is null, or of what is no map, is false there; the definition: true "
     "where the key is there, else an error", has_text(r"\bhas\(")),
    ("a literal with keys that are equal as numbers, or with a double as a key, is a map there; "
     "the definition: keys are unique and no doubles",
     has_text(r"\{1: 1, 1u: 2\}|\{1\.0: 1\}|\d[uU]: |\d\.\d+: |\de[-+]?\d+: |"
              r"\b(doc|v|w)\b[^ ]*: ")),
    ("`in` has no overload there where no map can have the key; cel-go: it is not in it", in_map),
    ("duration() reads an empty text as 0 there; Go's durations have a number",
     has_text(r"duration\((''|\"\"||r\"\")\)")),
    ("bytes literals split characters beyond the basic plane into two there; it is UTF-8",
     has_text(r"b'😀'")),
    ("double() of a text that is no number is NaN, and of one beyond the range Infinity there; "
     "cel-go: an error", has_text(r"\bdouble\([^-\d]")),
    ("duration() of a number is one of seconds, and of a sign alone 0, there; the definition: of a "
     "text with a number",
     of_no_text),
    ("string() writes a double without an exponent up to 1e21, and -0.0 as 0, there; the "
     "definition leaves the first open, ours are Go's", has_text(r"\bstring\(|%s")),
    ("quote() escapes NUL there; the definition has no such escape", has_text(r"strings\.quote\(")),
    ("a uint that no int can hold cannot be divided there; it is in range",
     has_text(r" / ")),
    ("the nanoseconds before the next millisecond are rounded up by getters there; the definition: "
     "whole units", has_text(r"(\.\d{6,9}Z|[un]s').*\.get")),
    ("the hour after midnight is one of the next day in zones with a name there; midnight is hour "
     "0",
     has_text(r"\.get\w+\('[A-Z]")),
    ("the years 1 to 99 are 1901 to 1999 there; they are years like others",
     has_text(r"'0001-.*getFullYear|'0001-.*getDayOfWeek")),
    ("timestamp() of a number is one of milliseconds there; the definition: seconds",
     has_text(r"\btimestamp\((?!')")),
    ("%f writes the digits of the shortest text, then zeros, there; here those of the exact value",
     has_text(r"%\.2f")),
    ("`in` finds no key of null there; the definition: it is in", finds_null),
    ("a pair of ! is dropped there, whatever is behind; the definition: of a bool",
     has_text(r"!\(!")),
    ("an empty text is replaced only in front there; cel-go: before and behind each character",
     has_text(r"\.replace\(")),
    ("split() with a limit drops what is behind the last part there; cel-go: it is the last part's",
     has_text(r"\.split\(.*, [012]\)")),
    ("a start behind the text's last character is an error there; cel-go: nothing is found",
     has_text(r"ndexOf\(.*, \d\)")),
    ("== of an int or uint with a double is exact there; here, as the suite has it of <, the whole "
     "number is rounded to a double first", is_beyond_doubles),
    ("a pair of minus signs is dropped there; two negations fail for the least int, and for others "
     "than numbers",
     has_text(r"--\w|-\(-\(")),
    ("! of a negative literal is parsed there, and then an error; here it is refused at once",
     has_text(r"!-\d")),
    ("int() and uint() of an empty text are 0 there; cel-go: an error",
     has_text(r"\bu?int\(.*(doc|\.)")),
    ("int() of a duration is its seconds there; the definition: of a timestamp",
     has_text(r"\bint\(.*(duration|timestamp)")),
    ("the least int modulo -1 is 0 there; the definition: an overflow", has_text(r" % ")),
    ("%e writes one digit of a negative exponent there; the definition: two", has_text(r"%\.3e")),
    ("texts are counted and ordered in units of UTF-16 there; the definition: code points",
     is_wide),
]


def ask(texts_of_commands):
    """The answers of commands that run side by side."""
    children = []
    for command, texts in texts_of_commands:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            file.write("\n".join(texts) + "\n")
            file.seek(0)
            children.append(subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE))
    answers = [child.communicate(timeout=300)[0].decode().splitlines() for child in children]
    for (command, texts), lines, child in zip(texts_of_commands, answers, children):
        if child.returncode or len(lines) != len(texts):
            raise AssertionError(f"{command}: {len(lines)} answers to {len(texts)} lines")
    return answers


def rule_of(expression, document, ours, theirs):
    for name, holds in RULES:
        if holds(expression, document, ours, theirs):
            return name
    return None


def compare(checks, made, counts):
    here = os.path.dirname(os.path.abspath(__file__))
    our_lines, their_lines = cel_cases.lines(made)
    ours, theirs = ask([([os.environ["CEL_PEER"]], our_lines),
                        (["node", "--stack-size=4000", os.path.join(here, "cel_peer.js")],
                         their_lines)])
    for (expression, document), our, their in zip(made, ours, theirs):
        counts[our if our in ("refused", "error", "limit") else "value"] += 1
        if our == their:
            continue
        rule = rule_of(expression, document, our, their)
        counts[rule or "wrong"] += 1
        if not rule and counts["wrong"] <= int(os.environ.get("CEL_SHOWN", 10)):
            checks.that(False, "one value", (expression, our[:300], their[:300], document))


def main():
    # One seed for everybody: what differs at another one is the peer's news as often as ours.
    seed = int(os.environ.get("TEST_SEED", "20261125"))
    count = int(os.environ.get("CEL_CASES", 20000))
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    checks = peers.Checks()
    counts = collections.Counter()
    with checks.section("cases"):
        for start in range(0, count, CHUNK):
            made = list(cel_cases.cases(rng, min(CHUNK, count - start)))
            compare(checks, made, counts)
        print(f"{count} cases:")
        for name, times in counts.most_common():
            print(f"{times:8} {name}")
        checks.equal(counts["wrong"], 0, "every expression has one value")
        explained = sum(counts[name] for name, _ in RULES)
        checks.that(explained < count / 40, "few differ by the rules", explained)
        checks.that(counts["limit"] == 0, "no limit of ours is met", counts["limit"])
        checks.that(counts["value"] > count / 3, "many have a value", counts["value"])
        checks.that(counts["error"] > count / 50, "some fail", counts["error"])
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
