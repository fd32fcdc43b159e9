#!/usr/bin/python3
"""tools/soak for some seconds: nothing is left of gateways that come and go, and figures add up. Memory of
the whole process is for the long run: the history and the ids of documents still fill."""

import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

done = subprocess.run([os.path.join(ROOT, "tools", "soak"), "--minutes", "0.2", "--rate", "3000", "--subscriptions",
                       "1000", "--churn", "20000", "--json"], stdout=subprocess.PIPE, encoding="utf-8", check=False,
                      timeout=300, env={**os.environ, "SOAK_EVERY": "0.2"})
result = json.loads(done.stdout)
problems = [text for text in result["problems"] if not text.startswith("resident ")]
assert not problems, problems
assert result["events_received"] == result["events_routed"] == result["events_matched"] > 30000, result
assert result["streams_opened"] > 12, result  # ten gateways, and one that has come again
print(f"{result['samples']} samples, {result['streams_opened']} streams, {result['subscribes']} subscribes")
