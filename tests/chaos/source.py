#!/usr/bin/python3
"""A Puller that may be killed and started again: it reads changes from the file of a recorded
stream, and each line on stdin says how many of them have happened by now.
"""

import argparse
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from puller import Puller  # noqa: E402


class Source(Puller):
    is_told = False  # how many changes have happened: it remembers nothing itself

    def start(self, request, context):
        """Says who asks from where: one who comes without a marker has no past."""
        self.changed.wait_for(lambda: self.is_told)
        print(f"subscribed time={time.monotonic()} after={request.after!r} at={self.happened}",
              file=sys.stderr, flush=True)
        return super().start(request, context)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("listen")
    options = parser.parse_args()
    source = Source(options.listen, heartbeat=0.5)
    print(f"listening on {source.address}", file=sys.stderr, flush=True)
    with open(options.file, encoding="utf-8") as lines:
        for command in sys.stdin:
            while len(source.log) < int(command):
                source.add(json.loads(lines.readline()))
            source.is_told = True
            source.begin()


if __name__ == "__main__":
    main()
