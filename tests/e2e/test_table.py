#!/usr/bin/python3
"""The facts of compatibility as a table (table/*.json), played against the real program by grpcio
and grpc-js, and against the library's stream in its own process, in lockstep: one change, three
peers.

A row:
  name           which fact, behind the number of its section in the sheet
  subscriptions  each {id, database, collection, filters, omit_document, refused, answered}; by default the row's
                 own database, collection "c", no filters; `refused` is how the error begins, none
                 means accepted; `answered` is the answer's id, if it is another
  changes        what the Puller sends then, see Changes.make
  steps          more, in any order: {verb: ..., stream: its name}, see Play.step_...
  deliveries     all that must come, in order: {ids, of, stream, operation, document_id, ...}. In
                 `ids` an inner list is in any order; `of` is the change's number (default: the
                 delivery's own); event_id, database, collection and timestamp must be the change's
  match, no_match, refuse
                 in place of subscriptions: filters [field, op, value] that must match, that must
                 not, and [.., beginning of the error]; the change is then one insert of `fields`
  original, why  where the original does something else: what, and why its peers do not mind
  transports     where the row is played, default ["grpc", "local"], with a `reason`
A filter's value: "a", 5, 2.5, true, [..] are the wire's string, int, double, bool and list; an
object is the wire's Value as it stands ({} has no kind); none at all is a filter without value.
{"repeat": s, "times": n} anywhere is a long text.

  tests/e2e/test_table.py --table-local build/tests/e2e/table_local --row 4.4
"""

import argparse
import itertools
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import peers  # noqa: E402
import syntrix  # noqa: E402
from table_peers import GrpcioPeer, LocalPeer, NodePeer, TablePuller  # noqa: E402
from table_rows import Changes, filter_message, load, only  # noqa: E402

SUBSCRIPTION_KEYS = {"id", "database", "collection", "filters", "omit_document", "refused",
                     "answered"}
DELIVERY_KEYS = {"ids", "of", "stream", "operation", "document_id", "document_data",
                 "document_text", "database", "collection", "event_id", "timestamp"}
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MARKER = "~"  # database, collection and subscription of the changes that say: all before has come
MARKER_SUBSCRIPTION = {"id": MARKER, "database": MARKER, "collection": MARKER}


class Table:
    """One Puller, the program and a library behind it, and the three peers."""

    def __init__(self, table_local):
        self.checks = peers.Checks()
        self.changes = Changes()
        self.puller = TablePuller()
        self.streamer, address = peers.serve("--puller", self.puller.address,
                                             "--puller-backoff-min-ms", "10")
        self.peers = [GrpcioPeer(address), NodePeer(address),
                      LocalPeer(table_local, self.puller.address)]
        self.puller.wait_subscribers(2)

    def play(self, rows):
        for number, row in enumerate(rows):
            if self.streamer.child.poll() is not None:
                break
            with self.checks.section(row["name"]):
                Play(self, row, f"row-{number}").run()

    def finish(self):
        self.checks.equal(self.streamer.child.poll(), None, "the program still runs")
        self.checks.equal(self.streamer.stop(), 0, "SIGTERM ends it with status 0")
        local = self.peers[2]
        local.child.stdin.close()
        self.checks.equal(local.wait(), 0, "the local peer ends well")
        consumers = [consumer for consumer, _ in self.puller.subscribers]
        self.checks.equal(len(set(consumers)), len(consumers), "each has a consumer id of its own")
        self.checks.equal([after for _, after in self.puller.subscribers[:2]], ["", ""],
                          "the first asks for what is new")
        self.puller.stop()
        return self.checks.finish()


class Seen:
    """A stream of one peer: what has come on it and is not looked at yet."""

    def __init__(self, peer, name):
        self.peer, self.name = peer, name
        self.deliveries, self.answers = [], []
        self.is_open = True

    def keep(self, item):
        if item["database"] != MARKER:  # perhaps one of a row that this peer had no part in
            self.deliveries.append(item)

    def next(self):
        """The next item that is no delivery; deliveries are kept."""
        while True:
            item = self.peer.receive(self.name)
            if item["item"] != "delivery":
                return item
            self.keep(item)

    def wait_marker(self, event_id):
        while True:
            item = self.peer.receive(self.name)
            if item["item"] != "delivery":
                raise AssertionError(f"{self.peer.name}: not asked for: {item}")
            if item["event_id"] == event_id:
                return
            self.keep(item)


class Play:
    """One row, step by step."""

    def __init__(self, table, row, database):
        self.table, self.row, self.database = table, row, database
        self.checks = table.checks
        transports = row.get("transports", ["grpc", "local"])
        self.peers = [peer for peer in table.peers if peer.transport in transports]
        self.streams = {}  # name: [Seen]
        self.made = []  # the row's changes
        self.numbers = itertools.count()
        self.is_settled = True

    # -- streams and barriers

    def stream(self, step):
        name = step.get("stream", "main")
        if name not in self.streams:
            self.streams[name] = [Seen(peer, f"{self.database} {name}") for peer in self.peers]
            self.each(step, lambda seen: seen.peer.command(seen.name, "open"))
            self.subscribe(step, MARKER_SUBSCRIPTION)
        return self.streams[name]

    def each(self, step, action):
        for seen in self.stream(step):
            action(seen)

    def send(self, step, message):
        self.each(step, lambda seen: seen.peer.command(seen.name, "send", message=message))

    def check(self, seen, holds, what, value):
        self.checks.that(holds, f"{self.row['name']} [{seen.peer.name}] {what}", value)

    def settle(self):
        """All that was sent so far has come: a change behind it has."""
        if self.is_settled:
            return
        marker = self.table.changes.make({"collection": MARKER}, MARKER)
        self.table.puller.push(marker)
        for streams in self.streams.values():
            for seen in streams:
                if seen.is_open:
                    seen.wait_marker(marker["event_id"])
        self.is_settled = True

    def subscribe(self, step, short):
        self.send(step, {"subscribe": self.subscribe_request(short)})
        self.each(step, lambda seen: self.check_answer(seen, short))

    def subscribe_request(self, short):
        only(SUBSCRIPTION_KEYS, short, self.row["name"])
        rules = [filter_message(*rule) if isinstance(rule, list) else rule
                 for rule in short.get("filters", [])]
        return {"subscription_id": short.get("id", ""), "filters": rules,
                "database": short.get("database", self.database),
                "collection": short.get("collection", "c"),
                "omit_document": short.get("omit_document", False)}

    def check_answer(self, seen, short):
        wanted, refused = short.get("id", ""), short.get("refused")
        answer = seen.next()
        about = short["filters"] if "filters" in short else wanted[:60]
        if answer["item"] != "answer":
            raise AssertionError(f"{seen.peer.name}: {about} has no answer but {answer}")
        if wanted:
            wanted = short.get("answered", wanted)
            self.check(seen, answer["id"] == wanted, f"{about}: its id", answer)
        else:
            self.check(seen, re.fullmatch(UUID, answer["id"]), "a made up id", answer["id"])
            self.check(seen, answer["id"] not in seen.answers, "another one", answer["id"])
        seen.answers.append(answer["id"])
        if refused is None:
            self.check(seen, answer["success"] and answer["error"] == "", f"{about}: accepted",
                       answer)
        else:
            self.check(seen, not answer["success"] and answer["error"].startswith(refused),
                       f"{about}: refused with {refused!r}", answer)

    # -- the steps' verbs

    def step_open(self, step, _):
        """open: a stream is there, without more."""
        self.stream(step)

    def step_subscribe(self, step, short):
        """subscribe: {a subscription}, answered"""
        self.settle()
        self.subscribe(step, short)

    def step_unsubscribe(self, step, identifier):
        """unsubscribe: an id, or list of them; no answer comes but that of what is behind it"""
        self.settle()
        for one in identifier if isinstance(identifier, list) else [identifier]:
            self.send(step, {"unsubscribe": {"subscription_id": one}})
        self.subscribe(step, {"id": f"{MARKER}{next(self.numbers)}", "database": MARKER})

    def step_change(self, _, short):
        """change: {what the Puller sends}"""
        self.made.append(self.table.changes.make(short, self.database))
        self.table.puller.push(self.made[-1])
        self.is_settled = False

    def step_again(self, _, number):
        """again: the number of a change that the Puller sends once more"""
        self.table.puller.push(self.made[number])
        self.is_settled = False

    def step_message(self, step, hexadecimal):
        """message: bytes that have no answer"""
        self.each(step, lambda seen: seen.peer.command(seen.name, "send", hex=hexadecimal))

    def step_heartbeat(self, step, timestamp):
        """heartbeat: a time, echoed before all else; null: an empty one"""
        self.settle()
        self.send(step, {"heartbeat": {} if timestamp is None else {"timestamp": str(timestamp)}})
        wanted = {"item": "ack", "timestamp": timestamp or 0}
        self.each(step, lambda seen: self.check_ack(seen, wanted))

    def check_ack(self, seen, wanted):
        item = seen.next()
        item.pop("stream", None)
        self.check(seen, item == wanted, "a heartbeat is echoed", item)

    def step_half_close(self, step, statuses):
        """half_close: the statuses, one of which the call then ends with"""
        self.end(step, statuses, lambda seen: seen.peer.command(seen.name, "half_close"))

    def step_cancel(self, step, statuses):
        """cancel: the same"""
        self.end(step, statuses, lambda seen: seen.peer.command(seen.name, "close"))

    def step_too_large(self, step, size):
        """too_large: a subscribe with an id of that many bytes, which ends the call"""
        request = {"subscribe": {"subscription_id": "x" * size, "filters": []}}
        self.end(step, ["RESOURCE_EXHAUSTED"], lambda seen: seen.peer.command(
            seen.name, "send", message=request))

    def step_broken(self, step, hexadecimal):
        """broken: bytes that are no message, which end the call, but not well"""
        statuses = ["INTERNAL", "INVALID_ARGUMENT", "UNKNOWN"]
        self.end(step, statuses,
                 lambda seen: seen.peer.command(seen.name, "send", hex=hexadecimal))

    def end(self, step, statuses, action):
        self.settle()
        self.each(step, action)
        for seen in self.stream(step):
            item = seen.next()
            self.check(seen, item["item"] == "end" and item["status"] in statuses,
                       f"ends with {statuses}", item)
            seen.is_open = False

    def step_method(self, step, name):
        """method: the path of a method that is not there"""
        for peer in self.peers:
            call = Seen(peer, f"{self.database} {name}")
            peer.command(call.name, "method", method=name)
            item = call.next()
            self.check(call, item["status"] == step["status"], name, item)

    def step_puller_heartbeat(self, _, positions):
        """puller_heartbeat: {backend: event id} that its marker has beside those sent so far"""
        self.table.puller.send_heartbeat(positions)
        self.is_settled = False

    def step_settle(self, _step, _):
        """settle: all so far has come"""
        self.settle()

    def step_puller_ends(self, step, status):
        """puller_ends: the status that the Puller's streams end with, once all so far has come, or,
        `unsettled`, at once. New ones begin behind their marker, with `replay` with all there is;
        `refuses` [status, text] is what that marker gets, and then all there is is asked for"""
        if not step.get("unsettled"):
            self.settle()
        wanted = [syntrix.progress(self.table.puller.positions)] * 2
        refusal = step.get("refuses")
        if refusal:
            wanted += [syntrix.progress({})] * 2
        came = self.table.puller.end_streams(status, step.get("replay", False), refusal)
        self.checks.equal(sorted(came), sorted(wanted), f"{self.row['name']}: markers")
        if refusal:
            self.each(step, self.check_break)

    def check_break(self, seen):
        """Something may be missing: a gap says so, or to a peer that knows none its stream's end,
        after which it registers again."""
        item = seen.next()
        if seen.peer.transport == "local":
            self.check(seen, item["item"] == "gap", "a gap", item)
            return
        self.check(seen, item["item"] == "end" and item["status"] == "UNAVAILABLE", "the end", item)
        seen.peer.command(seen.name, "open")
        for short in [MARKER_SUBSCRIPTION, *self.row["subscriptions"]]:
            request = {"subscribe": self.subscribe_request(short)}
            seen.peer.command(seen.name, "send", message=request)
            self.check_answer(seen, short)

    # -- the whole

    def match_steps(self):
        """The steps of filters that must match, or not, and the delivery that follows."""
        wanted = [f"m{number}" for number, _ in enumerate(self.row.get("match", []))]
        for name, rules in (("m", self.row.get("match", [])), ("n", self.row.get("no_match", []))):
            for number, rule in enumerate(rules):
                yield {"subscribe": {"id": f"{name}{number}", "filters": [rule]}}
        for number, (*rule, refused) in enumerate(self.row.get("refuse", [])):
            yield {"subscribe": {"id": f"r{number}", "filters": [rule], "refused": refused}}
        if "deliveries" not in self.row:
            self.row["deliveries"] = [{"ids": [wanted]}] if wanted else []
        if "changes" not in self.row and "steps" not in self.row:
            yield {"change": {"fields": self.row.get("fields", {})}}

    def steps(self):
        yield {"open": True}
        yield from ({"subscribe": short} for short in self.row.get("subscriptions", []))
        if any(key in self.row for key in ("match", "no_match", "refuse")):
            yield from self.match_steps()
        yield from ({"change": short} for short in self.row.get("changes", []))
        yield from self.row.get("steps", [])

    def run(self):
        try:
            for step in self.steps():
                (verb, content), *_ = step.items()
                getattr(self, "step_" + verb)(step, content)
            self.settle()
            for name, streams in self.streams.items():
                for seen in streams:
                    self.check_deliveries(seen, name)
        finally:
            for seen in itertools.chain(*self.streams.values()):
                if seen.is_open:
                    seen.peer.command(seen.name, "close")

    def check_deliveries(self, seen, stream):
        wanted = [dict(delivery, of=delivery.get("of", number)) for number, delivery
                  in enumerate(self.row.get("deliveries", []))]
        wanted = [delivery for delivery in wanted if delivery.get("stream", "main") == stream]
        self.check(seen, len(seen.deliveries) == len(wanted), f"{len(wanted)} deliveries",
                   [(item["ids"], item["event_id"]) for item in seen.deliveries])
        for item, delivery in zip(seen.deliveries, wanted):
            self.check_delivery(seen, item, delivery)

    def check_delivery(self, seen, item, delivery):
        only(DELIVERY_KEYS, delivery, self.row["name"])
        change = self.made[delivery["of"]]
        full_doc = change["full_doc"]
        self.check(seen, ids_are(item["ids"], delivery["ids"]), f"ids {delivery['ids']}",
                   item["ids"])
        expected = {key: change[key] for key in ("event_id", "database", "timestamp")}
        if isinstance(full_doc, dict) and "collection" in full_doc:
            expected["collection"] = full_doc["collection"]
        expected.update({key: delivery[key] for key in delivery
                         if key in item and key not in ("ids", "stream")})
        data = item["document_data"]
        if "document_data" in expected:
            data = oracle.parse(data) if data else None
        if "document_text" in delivery:
            expected["document_data"] = delivery["document_text"]
        for key, content in expected.items():
            got = data if key == "document_data" else item[key]
            same = got == content and json.dumps(got, sort_keys=True) == json.dumps(
                content, sort_keys=True)
            self.check(seen, same, f"{key} {content!r}", got)


def ids_are(ids, wanted):
    """Whether ids are those wanted, in order but for those of an inner list."""
    at = 0
    for item in wanted:
        group = item if isinstance(item, list) else [item]
        if sorted(ids[at:at + len(group)]) != sorted(group):
            return False
        at += len(group)
    return at == len(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table-local", default=os.environ.get("TABLE_LOCAL"),
                        help="the program of the local peer")
    parser.add_argument("--row", default="", help="a pattern that names have")
    options = parser.parse_args()
    began = time.monotonic()
    rows = load(options.row)
    table = Table(options.table_local)
    table.play(rows)
    print(f"{len(rows)} rows, {table.changes.count} changes, {time.monotonic() - began:.1f} s")
    return table.finish()


if __name__ == "__main__":
    peers.run(main)
