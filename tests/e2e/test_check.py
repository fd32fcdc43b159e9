#!/usr/bin/python3
"""streamer check: statuses, what it prints for people and for machines, documents."""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

DOCUMENT = '{"id":"u1","age":20,"room":"a","price":25,"tags":["new","vip"]}'


def check(*arguments, stdin=""):
    done = subprocess.run([peers.STREAMER, "check", *arguments], input=stdin, encoding="utf-8",
                          capture_output=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


class Check:
    def __init__(self):
        self.checks = peers.Checks()

    def test_statuses(self):
        for wanted, arguments, stdin in (
                (0, ["age > 18"], ""), (0, ["age > 18", "--doc", "-"], DOCUMENT),
                (1, ["age > 28", "--doc", "-"], DOCUMENT),
                (1, ["nothing > 28", "--doc", "-"], DOCUMENT),
                (1, ["price * 1.5 > 1.0", "--doc", "-"], DOCUMENT),
                (2, ["age >"], ""), (2, ["1 + 1"], ""),
                (2, [], ""), (2, ["age > 1", "--nosuch"], ""), (2, ["age > 1", "b"], ""),
                (2, ["age > 1", "--doc", "/nowhere/at/all"], ""),
                (2, ["age > 1", "--doc", "-"], "[1]"), (2, ["age > 1", "--doc", "-"], "{"),
                (0, ["-1 < age", "--doc", "-"], DOCUMENT), (0, ["--help"], "")):
            status, _, errors = check(*arguments, stdin=stdin)
            self.checks.equal(status, wanted, f"{arguments} {errors[:80]}")
            self.checks.that((status == 2) == bool(errors), f"{arguments}: errors on stderr", errors)

    def test_text(self):
        status, out, _ = check('age > 18 && "vip" in tags && size(room) == 1', "--doc", "-",
                               stdin=DOCUMENT)
        lines = out.splitlines()
        self.checks.equal(status, 0, "true")
        for wanted in ("type      bool", "name      doc.age", "result    true"):
            self.checks.that(wanted in lines, wanted, lines)
        self.checks.that(any(line.startswith("tree ") and 'doc.age > 18' in line for line in lines),
                         "the tree", lines)
        self.checks.that(any(line.strip() == "size(doc.room) = 1" for line in lines),
                         "the value of a part", lines)
        _, out, _ = check("price * 1.1 > 1.0")
        self.checks.that("warning   doc.price * 1.1: " in out and "double(" in out, "a warning", out)

    def test_problems(self):
        _, out, errors = check("age >\n\tsize(\"ü\") && nosuch(x)")
        self.checks.equal(out, "", "nothing on stdout")
        self.checks.equal(errors.splitlines()[:3],
                          ["streamer check: line 2, column 15: there is no function 'nosuch'",
                           "\tsize(\"ü\") && nosuch(x)", "\t             ^"],
                          "the line, and a caret below the place")
        _, _, errors = check("a && nosuch(x)")
        self.checks.equal(errors.splitlines()[:3],
                          ["streamer check: line 1, column 6: there is no function 'nosuch'",
                           "a && nosuch(x)", "     ^"], "problem, line, caret")

    def test_json(self):
        status, out, _ = check("age > 18 && price * 1.5 > 1.0", "--doc", "-", "--json",
                               stdin=DOCUMENT)
        made = json.loads(out)
        self.checks.equal((status, made["valid"], made["type"], made["result"]),
                          (1, True, "bool", "error: no such overload"), "valid, and an error")
        self.checks.equal(made["parts"][0]["level"], 0, "the whole is the first part")
        self.checks.that(any("warning" in part for part in made["parts"]), "a warning", made)
        self.checks.that(any(part.get("value") == "20" for part in made["parts"]), "a value", made)
        status, out, errors = check("age = 18", "--json")
        self.checks.equal((status, errors), (2, ""), "invalid, and nothing on stderr")
        self.checks.equal(json.loads(out), {
            "valid": False, "error": "there is no operator '='", "hint": "equality is written ==",
            "line": 1, "column": 5}, "the problem")

    def test_limits(self):
        status, _, errors = check("a.exists(x, x > 1)", "--expression-cost-max", "1000")
        self.checks.that(status == 2 and "at most 1000" in errors, "a limit of cost", errors)
        document = json.dumps({"a": list(range(5000))})
        status, out, _ = check("a.exists(x, x < 0)", "--doc", "-", "--expression-steps-max", "1000",
                               stdin=document)
        self.checks.that(status == 1 and "too many steps" in out, "a budget of steps", out)

    def test_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(DOCUMENT)
            file.flush()
            self.checks.equal(check("_id == 'u1'", "--doc", file.name)[0], 0, "a file")

    def explain(self, expression, rules=None, *arguments):
        """The explanation as JSON, or status and errors."""
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            file.write("\n".join(rules or []))
            file.flush()
            beside = ["--rules", file.name] if rules is not None else []
            status, out, errors = check(expression, "--explain", "--json", *beside, *arguments)
            return json.loads(out)["explain"] if status == 0 else (
                status, errors.replace(file.name, "FILE"))

    def test_explain(self):
        made = self.explain("room == 'a' && size(tags) > 1")
        self.checks.equal(made["places"], [{"place": 'doc.room == "a"', "holds": False, "queries": 1,
                                            "steps": 170, "left": "size(doc.tags) > 1"}], "alone")
        self.checks.equal([(part["program"], part["others"]) for part in made["predicates"]],
                          [(False, 0), (True, 0)], "its predicates")
        made = self.explain("name.lowerAscii() == 'x'")
        self.checks.that(made["residual"] and "cannot be indexed" in made["advice"][0], "advice", made)
        status, out, _ = check("age > 1 && age < 5", "--explain", "--doc", "-", stdin=DOCUMENT)
        lines = out.splitlines()
        self.checks.that(status == 1 and "steps     62 for 1000 changes" in lines, "text", lines)
        self.checks.that(any(line.endswith("holds  range of doc.age") for line in lines), "text", lines)
        self.checks.that("\x1b" not in out, "no colours but on a terminal", out)

    def test_explain_rules(self):
        rules = ['{"id":"1","collection":"m","filters":[{"field":"room","op":"==","value":"a"}]}', "",
                 '{"id":"2","collection":"m","expression":"room == \'a\' && age > 20"}',
                 '{"id":"3","collection":"n","expression":"room == \'a\'"}']
        made = self.explain("room == 'a' && age > 18", rules)
        self.checks.equal((made["places"][0]["queries"], made["predicates"][0]["others"]), (3, 2),
                          "beside two of its collection")
        made = self.explain("room == 'a' && age > 18", rules, "--collection", "n")
        self.checks.equal(made["places"][0]["queries"], 2, "beside one of another")
        made = self.explain("room == 'a' && age > 18", rules, "--database", "x")
        self.checks.equal(made["places"][0]["queries"], 1, "a database without rules")
        for bad, text in (
                ("{", "FILE: line 2: "), ('{"id":"x"}', 'FILE: line 2: "collection" is missing'),
                ('{"id":"1","collection":"m"}', "FILE: line 2: the id"),
                ('{"id":"x","collection":"m","expression":"a +"}', "FILE: line 2: "),
                ('{"id":"x","collection":"m","filters":[{"field":"a","op":"=","value":1}]}',
                 "FILE: line 2: unsupported operator")):
            status, errors = self.explain("a == 1", [rules[0], bad])
            self.checks.that(status == 2 and text in errors, f"{bad}: {text}", errors)
        status, errors = self.explain("a == 1", [])
        self.checks.that(status == 2 and "has no rules" in errors, "no rules", errors)
        for arguments in (["--rules", "x"], ["--collection", "x"], ["--explain", "--rules", "/nowhere"]):
            status, out, errors = check("a == 1", *arguments)
            self.checks.that((status, out) == (2, "") and errors, f"{arguments}", errors)
        status, errors = self.explain("a != 1", None, "--residuals-max", "0")
        self.checks.that(status == 2 and "residuals_max is 0" in errors, "a limit", errors)

    def run(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            with self.checks.section(name):
                getattr(self, name)()
        return self.checks.finish()


if __name__ == "__main__":
    peers.run(lambda: Check().run())
