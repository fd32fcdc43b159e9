#!/usr/bin/python3
"""The manual pages: well-formed, and of everything that they are about."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(peers.ROOT, "build"))
PAGES = {"streamer.1": os.path.join(BUILD, "man", "streamer.1"),
         "libstreamer.3": os.path.join(peers.ROOT, "man", "libstreamer.3"),
         "streamer-cel.7": os.path.join(BUILD, "man", "streamer-cel.7")}


def call(*arguments):
    return subprocess.run(arguments, capture_output=True, encoding="utf-8", timeout=60,
                          check=False).stdout


class Man:
    """Each method is a section."""

    def __init__(self):
        self.checks = peers.Checks()

    @staticmethod
    def plain(page):
        """As a reader sees it, in long lines, and without what makes letters bold."""
        return re.sub(".\b", "", call("mandoc", "-Tascii", "-Owidth=1000", PAGES[page]))

    def test_lint(self):
        for page, path in PAGES.items():
            self.checks.equal(call("mandoc", "-Tlint", "-Wwarning", path), "", f"{page} is clean")

    def test_commands(self):
        """What each command says of itself, in the page: a word that --help has is not lost."""
        page = self.plain("streamer.1")
        words = set(page.split())
        commands = re.findall(r"^  (\w+)  ", call(peers.STREAMER, "--help"), re.M)
        self.checks.that(len(commands) > 4, "commands", commands)
        for command in [[name] for name in commands] + [["bench", "match"]]:
            said = call(peers.STREAMER, *command, "--help")
            options = re.findall(r"^  (--[a-z-]+)", said, re.M)
            self.checks.that(options, f"options of {command}")
            self.checks.equal([name for name in options if name not in words], [], f"{command}")
            if command != ["bench"]:  # all it has is the command below it
                lost = [word for word in said.split() if word not in words | {"usage:", "limits",
                        "(N", "number):", "options:", "examples:"}]
                self.checks.equal(lost, [], f"words of {command}")

    def test_functions(self):
        """The page and the header have the same functions, with the same parameters."""
        with open(os.path.join(peers.ROOT, "include", "streamer.h"), encoding="utf-8") as header:
            text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)

        def prototypes(found):
            return sorted(re.sub(r"\s+", "", prototype) for prototype in found)

        declared = prototypes(re.findall(r"\bstreamer_\w+\s*\([^;{]*\);", text))
        synopsis = self.plain("libstreamer.3").partition("DESCRIPTION")[0]
        shown = prototypes(re.findall(r"\bstreamer_\w+\([^;]*\);", synopsis))
        self.checks.that(len(declared) > 20, "functions in streamer.h", declared)
        self.checks.equal(shown, declared, "libstreamer(3)'s synopsis")
        description = self.plain("libstreamer.3").partition("DESCRIPTION")[2]
        names = re.findall(r"streamer_\w+(?=\()", "".join(declared))
        self.checks.equal([name for name in names if name + "()" not in description
                           and name not in ("streamer_version", "streamer_operation_name")], [],
                          "described")


def main():
    test = Man()
    for name in sorted(name for name in dir(test) if name.startswith("test_")):
        with test.checks.section(name):
            getattr(test, name)()
    return test.checks.finish()


if __name__ == "__main__":
    peers.run(main)
