#!/usr/bin/python3
"""streamer bench delivery and bench e2e: what they print, fan-outs of both kinds, gateways that stall, errors."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

DELIVERY_KEYS = ["streams", "message_bytes", "tls", "messages_per_s", "bytes_per_s", "cpu_us_per_message"]
E2E_KEYS = ["events_per_s", "deliveries_per_s", "cpu_us_per_event", "cpu_us_per_delivery", "p50_us", "p99_us",
            "offered"]


def bench(*arguments):
    done = subprocess.run([peers.STREAMER, "bench", *arguments], encoding="utf-8",
                          capture_output=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def figures(*arguments):
    status, out, complaint = bench(*arguments, "--json", "--runs", "1")
    assert status == 0, (arguments, status, complaint)
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        assert all(figure > 0 for name, figure in row.items() if name != "tls"), row
    return rows


def check_delivery():
    for size in (100, 400, 20000):
        rows = figures("delivery", "--streams", "3", "--message-bytes", str(size), "--seconds", "0.2")
        assert [list(row) for row in rows] == [DELIVERY_KEYS], rows
        row = rows[0]
        assert (row["streams"], row["message_bytes"], row["tls"]) == (3, size, False), row
        assert abs(row["bytes_per_s"] / row["messages_per_s"] / size - 1) < 0.01, row
    rows = figures("delivery", "--seconds", "0.1")
    assert [row["streams"] for row in rows] == [1, 10, 100], rows


def check_e2e():
    for gateways, fan_out, deliveries in ((4, 1, 1), (4, 2, 2), (4, 4, 4), (2, 64, 2), (1, 1000, 1)):
        row, = figures("e2e", "--subscriptions", "2000", "--gateways", str(gateways), "--fan-out", str(fan_out),
                       "--events", "1000", "--max")
        assert list(row) == E2E_KEYS, row
        assert abs(row["deliveries_per_s"] / row["events_per_s"] / deliveries - 1) < 0.01, row
        assert row["offered"] == row["events_per_s"], row
    row, = figures("e2e", "--subscriptions", "1000", "--gateways", "3", "--fan-out", "3", "--events", "500",
                   "--stalled", "1", "--rate", "1000")
    assert row["offered"] == 1000, row
    assert row["events_per_s"] < 1500, row
    assert row["p50_us"] <= row["p99_us"], row


def check_refusals():
    for arguments, text in (
            (("delivery", "--streams", "1001"), "from 1 to 1000"),
            (("delivery", "--message-bytes", "99"), "from 100 to 1000000"),
            (("e2e", "--max", "--rate", "5"), "--rate or --max"),
            (("e2e", "--gateways", "4", "--fan-out", "6"), "divided"),
            (("e2e", "--gateways", "4", "--subscriptions", "3"), "at least as many"),
            (("e2e", "--gateways", "2", "--stalled", "2"), "fewer stalled"),
            (("nothing",), "match, delivery and e2e can"),
    ):
        status, out, complaint = bench(*arguments)
        assert status == 2 and not out and text in complaint, (arguments, status, out, complaint)


check_delivery()
check_e2e()
check_refusals()
