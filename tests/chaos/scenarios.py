#!/usr/bin/python3
"""Named scenarios: what must hold at all times, and what a seed has once shown not to.

  tests/chaos/scenarios.py            all of them
  tests/chaos/scenarios.py NAME...
"""

import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import chaos  # noqa: E402
import cluster as processes  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402

MANY = 1000
COLLECTION = "rooms"


class Scenario:
    """A cluster with one gateway of COLLECTION, g0, and one of another, g1."""

    def __init__(self, folder, *options, has_state=False, **load_options):
        self.cluster = processes.Cluster(folder, "scenario", options, has_state, **load_options)
        self.wrong = []
        self.first, self.other = (self.add(collection) for collection in (COLLECTION, "users"))
        self.rest()
        self.cluster.wait_state()

    def add(self, collection, **settings):
        member = self.cluster.add_gateway(**settings)
        member.settings["subscriptions"] = [
            load.whole(f"{member.name}-control", load.CONTROL),
            load.whole(f"{member.name}-all", collection),
            {**load.whole(f"{member.name}-part", collection), "modulo": [3, 1]}]
        member.start()
        return member

    def rest(self):
        self.settled_from, late = self.cluster.rest()
        self.wrong += [f"{member.name} does not come to rest" for member in late]

    def wait_registered(self):
        """Until all have had an answer to all that they ask on a stream to this Streamer."""
        late = {member for member in self.cluster.gateways
                if not member.wait_registered(self.cluster.lives[-1][1])}
        self.wrong += [f"{member.name} does not register" for member in late]

    def end(self):
        """(what is wrong, counts), gaps included."""
        self.cluster.heal()
        self.rest()
        self.wrong += self.cluster.stop()
        judged, counts = self.cluster.verdict(self.settled_from)
        return self.wrong + judged, counts

    def end_without_gaps(self):
        wrong, counts = self.end()
        gaps = {name: count for name, count in counts.items() if name.startswith("gap ")}
        return wrong + ([f"gaps: {gaps}"] if gaps else []), counts


def a_thousand_while_away(folder):
    """The only gateway of a collection drops, 1,000 changes pass, it resumes, and all arrive."""
    scenario = Scenario(folder)
    scenario.first.kill()
    scenario.cluster.push(MANY, COLLECTION)
    scenario.cluster.push(1, load.CONTROL)
    scenario.first.start()
    return scenario.end_without_gaps()


def a_thousand_while_stopped(folder):
    """It does not drop but stands still, longer than its queue may be full: it is ended, comes
    back, and all arrive."""
    scenario = Scenario(folder, "--queue-soft-bytes", "400000", "--queue-hard-bytes", "1000000",
                        large=0.15)  # more than the sockets on the way take
    scenario.first.signal(signal.SIGSTOP)
    scenario.cluster.push(MANY, COLLECTION)
    scenario.cluster.rest([scenario.other])
    wrong, counts = scenario.end_without_gaps()
    if not counts["end RESOURCE_EXHAUSTED"]:
        wrong.append("its stream was not ended")
    return wrong, counts


def a_thousand_with_a_short_history(folder):
    """The history is too short for them: a gap says so, and all that comes later arrives."""
    scenario = Scenario(folder, "--history-events", "100")
    scenario.first.kill()
    scenario.cluster.push(MANY, COLLECTION)
    scenario.cluster.push(1, load.CONTROL)
    scenario.cluster.rest([scenario.other])
    scenario.first.start()
    wrong, counts = scenario.end()
    if not counts["gap TOO_OLD"]:
        wrong.append("no gap was announced")
    return wrong, counts


def a_thousand_over_pullers(folder):
    """The Puller is killed and started again in the midst of them, while the gateway is away."""
    scenario = Scenario(folder)
    scenario.first.kill()
    for _ in range(5):
        scenario.cluster.push(MANY // 5, COLLECTION)
        scenario.cluster.kill_source()
        scenario.cluster.start_source()
    scenario.first.start()
    return scenario.end_without_gaps()


def a_thousand_over_a_kill(folder):
    """The Streamer is killed while the gateway is away; with a state folder, all arrive."""
    scenario = Scenario(folder, has_state=True)
    scenario.first.kill()
    scenario.cluster.push(MANY // 2, COLLECTION)
    scenario.cluster.rest([scenario.other])
    scenario.cluster.end_streamer(signal.SIGKILL)
    scenario.cluster.push(MANY // 2, COLLECTION)
    scenario.cluster.start_streamer()
    scenario.first.start()
    return scenario.end_without_gaps()


def a_thousand_over_kills_of_all(folder):
    """Streamer and Puller are killed in turn while the changes come, the gateways stay."""
    scenario = Scenario(folder, has_state=True)
    for _ in range(3):
        scenario.cluster.push(MANY // 6, COLLECTION)
        scenario.cluster.end_streamer(signal.SIGKILL)
        scenario.cluster.push(MANY // 6, COLLECTION)
        scenario.cluster.kill_source()
        scenario.cluster.start_streamer()
        scenario.cluster.start_source()
        scenario.rest()
    return scenario.end_without_gaps()


def cut(proxy, push):
    """Its connections, in the midst of frames, at a half of them, and while it is slow."""
    for count in (1, 9, 40, 300, 3000):
        proxy.cut_within(count)
        push()
    for side in (0, 1):
        proxy.half_close(side)
        push()
        proxy.heal()
    proxy.delay = 0.01
    push()
    proxy.cut()
    push()
    proxy.heal()
    push()


def a_thousand_through_cuts(folder):
    """The gateway's connection is cut and comes back, all the time."""
    scenario = Scenario(folder)
    cluster = scenario.cluster

    def push():
        cluster.push(MANY // 10, COLLECTION)
        cluster.rest([scenario.other])
    cut(scenario.first.proxy, push)
    return scenario.end_without_gaps()


def a_thousand_from_a_puller_cut_off(folder):
    """The Puller's connection is cut and comes back, all the time."""
    scenario = Scenario(folder)
    cluster = scenario.cluster
    cut(cluster.puller_proxy, lambda: cluster.push(MANY // 10, COLLECTION))
    return scenario.end_without_gaps()


def a_restart_without_a_state(folder):
    """A Streamer that has forgotten where a gateway was tells it so."""
    scenario = Scenario(folder)
    scenario.cluster.push(MANY // 2, COLLECTION)
    scenario.rest()
    scenario.cluster.end_streamer(signal.SIGKILL)
    scenario.cluster.push(MANY // 2, COLLECTION)
    scenario.cluster.start_streamer()
    wrong, counts = scenario.end()
    if counts["gap UNKNOWN"] != 2:
        wrong.append("not both were told")
    return wrong, counts


def a_puller_lost_before_a_marker(folder):
    """What happens then nobody can ask for: who can be told is told, and who cannot begins anew."""
    scenario = Scenario(folder)
    cluster = scenario.cluster
    original = scenario.add(COLLECTION, hello=False)
    scenario.rest()
    cluster.end_streamer(signal.SIGKILL)
    cluster.start_streamer()
    scenario.wait_registered()
    cluster.puller_proxy.refuses = True
    cluster.puller_proxy.cut()
    cluster.streamer.wait_line("lost the puller", processes.START_SECONDS)
    cluster.push(MANY, COLLECTION)
    streams = original.count("open")
    wrong, counts = scenario.end()
    if counts["gap SOURCE"] != 2:
        wrong.append("not both were told")
    if original.count("open") == streams:
        wrong.append("the one that cannot be told was left to believe that all is well")
    return wrong, counts


def large_ones_over_a_short_queue(folder):
    """A few of them fill the queue; what comes back to many is not ended again and again."""
    scenario = Scenario(folder, "--queue-soft-bytes", "400000", "--queue-hard-bytes", "1000000",
                        large=1.0)
    scenario.first.kill()
    for _ in range(10):
        scenario.cluster.push(10, COLLECTION)
    scenario.first.start()
    wrong, counts = scenario.end_without_gaps()
    if counts["end RESOURCE_EXHAUSTED"] > 1:
        wrong.append("its stream was ended again and again")
    return wrong, counts


def two_backends_over_a_kill(folder):
    """The replay may have another order, so a gap is told; nothing comes a second time behind."""
    scenario = Scenario(folder, has_state=True, backends=2)
    scenario.cluster.push(MANY, COLLECTION)
    scenario.rest()
    scenario.cluster.wait_state(again=True)
    scenario.cluster.end_streamer(signal.SIGKILL)
    scenario.cluster.start_streamer()
    wrong, counts = scenario.end()
    if counts["repeats"]:
        wrong.append(f"{counts['repeats']} come again")
    return wrong, counts


SCENARIOS = {function.__name__: function for function in (
    a_thousand_while_away, a_thousand_while_stopped, a_thousand_with_a_short_history,
    a_thousand_over_pullers, a_thousand_over_a_kill, a_thousand_over_kills_of_all,
    a_thousand_through_cuts, a_thousand_from_a_puller_cut_off, a_restart_without_a_state,
    a_puller_lost_before_a_marker, large_ones_over_a_short_queue, two_backends_over_a_kill)}


def run(name):
    """What is wrong."""
    folder = tempfile.mkdtemp(prefix="streamer-chaos-")
    try:
        wrong, counts = SCENARIOS[name](folder)
    finally:
        shutil.rmtree(folder, True)
    chaos.report(name, wrong, counts)
    return wrong


def main():
    wrong = [line for name in sys.argv[1:] or SCENARIOS for line in run(name)]
    return 1 if wrong else 0


if __name__ == "__main__":
    peers.run(main)
