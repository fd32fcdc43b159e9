#!/usr/bin/python3
"""Everything that can go wrong around a Streamer, by seed, and whether its promise holds.

  make chaos SEEDS=100 SECONDS=30
  tests/chaos/chaos.py --seed 7 --seconds 30        one run, that of seed 7

A seed decides what is asked of the Streamer, what changes happen, and what is done to whom and when;
how the processes take it is theirs. What a failed run wrote stays in build/chaos/SEED.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cluster as processes  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402

OUT = os.path.join(peers.ROOT, "build", "chaos")
STEP_SECONDS = 0.02
BURSTS = [30, 300, 1000]
CONTROL = load.whole("control", load.CONTROL)


class Profile:
    """What a seed asks for."""

    def __init__(self, rng):
        self.rate = rng.choice([20, 100, 300])  # changes a second
        self.pace = rng.choice([0.05, 0.15, 0.5])  # seconds between two disturbances, on average
        self.streamer = rng.choice(["stays", "forgets", "remembers", "remembers"])  # if killed
        self.is_roomy = rng.random() < 0.6
        self.load = {"large": rng.choice([0, 0, 0.003]), "backends": rng.choice([1, 1, 2])}
        self.lease_ms = rng.choice([2000, 90000])
        self.options = ["--workers", str(rng.choice([1, 1, 2, 3])),
                        "--ring-events", str(rng.choice([16, 4096])),
                        "--lease-ms", str(self.lease_ms),
                        "--puller-dead-ms", str(rng.choice([3000, 30000]))]
        if not self.is_roomy:
            self.options += ["--history-events", str(rng.choice([0, 20, 200, 1000]))]
        if rng.random() < 0.3:
            self.options += ["--queue-soft-bytes", "65536", "--queue-soft-ms", "500",
                             "--queue-hard-bytes", "400000"]

    def may_have_gaps(self):
        """With several backends a replay may have another order, so a restart says so."""
        return (not self.is_roomy or self.streamer == "forgets"
                or self.streamer == "remembers" and self.load["backends"] > 1)

    def gateway(self, rng):
        hello = rng.random() < 0.75
        return {"hello": hello, "pipelined": rng.random() < 0.5,
                "bulk": rng.choice([0, 0, 2, 50]) if hello else 0,
                "trusts_acks": rng.random() < 0.5,
                "message_bytes_max": rng.choice([0, 0, 65536]) if hello else 0,
                "is_narrow": rng.random() < 0.5,
                "is_wide": hello and rng.random() < 0.15}


class Schedule:
    """What is done when: [(second, function, arguments)], in order."""

    def __init__(self, rng, cluster, profile, seconds):
        self.rng, self.cluster, self.profile = rng, cluster, profile
        self.acts = []
        kinds = [(self.gateway_process, 3), (self.gateway_link, 8), (self.gateway_itself, 8),
                 (self.source, 1), (self.streamer, 1), (self.load, 3)]
        at = rng.uniform(0.2, 1)
        while at < seconds:
            kind, = rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            kind(at)
            at += rng.expovariate(1 / profile.pace)
        self.acts.sort(key=lambda act: act[0])

    def add(self, at, function, *arguments):
        self.acts.append((at, function, arguments))

    def gateway_process(self, at):
        rng, member = self.rng, self.rng.choice(self.cluster.gateways)
        if rng.random() < 0.5:
            self.add(at, member.kill)
            self.add(at + rng.uniform(0.1, 3), member.start)
        else:
            self.add(at, member.signal, signal.SIGSTOP)
            self.add(at + rng.uniform(0.2, 4), member.signal, signal.SIGCONT)

    def gateway_itself(self, at):
        rng, member = self.rng, self.rng.choice(self.cluster.gateways)
        kind = rng.randrange(8)
        if kind == 0:
            self.add(at, member.command, "slow", rng.choice([0.002, 0.02, 0.1]))
            self.add(at + rng.uniform(0, 0.2), self.cluster.push, rng.choice(BURSTS))
            self.add(at + rng.uniform(0.5, 4), member.command, "slow", 0)
        elif kind in (1, 5, 6, 7):
            self.add(at, member.command, "reconnect")
            self.add(at, self.cluster.push, rng.choice(BURSTS[:2]))
        elif kind == 2:
            self.add(at, member.command, "half_close")
        elif kind == 3:
            self.add(at, member.command, "subscribe", member.subscription(rng))
        else:
            self.add(at, member.command, "unsubscribe", f"{member.name}-{rng.randrange(1, 6)}")

    def link(self, at, proxy):
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            self.add(at, proxy.cut)
        elif kind == 1:
            self.add(at, proxy.cut_within, rng.choice([1, 7, 40, 300, 3000, 30000]))
        elif kind == 2:
            self.add(at, proxy.half_close, rng.randrange(2))
        elif kind == 3:
            self.add(at, setattr, proxy, "delay", rng.choice([0.001, 0.01, 0.1]))
        elif kind == 4:
            self.add(at, proxy.stall, True)
        else:
            self.add(at, setattr, proxy, "refuses", True)
            self.add(at, proxy.cut)
        self.add(at + rng.uniform(0.2, 3), proxy.heal)

    def gateway_link(self, at):
        self.link(at, self.rng.choice(self.cluster.gateways).proxy)

    def source(self, at):
        rng, cluster = self.rng, self.cluster
        kind = rng.randrange(3)
        if kind == 0:
            self.add(at, cluster.kill_source)
            self.add(at + rng.uniform(0.1, 2), cluster.start_source)
        elif kind == 1:
            self.add(at, cluster.signal_source, signal.SIGSTOP)
            self.add(at + rng.uniform(0.2, 2), cluster.signal_source, signal.SIGCONT)
        else:
            self.link(at, cluster.puller_proxy)

    def streamer(self, at):
        rng, cluster = self.rng, self.cluster
        if self.profile.streamer == "stays" or rng.random() < 0.3:
            self.add(at, cluster.signal_streamer, signal.SIGSTOP)
            self.add(at + rng.uniform(0.1, 1.5), cluster.signal_streamer, signal.SIGCONT)
        else:
            how = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            self.add(at, cluster.end_streamer, how)
            self.add(at + rng.uniform(0, 1.5), cluster.start_streamer)

    def load(self, at):
        self.add(at, self.cluster.push, self.rng.choice(BURSTS))


def play(cluster, acts, rate, seconds):
    """The load, and what is done meanwhile."""
    start, pace = time.monotonic(), threading.Event()
    sent, acts = 0, list(acts)
    while True:
        now = time.monotonic() - start
        while acts and acts[0][0] <= now:
            _, function, arguments = acts.pop(0)
            function(*arguments)
        due = int(rate * min(now, seconds)) - sent
        if due > 0:
            cluster.push(due)
            sent += due
        if now >= seconds:
            return
        pace.wait(STEP_SECONDS)


def begin(cluster, settings, rng, count):
    """Gateways with so many subscriptions of any kind, all of them registered."""
    for each in settings:
        member = cluster.add_gateway(**each)
        member.settings["subscriptions"] = [
            {**CONTROL, "id": f"{member.name}-control"}, load.whole(f"{member.name}-rare", load.RARE),
            *(member.subscription(rng) for _ in range(count)),
            *(load.wide(member.name) if each["is_wide"] else [])]
        member.start()
    return cluster.rest()


def run(seed, seconds, folder):
    """(what is wrong, counts) of one run."""
    rng = random.Random(seed)
    profile = Profile(rng)
    cluster = processes.Cluster(folder, seed, profile.options,
                                profile.streamer == "remembers", **profile.load)
    settings = [profile.gateway(rng) for _ in range(rng.randrange(2, 6))]
    _, late = begin(cluster, settings, rng, rng.randrange(3, 8))
    wrong = [f"{member.name} has not begun" for member in late]
    cluster.wait_state()
    if not wrong:
        play(cluster, Schedule(rng, cluster, profile, seconds).acts, profile.rate, seconds)
        cluster.heal()
    settled_from, _ = cluster.rest()
    wrong += cluster.stop()
    judged, counts = cluster.verdict(settled_from)
    told = {"gap TOO_LARGE", "gap SOURCE"} if cluster.has_begun_anew() else {"gap TOO_LARGE"}
    gaps = {name: count for name, count in counts.items()
            if name.startswith("gap ") and name not in told}
    if gaps and not profile.may_have_gaps():
        wrong.append(f"gaps although nothing was lost: {gaps}")
    return wrong + judged, counts


def report(name, wrong, counts):
    said = ", ".join(f"{counts[key]} {key}" for key in sorted(counts))
    print(f"{name}: {'FAILED' if wrong else 'ok'}, {said}", flush=True)
    for line in wrong:
        print(f"  {line}", flush=True)


def run_seed(seed, seconds, out):
    folder = os.path.join(out, str(seed))
    shutil.rmtree(folder, True)
    wrong, counts = run(seed, seconds, folder)
    report(f"seed {seed}", wrong, counts)
    if not wrong:
        shutil.rmtree(folder, True)
    return not wrong


def run_all(options):
    """Each seed in a process of its own."""
    failed = []
    waiting = list(range(options.first, options.first + options.seeds))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                seed = waiting.pop(0)
            status = subprocess.run([sys.executable, os.path.abspath(__file__), "--seed", str(seed),
                                     "--seconds", str(options.seconds), "--out", options.out],
                                    check=False).returncode
            if status:
                failed.append(seed)

    workers = [threading.Thread(target=work) for _ in range(options.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"{options.seeds - len(failed)} of {options.seeds} seeds hold"
          + (f"; failed: {sorted(failed)}, see {options.out}" if failed else ""), flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", default=OUT, help="default %(default)s")
    options = parser.parse_args()
    if options.seed is None:
        return run_all(options)
    return 0 if run_seed(options.seed, options.seconds, options.out) else 1


if __name__ == "__main__":
    peers.run(main)
