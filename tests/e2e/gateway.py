#!/usr/bin/python3
"""A gateway, made with grpcio, that subscribes as Syntrix's does and records what it gets.

Its one argument is a JSON file {"address", "out", "last_event", "subscriptions": [{"id",
"collection", "database", "filters": [{"field", "op", "value": {"double_value": 1.5}}]}]}. It says
"ready" once every subscription is answered, writes a line of JSON per delivery to "out", and ends
with status 0 at the delivery of "last_event".
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import queue  # noqa: E402

import peers  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from peers import streamer_pb2  # noqa: E402

OPERATIONS = {streamer_pb2.OPERATION_TYPE_INSERT: "INSERT",
              streamer_pb2.OPERATION_TYPE_UPDATE: "UPDATE",
              streamer_pb2.OPERATION_TYPE_DELETE: "DELETE"}


def request(subscription):
    message = peers.subscribe(subscription["id"], subscription["collection"],
                              database=subscription["database"])
    for rule in subscription.get("filters", []):
        made = message.subscribe.filters.add(field=rule["field"], op=rule["op"])
        json_format.ParseDict(rule["value"], made.value)
    return message


def record(delivery):
    event = delivery.event
    return json.dumps({
        "event_id": event.event_id, "ids": list(delivery.subscription_ids),
        "database": event.database, "collection": event.collection,
        "document_id": event.document_id,
        "operation": OPERATIONS.get(event.operation, event.operation),
        "timestamp": event.timestamp, "document_data": event.document_data.decode(),
    }, ensure_ascii=False)


def run(settings):
    requests = queue.Queue()
    call = peers.channel(settings["address"]).stream_stream(
        peers.STREAM, request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=streamer_pb2.StreamerMessage.FromString)(iter(requests.get, None))
    for subscription in settings["subscriptions"]:
        requests.put(request(subscription))
        answer = next(call).subscribe_response
        if not answer.success or answer.subscription_id != subscription["id"]:
            sys.exit(f"{subscription}: {answer}")
    print("ready", flush=True)
    with open(settings["out"], "w", encoding="utf-8") as out:
        for message in call:
            if message.WhichOneof("payload") != "delivery":
                sys.exit(f"not asked for: {message}")
            out.write(record(message.delivery) + "\n")
            if message.delivery.event.event_id == settings["last_event"]:
                break
        else:
            sys.exit("the stream ended before the last event")
    requests.put(None)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as text:
        run(json.load(text))
