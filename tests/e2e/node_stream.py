"""A gateway's stream whose gRPC and protobuf are grpc-js's, with the verbs of peers.Stream."""

import json
import os
import queue
import threading

import grpc
import peers
from google.protobuf import json_format
from peers import streamer_pb2


class Child(peers.Process):
    """Gives each line of its stdout away as it comes."""

    def __init__(self, arguments, take):
        self.take = take
        super().__init__(arguments)

    def read(self, name, pipe):
        if name != "out":
            super().read(name, pipe)
            return
        for line in pipe:
            self.take(json.loads(line))


class NodeStream(peers.Stream):
    def __init__(self, address):  # pylint: disable=super-init-not-called
        self.messages = queue.Queue()
        self.status = None
        self.ended = threading.Event()
        self.child = Child(["node", os.path.join(peers.HERE, "stream.js"), address], self.take)

    def take(self, item):
        if "status" in item:
            self.status = grpc.StatusCode[item["status"]]
            self.ended.set()
            self.messages.put(None)
        else:
            self.messages.put(json_format.ParseDict(item["message"],
                                                    streamer_pb2.StreamerMessage()))

    def send(self, message):
        self.child.say(json_format.MessageToJson(message, preserving_proto_field_name=True,
                                                 indent=None))

    def cancel(self):
        self.child.stop()
