"""Makes a parcel of each order that was paid; the warehouse takes it from the queue `packing`."""

import json


def handler(event, context):
    for message in event["data"]["messages"]:
        order = json.loads(message["body"])
        parcel = {"order": order["id"], "customer": order["customer"], "items": order["items"]}
        context.queue("packing").send(parcel, deduplication_id=order["id"])
