"""What gateways wrote down, against what the oracle says that they must have.

For each subscription: what is delivered, together with the gaps that were announced, is all that it
is owed; nothing comes twice but behind a position that the gateway had gone back to; numbers grow
within a stream; an acknowledgement's position claims nothing that has not come. From when a
subscription is owed, its answer says (`live_after`; of a gateway of the original's kind, the moment
of the answer). The judge looks into positions, which no client may.
"""

import base64
import bisect
import collections
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import load  # noqa: E402
import oracle  # noqa: E402

POSITION = struct.Struct(">BQQQIIQ")
WRONG_MAX = 20  # that are told of one gateway
BAD_ENDS = {"INVALID_ARGUMENT", "UNIMPLEMENTED", "DATA_LOSS", "OUT_OF_RANGE"}


class Facts:
    """What happened, as the gateways must see it: `pushed` is [(moment, how many by then)],
    `lost` are ranges of numbers that a Streamer could not know of."""

    def __init__(self, recorder, pushed, lost, subscriptions):
        self.recorder = recorder
        self.moments = [moment for moment, _ in pushed]
        self.counts = [count for _, count in pushed]
        self.lost = lost
        self.routed = collections.defaultdict(list)  # by epoch: (sequence, number), sorted
        self.ids = []  # by number: who it is for
        self.owed = collections.defaultdict(list)  # the numbers for each id
        subscriptions = [dict(made, holds=load.holds(made)) if "modulo" in made else made
                         for made in subscriptions]
        past = oracle.Past()
        self.ids.append(set())
        for number, change in enumerate(recorder.changes, 1):
            self.ids.append(set(oracle.Expected(change, past).ids(subscriptions)))
            for identifier in self.ids[number]:
                self.owed[identifier].append(number)

    def pushed_by(self, moment):
        """The newest number that may have been on its way at a moment."""
        at = bisect.bisect_right(self.moments, moment)
        return self.counts[at - 1] if at else 0

    def learn(self, journals):
        """What deliveries tell of where changes stand in the log of each life of the Streamer."""
        for line in (line for lines in journals for line in lines if line["kind"] == "delivery"):
            position = base64.b64decode(line["position"])
            number = self.recorder.numbers.get(line["event_id"])
            if number and len(position) == POSITION.size:
                _, epoch, sequence, *_ = POSITION.unpack(position)
                self.routed[epoch].append((sequence, number))
        for routed in self.routed.values():
            routed.sort()

    def around(self, position):
        """(first, last) number that a position of no change may mean, by its neighbours in the
        log: one, if as many changes as places are between these."""
        if len(position) != POSITION.size:
            return None
        _, epoch, sequence, *_ = POSITION.unpack(position)
        routed = self.routed.get(epoch, [])
        at = bisect.bisect_right(routed, (sequence, float("inf")))
        if not 0 < at < len(routed):
            return None
        (before, first), (behind, last) = routed[at - 1], routed[at]
        if last - first == behind - before:
            return (first + sequence - before,) * 2
        return first, last - 1

    def is_lost(self, number):
        return any(first <= number <= last for first, last in self.lost)

    def place(self, position):
        """(first, last) number that it may mean; None: of no change, or of one unknown."""
        if len(position) != POSITION.size:
            return None
        *_, seconds, increment, _ = POSITION.unpack(position)
        return self.recorder.times.get((seconds, increment))


class Account:
    """Of one gateway."""

    def __init__(self, facts, name, lines, knows_extensions):
        self.facts, self.name, self.knows_extensions = facts, name, knows_extensions
        self.wrong = []
        self.counts = collections.Counter()
        self.asked = set()
        self.bare = set()  # of all ever asked, those that omit the document
        self.settled = {}  # id -> all up to this number is accounted for
        self.done = collections.defaultdict(set)
        self.covers = []
        self.known = {}  # position -> number
        self.answered = set()  # on this stream
        self.base = self.last = 0  # what this stream goes on after; what came last on it
        self.is_part = False  # of the last
        self.last_control = 0
        takes = {"subscribe": self.on_subscribe, "unsubscribe": self.on_unsubscribe,
                 "open": self.on_open, "welcome": self.on_welcome, "answer": self.on_answer,
                 "delivery": self.on_delivery, "gap": self.on_gap, "ack": self.on_ack,
                 "end": self.on_end, "wrong": lambda line: self.say(line["text"])}
        for line in lines:
            takes[line["kind"]](line)

    def say(self, text):
        self.wrong.append(f"{self.name}: {text}")

    def place(self, text):
        position = base64.b64decode(text)
        if position in self.known:
            return self.known[position], self.known[position]
        return self.facts.place(position) or self.facts.around(position)

    # ---- accounts --------------------------------------------------------------------------------

    def is_covered(self, number):
        return (self.facts.is_lost(number)
                or any(after < number <= until for after, until in self.covers))

    def settle(self, number, why):
        """All that is owed up to this number must have come by now."""
        for identifier, settled in self.settled.items():
            owed = self.facts.owed[identifier]
            missing = [each for each in owed[bisect.bisect_right(owed, settled):
                                             bisect.bisect_right(owed, number)]
                       if each not in self.done[identifier] and not self.is_covered(each)]
            if missing:
                self.say(f"{identifier} misses {len(missing)}, {missing[0]} to {missing[-1]}, {why}")
            self.settled[identifier] = max(settled, number)

    # ---- lines -----------------------------------------------------------------------------------

    def on_subscribe(self, line):
        self.asked.add(line["subscription"]["id"])
        if line["subscription"].get("omit_document"):
            self.bare.add(line["subscription"]["id"])

    def on_unsubscribe(self, line):
        self.asked.discard(line["id"])
        self.settled.pop(line["id"], None)

    def on_open(self, line):
        self.counts["streams"] += 1
        self.answered, self.last, self.is_part = set(), 0, False
        if not self.knows_extensions or not line["after"]:
            self.settled, self.base = {}, 0
            self.done.clear()
            return
        place = self.place(line["after"])
        self.base = place[0] if place else 0

    def on_welcome(self, line):
        self.counts[f"welcome {line['resume']}"] += 1

    def on_answer(self, line):
        identifier = line["id"]
        if not line["success"]:
            self.say(f"{identifier} is refused: {line['error']}")
            return
        self.answered.add(identifier)
        if identifier in self.asked and identifier not in self.settled:
            place = self.place(line["live_after"])
            self.settled[identifier] = (place[1] if place
                                        else self.facts.pushed_by(line["time"]))

    def on_delivery(self, line):
        number = self.facts.recorder.numbers.get(line["event_id"])
        if number is None:
            self.say(f"{line['event_id']} never happened")
            return
        self.counts["deliveries"] += 1
        self.counts["replayed"] += line["replayed"]
        if line["data"] not in (None, number):
            self.say(f"{number} comes with the document of {line['data']}")
        if line["data"] is not None and self.bare.intersection(line["ids"]):
            self.say(f"{number} comes with a document that {line['ids']} omit")
        if line["position"]:
            self.known[base64.b64decode(line["position"])] = number
        self.take(number, line["ids"], line["more"])
        if line["collection"] == load.CONTROL:
            self.last_control = number

    def take(self, number, ids, more):
        """A change, or a part of one, for these of its subscriptions."""
        if len(set(ids)) != len(ids) or not ids:
            self.say(f"{number} is for {ids}")
        for what, others in (("matches", self.facts.ids[number]), ("has asked", self.answered)):
            if set(ids) - others:
                self.say(f"{number} is for {sorted(set(ids) - others)}, of which none {what}")
        if number < self.last or number == self.last and not self.is_part:
            self.say(f"{number} comes behind {self.last}")
        if number <= self.base:
            self.say(f"{number} comes again, although the stream goes on after {self.base}")
        if any(number in self.done[identifier] for identifier in ids):
            self.counts["repeats"] += 1
        self.settle(number - 1, f"when {number} comes")
        for identifier in ids:
            self.done[identifier].add(number)
        if not more:
            self.settle(number, f"of which {number} is not for it")
        self.last, self.is_part = number, more

    def on_gap(self, line):
        self.counts[f"gap {line['reason']}"] += 1
        if line["reason"] == "TOO_LARGE":
            self.take(self.facts.recorder.numbers[line["event_id"]], line["ids"],
                      not line["until"])
            return
        after, until = self.place(line["after"]), self.place(line["until"])
        by_now = self.facts.pushed_by(line["time"])
        if line["reason"] == "SOURCE":
            after = until = None
        self.covers.append((after[0] if after else 0, until[1] if until else by_now))
        self.base = 0  # from the gap's end on it may come again
        if until:
            self.last, self.is_part = max(self.last, until[0]), False

    def on_ack(self, line):
        place = self.place(line["position"])
        if place:
            self.settle(place[0], f"when an acknowledgement claims {place[0]}")

    def on_end(self, line):
        self.counts[f"end {line['status']}"] += 1
        if line["status"] in BAD_ENDS:
            self.say(f"a stream ends {line['status']}: {line['text']}")


def judge(facts, journals, settled_from):
    """(what is wrong, counts) of {name: (lines, knows_extensions)}; the run has come to rest with
    the change `settled_from`, which everybody must have reached."""
    wrong, counts = [], collections.Counter()
    facts.learn([lines for lines, _ in journals.values()])
    for name, (lines, knows_extensions) in journals.items():
        account = Account(facts, name, lines, knows_extensions)
        if account.last_control < settled_from:
            account.say(f"has not come to rest: {account.last_control} of {settled_from}")
        counts.update(account.counts)
        wrong += account.wrong[:WRONG_MAX]
    return wrong, counts
