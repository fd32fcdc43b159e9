#!/usr/bin/python3
"""The sections of test_expressions.py, with a gateway made of grpc-js."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
from node_stream import NodeStream  # noqa: E402
from test_expressions import Expressions  # noqa: E402


class ExpressionsOverNode(Expressions):
    def __init__(self):
        super().__init__()
        self.streams = []

    def stream(self, *first):
        stream = NodeStream(self.address)
        for message in first:
            stream.send(message)
        self.streams.append(stream)
        return stream

    def run(self):
        status = super().run()
        for stream in self.streams:
            stream.cancel()
        return status


if __name__ == "__main__":
    peers.run(lambda: ExpressionsOverNode().run())
