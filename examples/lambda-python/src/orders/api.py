"""Orders over HTTP: POST /orders, GET /orders?item=…, GET /orders/{id}, GET /orders/{id}/label (a picture)."""

import base64
import json
import logging
import os

from orders.prices import PRICES, total

logger = logging.getLogger()
logger.setLevel(logging.INFO)

CURRENCY = os.environ["CURRENCY"]
ORDERS = {}


def handler(event, context):
    logger.info("%s for %s", event["routeKey"], context.function_name)
    route = event["routeKey"]
    if route == "POST /orders":
        return create(event, context)
    if route == "GET /orders":
        return find(event)
    order = ORDERS.get(event["pathParameters"]["id"])
    if order is None:
        return answer(404, {"message": "there is no order %s" % event["pathParameters"]["id"]})
    return label(order) if route.endswith("/label") else answer(200, order)


def create(event, context):
    body = event.get("body") or ""
    if event["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    lines = json.loads(body)["lines"]
    unknown = [line["item"] for line in lines if line["item"] not in PRICES]
    if unknown:
        return answer(422, {"message": "not for sale: %s" % ", ".join(unknown)})
    order = {"id": context.aws_request_id, "lines": lines, "total": total(lines), "currency": CURRENCY}
    ORDERS[order["id"]] = order
    made = answer(201, order, location="%s/%s" % (event["rawPath"], order["id"]))
    return {**made, "cookies": ["last-order=%s; Path=/; HttpOnly" % order["id"]]}


def find(event):
    item = (event.get("queryStringParameters") or {}).get("item")
    found = [order for order in ORDERS.values() if item is None or any(line["item"] == item for line in order["lines"])]
    # Without a statusCode the result is the body.
    return {"orders": found, "seen": event.get("cookies", [])}


def label(order):
    """A picture of one pixel for each cent up to 255, as a PGM file."""
    width = min(255, order["total"])
    picture = b"P5 %d 1 255\n" % width + bytes(range(width))
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/x-portable-graymap"},
        "body": base64.b64encode(picture).decode(),
        "isBase64Encoded": True,
    }


def answer(status, body, **headers):
    return {"statusCode": status, "headers": {"content-type": "application/json", **headers}, "body": json.dumps(body)}
