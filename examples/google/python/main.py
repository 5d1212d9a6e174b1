"""Functions as Google's documents have them, in Python: HTTP with Flask's request, CloudEvents, and typed ones."""

import base64
import time
from dataclasses import dataclass

import flask
import functions_framework
from cloudevents.http import CloudEvent


@functions_framework.http
def greet(request: flask.Request):
    body = request.get_json(silent=True) or {}
    name = request.args.get("name") or body.get("name") or "World"
    response = flask.make_response("Hello %s!" % name)
    response.headers["x-path"] = request.path
    response.set_cookie("seen", name, httponly=True)
    return response


@functions_framework.http
def countdown(request):
    start = int(request.args.get("from", "3"))

    def lines():
        for left in range(start, -1, -1):
            yield "data: %d\n\n" % left
            time.sleep(0.02)

    return flask.Response(lines(), mimetype="text/event-stream")


@functions_framework.errorhandler(ZeroDivisionError)
def on_zero(error):
    return "it was %s" % error, 418


@functions_framework.http
def broken(request):
    if request.path == "/zero":
        return str(1 // 0)
    raise RuntimeError("as it should")


@functions_framework.cloud_event
def on_event(cloud_event: CloudEvent) -> None:
    message = (cloud_event.data or {}).get("message")
    text = base64.b64decode(message["data"]).decode() if message else None
    print({"type": cloud_event["type"], "subject": cloud_event.get("subject"), "id": cloud_event["id"], "text": text})
    if text == "poison":
        raise ValueError("this message cannot be handled")


@dataclass
class Order:
    id: int
    total: float = 0.0

    @staticmethod
    def from_dict(fields):
        return Order(int(fields["id"]), float(fields.get("total", 0)))

    def to_dict(self):
        return {"id": self.id, "total": self.total}


@functions_framework.typed
def double(order: Order):
    return Order(order.id, order.total * 2)
