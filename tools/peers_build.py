"""What tools/bench-peers and tools/bench-peers-match share: building the peers, in build/peers."""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
OUT = os.path.join(BUILD, "peers")
PEERS = os.path.join(ROOT, "bench", "peers")

GO = ("go", ["version"], (1, 23))


def cargo(least):
    return ("cargo", ["--version"], least)


def say(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def version(command, arguments):
    """(1, 23), or None if it is not there."""
    if not shutil.which(command):
        return None
    text = subprocess.run([command, *arguments], capture_output=True, encoding="utf-8",
                          check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def build(name, tools, make, **environment):
    """Makes a peer with tools that are (command, arguments, the least version); False, and said
    why, if that cannot be."""
    for command, arguments, least in tools:
        seen = version(command, arguments)
        if seen is None or seen < least:
            say(f"{name} is LEFT OUT: it needs {command} {least[0]}.{least[1]}, "
                + ("which is not here" if seen is None else f"here is {seen[0]}.{seen[1]}"))
            return False
    say(f"building {name}")
    os.makedirs(OUT, exist_ok=True)
    done = subprocess.run(make, cwd=os.path.join(PEERS, name), capture_output=True,
                          encoding="utf-8", env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        say(f"{name} is LEFT OUT, it does not build:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.returncode == 0
