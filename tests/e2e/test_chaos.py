#!/usr/bin/python3
"""The short form of `make chaos`: the judge itself, the named scenarios, and a few seeds."""

import base64
import copy
import os
import random
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "chaos"))
import chaos  # noqa: E402
import judge  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402
import scenarios  # noqa: E402

SEEDS, SECONDS = [2, 3], 5


class MadeUp:
    """A journal without a fault, of one subscription to all of a collection."""

    def __init__(self, folder):
        self.recorder = load.Recorder(random.Random(1), os.path.join(folder, "made.ndjson"))
        for number in range(60):
            self.recorder.add("rooms" if number % 2 else "users")
        self.subscription = load.whole("s", "rooms")
        self.facts = judge.Facts(self.recorder, [(float(number), number) for number in range(61)],
                                 [], [self.subscription])
        self.lines = [self.line("subscribe", subscription=self.subscription),
                      self.line("open", after=""), self.answer(0.5)]
        self.lines += [self.delivery(number) for number in self.facts.owed["s"]]

    @staticmethod
    def line(kind, moment=0.0, **fields):
        return {"kind": kind, "time": moment, **fields}

    def answer(self, moment):
        return self.line("answer", moment, id="s", success=True, live_after="")

    def position(self, number):
        change = self.recorder.changes[number - 1]
        time = change["cluster_time"]
        return base64.b64encode(judge.POSITION.pack(
            1, 7, number, 0, time["t"], time["i"], number)).decode()

    def delivery(self, number, **fields):
        event = self.recorder.changes[number - 1]
        return self.line("delivery", number + 0.5, event_id=event["event_id"], ids=["s"],
                         position=self.position(number), more=False, data=number,
                         collection="rooms", replayed=False, **fields)

    def gap(self, after, until):
        """Its end is a place in the log and no change, as that of what the history has let go."""
        end = base64.b64encode(judge.POSITION.pack(1, 7, until, 0, 0, 0, 0)).decode()
        return self.line("gap", 60.5, after=self.position(after), until=end, reason="TOO_OLD",
                         ids=[], event_id="", position=end)

    def wrong(self, change):
        """What the judge says of the journal once a function has changed it."""
        lines = copy.deepcopy(self.lines)
        change(lines)
        return judge.judge(self.facts, {"g": (lines, True)}, 0)[0]


def check_judge(checks, folder):
    """It finds each fault, and none where there is none. Line 3 + n has change 2 * (n + 1)."""
    made = MadeUp(folder)

    def replace(first, last, *lines):
        return lambda journal: journal.__setitem__(slice(first, last), lines)

    def come_back(after, *lines):
        return replace(10, 10, made.line("open", after=made.position(after)), made.answer(20.5),
                       *lines)

    faults = {
        "nothing": (replace(0, 0), None),
        "one is missing": (replace(10, 11), "misses 1, 16 to 16"),
        "one comes twice": (replace(10, 10, made.delivery(14)), "comes behind"),
        "two are in the wrong order": (replace(10, 12, made.delivery(18), made.delivery(16)),
                                       "comes behind"),
        "one is not for it": (replace(10, 10, made.delivery(15)), "of which none matches"),
        "a gap stands for it": (replace(10, 11, made.gap(14, 16)), None),
        "a gap stands for others": (replace(10, 12, made.gap(14, 16)), "misses 1, 18"),
        "it comes in spite of a gap": (replace(10, 10, made.gap(14, 16)), "comes behind"),
        "it comes back": (come_back(14), None),
        "one comes again": (come_back(14, made.delivery(14)), "comes again"),
        "it went back": (come_back(12, made.delivery(14)), None),
        "it comes back without registering": (
            replace(10, 10, made.line("open", after=made.position(14))), "none has asked"),
        "it begins anew": (replace(10, 12, made.line("open", after=""), made.answer(19.5)), None),
        "it begins anew too late": (
            replace(10, 12, made.line("open", after=""), made.answer(15.5)), "misses 2"),
        "an acknowledgement is right": (
            replace(10, 10, made.line("ack", position=made.position(15))), None),
        "an acknowledgement claims too much": (
            replace(10, 10, made.line("ack", position=made.position(16))), "claims 16"),
        "a refusal": (replace(2, 3, made.line("answer", id="s", success=False, error="no")),
                      "is refused"),
    }
    for name, (change, wanted) in faults.items():
        wrong = made.wrong(change)
        checks.that(any(wanted in line for line in wrong) if wanted else not wrong, name, wrong)


def main():
    checks = peers.Checks()
    folder = tempfile.mkdtemp(prefix="streamer-chaos-")
    check_judge(checks, folder)
    for name in scenarios.SCENARIOS:
        with checks.section(name):
            checks.equal(scenarios.run(name), [], name)
    for seed in SEEDS:
        with checks.section(f"seed {seed}"):
            checks.that(chaos.run_seed(seed, SECONDS, folder), f"seed {seed}")
    shutil.rmtree(folder, True)
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
