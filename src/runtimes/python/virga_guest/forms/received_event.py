"""A payload as the CloudEvent that its media type says it is.

Invariant: what code behind this reads of Virga's own events is there and of the right type; anybody may send one by hand, and what
is wrong with it is said by its place, as in the Node guest (runtimes/node/forms/received-event.ts). Called by the forms.
"""

import json

from ..failures import BadRequest

_STRING = ("a string", str)
_NUMBER = ("a number", (int, float))
_DICT = ("an object", dict)
_OBJECT = {"bucket": _STRING, "key": _STRING, "bytes": _NUMBER, "etag": _STRING}
_QUEUE = "virga.queue.batch"
_TABLE = "virga.table.changed"
_NEEDED = {
    _QUEUE: {"queue": _STRING},
    "virga.topic.message": {"topic": _STRING, "id": _STRING, "body": _STRING, "attributes": _DICT, "sentAt": _NUMBER},
    "virga.storage.object.created": _OBJECT,
    "virga.storage.object.removed": _OBJECT,
    "virga.schedule.due": {"schedule": _STRING, "cron": _STRING, "dueAt": _NUMBER},
    _TABLE: {"table": _STRING},
}
# Of each in a list of `data`.
_LISTED = {
    _QUEUE: ("messages", {"id": _STRING, "body": _STRING, "attributes": _DICT, "attempt": _NUMBER, "sentAt": _NUMBER}),
    _TABLE: ("changes", {"id": _STRING, "operation": _STRING, "keys": _DICT, "at": _NUMBER, "sequence": _STRING}),
}
_PROBLEMS_MAX = 8


def received_event(body):
    try:
        event = json.loads(body)
    except ValueError as error:
        raise BadRequest("the payload is not valid JSON: %s" % error) from None
    required = ("id", "source", "type")
    if not isinstance(event, dict) or event.get("specversion") != "1.0" or not all(isinstance(event.get(name), str) for name in required):
        raise BadRequest(
            'the payload is no CloudEvent: it needs specversion "1.0", id, source and type; send any other JSON as application/json'
        )
    return complete(event)


def complete(event):
    """The event, if all that is read of it is there; any of another's type is."""
    problems = _problems_of(event)
    if problems:
        raise BadRequest("the event '%s' of type %s lacks %s" % (event["id"], event["type"], ", ".join(problems)))
    return event


def _problems_of(event):
    needed = _NEEDED.get(event["type"])
    # An object that is written may be told by its content alone.
    if needed is None or (needed is _OBJECT and "data" not in event and "data_base64" in event):
        return []
    data = event.get("data")
    problems = _lacking(data, needed, "data")
    if event["type"] not in _LISTED:
        return problems
    name, of = _LISTED[event["type"]]
    listed = data.get(name) if isinstance(data, dict) else None
    if not isinstance(listed, list):
        return problems + ["data.%s (a list)" % name]
    for at, one in enumerate(listed):
        problems += _lacking(one, of, "data.%s[%d]" % (name, at))
    return problems[:_PROBLEMS_MAX]


def _lacking(value, needed, place):
    fields = value if isinstance(value, dict) else {}
    return [
        "%s.%s (%s)" % (place, name, kind)
        for name, (kind, types) in needed.items()
        if not isinstance(fields.get(name), types) or isinstance(fields.get(name), bool)
    ]
