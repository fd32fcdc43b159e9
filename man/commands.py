#!/usr/bin/python3
"""commands.py PROGRAM IN OUT: copies a manual page and puts what `PROGRAM COMMAND --help` says of
each command in the place of the line COMMANDS, and of the limits in that of the line LIMITS."""

import itertools
import re
import subprocess
import sys

LETTERS = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def ask(program, *words):
    return subprocess.run([program, *words, "--help"], check=True, capture_output=True,
                          encoding="utf-8").stdout


def plain(text):
    """Text in which roff sees no command, and which can be copied into a shell."""
    escaped = "".join(LETTERS.get(letter, letter) for letter in text)
    return "\\&" + escaped if escaped.startswith((".", '"')) else escaped


def sentences(text):
    """A line each, as roff wants them to tell an end from an abbreviation."""
    return [plain(sentence) for sentence in re.split(r"(?<=[.?]) (?=[A-Z-])", text.strip())]


def literal(lines):
    return [".Bd -literal -offset indent", *(plain(line) for line in lines), ".Ed"]


def paragraphs(lines):
    """Blank lines part paragraphs; what is indented stays as it stands."""
    put = []
    for is_literal, block in itertools.groupby(lines, lambda line: line[:2] == "  " or not line):
        block = list(block)
        if not is_literal:
            put += [".Pp", *sentences(" ".join(block))]
        elif any(block):
            put += literal(line[2:] for line in block if line)
    return put


def option(head, texts):
    """--name VALUE, and what it does."""
    name, _, value = head.strip().partition(" ")
    return [f".It Fl {plain(name[1:])}" + (f" Ar {plain(value)}" if value else ""), *texts]


def options(lines):
    """Each is a line: its name in columns 3 to 26, then what it does."""
    put = [".Bl -tag -width 4n"]
    for line in lines:
        if line[:4] != "  --" or line[26] != " ":
            sys.exit(f"commands.py: a line of --help has other columns: {line}")
        put += option(line[2:26], sentences(line[27:]))
    return [*put, ".El"]


def limits(lines):
    """Each is a line with its name, one with what it is, one with its bounds."""
    put = [".Bl -tag -width 4n"]
    for head, text, bounds in zip(*[iter(lines)] * 3):
        put += option(head, [*sentences(text), ".br", plain(bounds.strip())])
    return [*put, ".El"]


def parts_of(help_text):
    """{usage, options, limits, examples: their lines}; "usage" has the text too."""
    parts, lines = {}, []
    for line in help_text.splitlines():
        named = re.match(r"(usage|options|limits|examples)\b.*?:", line)
        if named:
            lines = parts.setdefault(named[1], [])
            line = line[len(named[0]):].lstrip()
            if not line:
                continue
        lines.append(line)
    return {name: "\n".join(lines).strip("\n").split("\n") for name, lines in parts.items()}


def help_of(program, words):
    """The parts of the help of a command, or of the one below it that is all it has."""
    while True:
        parts = parts_of(ask(program, *words))
        longer = re.match(r"\w+((?: [a-z]+)*)", parts["usage"][0])[1].split()
        if longer == words:
            return parts
        words = longer


def command(program, name, summary):
    parts = help_of(program, [name])
    at = parts["usage"].index("")
    put = [f".Ss {name}: {plain(summary)}", *literal(line.strip() for line in parts["usage"][:at])]
    put += [*paragraphs(parts["usage"][at + 1:]), *options(parts["options"])]
    if "limits" in parts:
        put += [".Pp", "It takes the options under", ".Sx LIMITS", "too."]
    return [*put, ".Pp", "Examples:", *literal(line[2:] for line in parts["examples"])]


def main():
    program, source, target = sys.argv[1:]
    commands = re.findall(r"^  (\w+) +(.*)", ask(program).partition("commands:")[2]
                          .partition("\n\n")[0], re.M)
    parts = {"COMMANDS": [line for row in commands for line in command(program, *row)],
             "LIMITS": limits(help_of(program, ["serve"])["limits"])}
    with open(source, encoding="utf-8") as page, open(target, "w", encoding="utf-8") as out:
        for line in page.read().splitlines():
            out.write("".join(part + "\n" for part in parts.get(line, [line])))


if __name__ == "__main__":
    main()
