#!/usr/bin/python3
"""A Streamer killed 50 times under load and started again on the same port: its gateways come back
by themselves, and nothing that they get is wrong, double, or out of order within a stream's life.
"""

import json
import os
import re
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import syntrix  # noqa: E402
from peers import Stream, subscribe  # noqa: E402
from puller import Puller  # noqa: E402

KILLS = 50
GATEWAYS = 3
WANTED = 20  # deliveries to each gateway in each life, for both its subscriptions
COLLECTION = "load"
SECONDS = 30
BOTH = ["both", "part"]
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
             ("grpc.max_reconnect_backoff_ms", 100)]


class Load:
    """A Puller that keeps sending; each document has its number, and what it is modulo some."""

    def __init__(self):
        self.puller = Puller(heartbeat=1.0)
        self.stopping = threading.Event()
        self.sent = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def change(self, number):
        data = {"id": f"d{number}", "number": number, "part": number % GATEWAYS}
        mgo_doc_id = syntrix.mongo_id("default", COLLECTION, data["id"])
        return {"event_id": syntrix.event_id(1767225600, number, "documents", mgo_doc_id),
                "database": "default", "mgo_coll": "documents", "mgo_doc_id": mgo_doc_id,
                "op_type": "insert", "cluster_time": {"t": 1767225600, "i": number},
                "full_doc": syntrix.stored_document("default", COLLECTION, mgo_doc_id, data, 1,
                                                    (1000, 2000)),
                "timestamp": number, "txn_number": 0, "backend": "default_mongo"}

    def run(self):
        while not self.stopping.wait(0.002):  # the rate of the load
            self.puller.push(*(self.change(self.sent + more + 1) for more in range(5)))
            self.sent += 5

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.puller.stop()


class Gateway:
    """Registers, takes what comes, and registers again when its stream has ended."""

    def __init__(self, number, address):
        self.number = number
        self.channel = peers.channel(address, RECONNECT)
        self.changed = threading.Condition()
        self.life = 0  # of the Streamer that is there now, as the test counts them
        self.taken = {}  # deliveries by life
        self.total = self.registered = 0
        self.wrong = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            stream = Stream(self.channel, wait_for_ready=True)
            try:
                self.live(stream)
            except Exception as error:  # pylint: disable=broad-except
                self.wrong.append(f"{type(error).__name__}: {error}")
            stream.cancel()

    def live(self, stream):
        """One stream, from registering to its end."""
        stream.send(subscribe("part", COLLECTION, ("part", "==", self.number)))
        stream.send(subscribe("both", COLLECTION, ("part", "==", self.number),
                              ("number", ">=", 0), ("id", "!=", "none")))
        last, answers, life = None, 0, None
        ids = ["part"]  # that a delivery has; both from the first on that has both
        while True:
            message = stream.receive(SECONDS)
            if message is None:
                return
            if message.WhichOneof("payload") == "subscribe_response":
                answers += message.subscribe_response.success
                self.registered += answers == 2
                life = self.life if life is None else life
                continue
            delivery = message.delivery
            ids = BOTH if sorted(delivery.subscription_ids) == BOTH else ids
            last = self.take(delivery, last, ids)
            with self.changed:
                self.total += 1
                if answers == 2 and ids == BOTH:
                    self.taken[life] = self.taken.get(life, 0) + 1
                self.changed.notify_all()

    def take(self, delivery, last, ids):
        """Looks at a delivery, gives its number."""
        data = json.loads(delivery.event.document_data)
        number = data["number"]
        if number % GATEWAYS != self.number or delivery.event.document_id != f"d{number}":
            self.wrong.append(f"{data} does not match")
        if sorted(delivery.subscription_ids) != ids:
            self.wrong.append(f"{data} for {delivery.subscription_ids}, not {ids}")
        if last is not None and number != last + GATEWAYS:
            self.wrong.append(f"{number} behind {last}")
        return number

    def begin_life(self, life):
        with self.changed:
            self.life = life

    def wait_taken(self, life):
        with self.changed:
            if not self.changed.wait_for(lambda: self.taken.get(life, 0) >= WANTED, SECONDS):
                raise AssertionError(f"gateway {self.number}: {self.taken.get(life, 0)} deliveries "
                                     f"in life {life}, wrong: {self.wrong[:3]}")

    def stop(self):
        self.stopping = True
        self.channel.close()
        self.thread.join(10)


def start(puller, listen):
    streamer = peers.Process([peers.STREAMER, "serve", "--puller", puller.address,
                              "--listen", listen])
    return streamer, streamer.wait_line(r"listening on (\S+:\d+)").group(1)


def run_lives(checks, load):
    streamer, address = start(load.puller, "127.0.0.1:0")
    gateways = [Gateway(number, address) for number in range(GATEWAYS)]
    for life in range(KILLS):
        for gateway in gateways:
            gateway.wait_taken(life)
        checks.that(streamer.child.poll() is None, f"life {life} lasts until it is ended")
        streamer.stop(signal.SIGKILL)
        for gateway in gateways:
            gateway.begin_life(life + 1)
        streamer, again = start(load.puller, address)
        checks.equal(again, address, f"life {life + 1} is at the same port")
    for gateway in gateways:
        gateway.wait_taken(KILLS)
        checks.equal(gateway.wrong, [], f"gateway {gateway.number} gets what matches, in order")
        checks.that(gateway.registered > KILLS, "has registered anew in each life",
                    gateway.registered)
    log = "\n".join(streamer.lines["err"])
    checks.that(not re.search(r" (error|fatal) ", log), "the last life has no error", log[-500:])
    for gateway in gateways:
        gateway.stop()
    checks.equal(streamer.stop(), 0, "the last life ends well")
    return sum(gateway.total for gateway in gateways)


def main():
    checks = peers.Checks()
    load = Load()
    with checks.section("lives"):
        total = run_lives(checks, load)
        print(f"{KILLS} kills, {load.sent} changes, {total} deliveries")
    load.stop()
    return checks.finish()


if __name__ == "__main__":
    peers.run(main)
