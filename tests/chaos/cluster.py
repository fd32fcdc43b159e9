"""The processes of a run: a Puller, a Streamer, gateways, and a proxy before each of the two that
are connected to."""

import contextlib
import json
import os
import random
import re
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import chaos_gateway  # noqa: E402
import judge  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402
from proxy import Loop, Proxy  # noqa: E402

# How long a machine that is busy may take; only what fails waits so long.
START_SECONDS = 120
REST_SECONDS = 180  # until gateways have got all that is left
CONTROL_SECONDS = 0.5
OPTIONS = ["--puller-backoff-min-ms", "50", "--puller-backoff-max-ms", "500",
           "--resume-wait-ms", "120000"]


class Member:
    """One gateway: its settings and its process."""

    def __init__(self, cluster, number, settings):
        self.name = f"g{number}"
        self.folder = cluster.folder
        self.proxy = Proxy(cluster.loop, cluster.streamer_port)
        self.settings = {"name": self.name, "address": self.proxy.address, "pipelined": False,
                         "hello": True, "journal": self.path("journal"), **settings}
        self.process = None
        self.next_id = 0
        self.seen = 0  # lines of its output

    def path(self, kind):
        return os.path.join(self.folder, f"{self.name}.{kind}")

    def start(self):
        if self.process and self.process.child.poll() is None:
            return
        with open(self.path("json"), "w", encoding="utf-8") as out:
            json.dump(self.settings, out)
        self.process = peers.Process([sys.executable, os.path.join(HERE, "chaos_gateway.py"),
                                      self.path("json")])
        self.seen = 0

    def signal(self, number):
        if self.process and self.process.child.poll() is None:
            self.process.child.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def command(self, *words):
        if self.process and self.process.child.poll() is None:
            try:
                self.process.say(json.dumps(words))
            except OSError:
                pass  # it has just been killed

    def subscription(self, rng):
        """A new one, under an id that nobody has had."""
        self.next_id += 1
        made = load.subscription(rng, f"{self.name}-{self.next_id}", self.settings["hello"])
        return made

    def controls(self):
        """The event ids of the control changes that it has had since the last call."""
        lines = self.process.lines["out"][self.seen:]
        self.seen += len(lines)
        return [line.split()[1] for line in lines if line.startswith("control ")]

    def count(self, kind):
        return sum(line["kind"] == kind for line in self.journal())

    def wait_registered(self, since):
        """Until everything is answered that it has asked since then; whether it is."""
        deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
        while time.monotonic() < deadline:
            answered = {line["id"] for line in self.journal()
                        if line["kind"] == "answer" and line["time"] > since}
            if len(answered) == len(self.settings["subscriptions"]):
                return True
            pause.wait(0.05)
        return False

    def journal(self):
        path = self.path("journal")
        return chaos_gateway.read(path) if os.path.exists(path) else []


class Cluster:
    def __init__(self, folder, seed, options=(), has_state=False, **load_options):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.rng = random.Random(f"load {seed}")
        self.recorder = load.Recorder(self.rng, os.path.join(folder, "changes.ndjson"),
                                      **load_options)
        self.loop = Loop()
        self.options = [*OPTIONS, *options]
        self.state = os.path.join(folder, "state") if has_state else None
        if has_state:
            os.makedirs(self.state, exist_ok=True)
            self.options += ["--state-dir", self.state]
        self.pushed = []  # (moment, how many changes by then)
        self.lives = []  # of the Streamer: (its process, when it was started)
        self.sources = []
        self.source = self.streamer = None
        self.source_port = self.streamer_port = 0
        self.gateways = []
        self.puller_proxy = Proxy(self.loop)
        self.start_source()
        self.start_streamer()
        self.source.wait_line("subscribed", START_SECONDS)

    # ---- processes -------------------------------------------------------------------------------

    def start_source(self):
        if self.source and self.source.child.poll() is None:
            return
        self.source = peers.Process([sys.executable, os.path.join(HERE, "source.py"),
                                     os.path.join(self.folder, "changes.ndjson"),
                                     f"127.0.0.1:{self.source_port}"])
        found = self.source.wait_line(r"listening on \S+:(\d+)", START_SECONDS)
        self.source_port = self.puller_proxy.target = int(found.group(1))
        self.sources.append(self.source)
        self.tell()

    def start_streamer(self):
        if self.streamer and self.streamer.child.poll() is None:
            return
        started = time.monotonic()
        self.streamer = peers.Process([
            peers.STREAMER, "serve", "--puller", self.puller_proxy.address, "--listen",
            f"127.0.0.1:{self.streamer_port}", *self.options])
        found = self.streamer.wait_line(r"listening on \S+:(\d+)", START_SECONDS)
        self.streamer_port = int(found.group(1))
        self.lives.append((self.streamer, started))

    def kill_source(self):
        self.source.stop(signal.SIGKILL)

    def signal_source(self, number):
        if self.source.child.poll() is None:
            self.source.child.send_signal(number)

    def end_streamer(self, number):
        """Killed, or asked to end: it says goodbye, but not for longer than it takes."""
        self.signal_streamer(signal.SIGCONT)
        self.streamer.stop(number)

    def signal_streamer(self, number):
        if self.streamer.child.poll() is None:
            self.streamer.child.send_signal(number)

    def add_gateway(self, **settings):
        member = Member(self, len(self.gateways), settings)
        self.gateways.append(member)
        return member

    def wait_state(self, again=False):
        """Until a Streamer that is killed has something to begin with; or has written it again."""
        path = os.path.join(self.state or "", "state")
        before = os.stat(path).st_mtime_ns if again else 0
        deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
        while self.state and time.monotonic() < deadline:
            with contextlib.suppress(OSError), open(path, encoding="ascii") as state:
                if "position" in state.read() and os.stat(path).st_mtime_ns > before:
                    return
            pause.wait(0.05)

    # ---- changes ---------------------------------------------------------------------------------

    def push(self, count=1, collection=None):
        for _ in range(count):
            self.recorder.add(collection)
        self.pushed.append((time.monotonic(), len(self.recorder.changes)))
        self.tell()

    def tell(self):
        """What has happened; a Puller that is down learns it when it starts."""
        if self.source.child.poll() is None:
            try:
                self.source.say(str(len(self.recorder.changes)))
            except OSError:
                pass

    # ---- the end ---------------------------------------------------------------------------------

    def heal(self):
        self.signal_source(signal.SIGCONT)
        self.signal_streamer(signal.SIGCONT)
        self.puller_proxy.heal()
        self.start_source()
        self.start_streamer()
        for member in self.gateways:
            member.proxy.heal()
            member.signal(signal.SIGCONT)
            member.command("slow", 0)
            member.start()

    def rest(self, members=None, seconds=REST_SECONDS):
        """Waits until every gateway, or these, has had a change that came after all others; gives
        its number, and who has not."""
        first = len(self.recorder.changes) + 1
        late = set(self.gateways if members is None else members)
        deadline = time.monotonic() + seconds
        while late and time.monotonic() < deadline:
            self.push(1, load.CONTROL)
            again = time.monotonic() + CONTROL_SECONDS
            while late and time.monotonic() < again:
                late = {member for member in late if not any(
                    self.recorder.numbers[identifier] >= first
                    for identifier in member.controls())}
                self.wait_output(late, again)
        return first, late

    @staticmethod
    def wait_output(members, until):
        """Until one of them says something more."""
        for member in members:
            with member.process.changed:
                member.process.changed.wait_for(
                    lambda member=member: len(member.process.lines["out"]) > member.seen,
                    max(0, min(0.1, until - time.monotonic())))

    def asked_without_marker(self):
        """For each life of the Streamer (its start, how many changes had happened each time)."""
        pattern = re.compile(r"subscribed time=(\S+) after='' at=(\d+)")
        asked = [(float(found.group(1)), int(found.group(2))) for source in self.sources
                 for found in map(pattern.match, source.lines["err"]) if found]
        starts = [started for _, started in self.lives]
        return [(started, [at for moment, at in asked if started <= moment < ended])
                for started, ended in zip(starts, [*starts[1:], float("inf")])]

    def lost(self):
        """Ranges that no Streamer could hear of: one without a marker knows only what comes after
        it has asked."""
        return [(self.count_at(started) + 1, max(ats))
                for started, ats in self.asked_without_marker() if ats]

    def has_begun_anew(self):
        """Whether a Streamer lost its Puller before it had any marker."""
        return any(len(ats) > 1 for _, ats in self.asked_without_marker())

    def count_at(self, moment):
        return max((count for at, count in self.pushed if at <= moment), default=0)

    def verdict(self, settled_from):
        """(what is wrong, counts) once all have come to rest."""
        journals = {member.name: (member.journal(), member.settings["hello"])
                    for member in self.gateways}
        subscriptions = [line["subscription"] for lines, _ in journals.values() for line in lines
                         if line["kind"] == "subscribe"]
        facts = judge.Facts(self.recorder, self.pushed, self.lost(), subscriptions)
        wrong, counts = judge.judge(facts, journals, settled_from)
        counts["changes"] = len(self.recorder.changes)
        return wrong, counts

    def stop(self):
        """Ends all; gives what was wrong with the Streamers."""
        for member in self.gateways:
            member.signal(signal.SIGCONT)
            member.kill()
        self.signal_streamer(signal.SIGCONT)
        wrong = []
        status = self.streamer.stop()
        self.source.stop()
        if status:
            wrong.append(f"the Streamer ends with status {status}")
        return wrong + self.write_logs()

    def write_logs(self):
        """The logs of all, for people; gives the errors in the Streamers'."""
        wrong = []
        for name, logged in [("pullers", self.sources), *(
                (member.name, [member.process]) for member in self.gateways if member.process)]:
            with open(os.path.join(self.folder, name + ".log"), "w", encoding="utf-8") as out:
                for process in logged:
                    out.write("\n".join(["----", *process.lines["err"], ""]))
        with open(os.path.join(self.folder, "streamer.log"), "w", encoding="utf-8") as out:
            for life, (process, started) in enumerate(self.lives):
                out.write(f"---- life {life}, started at {started:.3f}, "
                          f"status {process.child.poll()}\n")
                for line in process.lines["err"]:
                    out.write(line + "\n")
                    if re.search(r" (error|fatal) |Sanitizer|check failed", line):
                        wrong.append(f"life {life}: {line}")
                if process.child.poll() not in (0, -signal.SIGKILL):
                    wrong.append(f"life {life} ended with {process.child.poll()}")
        return wrong
