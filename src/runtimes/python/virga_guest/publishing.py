"""What a function sends to its own project: events, messages of queues and topics, records of streams.

Each call blocks its thread until the bus has it on disk; async code calls it through asyncio.to_thread. Functions reach it by
`from virga import publish, queue, topic, stream` and as context.publish, context.queue(…), …. Bodies that are no str travel as
JSON. Raises VirgaError, whose code is of Virga's error table. Made by module.py and the contexts.
"""

import json

from .invocation import current

#: How Python spells the names of the fields.
_FIELDS = {"delay_ms": "delayMs", "deduplication_id": "deduplicationId"}


class Publishing:
    def __init__(self, services):
        self._services = services

    def publish(self, events):
        """One event (a dict, of which only `type` must be there), or a list of them in one step."""
        if isinstance(events, dict):
            return self.publish([events])[0]
        return self._ask(_traced({"op": "events.publish"}), [_without_bytes(event) for event in events])

    def queue(self, name):
        return Queue(lambda messages: self._ask({"op": "queues.send", "queue": name}, messages))

    def topic(self, name):
        return Topic(lambda messages: self._ask(_traced({"op": "topics.publish", "topic": name}), messages))

    def stream(self, name):
        return Stream(lambda records: self._ask({"op": "streams.append", "stream": name}, records))

    def start_workflow(self, workflow, input=None, id=None):
        """A run of a workflow of the project; `id`: of the run, the same starts it once. A dict with id, started, version."""
        return self._services.call(_named({"op": "runs.start", "workflow": workflow}, id), _json(input))

    def send_to_workflow(self, workflow, run, event, data=None, id=None):
        """An event to a run; `id`: of the event, the same is taken once."""
        return self._services.call(_named({"op": "runs.send", "workflow": workflow, "run": run, "event": event}, id), _json(data))

    def _ask(self, request, messages):
        if not messages:
            return []
        return self._services.call(request, _json(messages), patient=True)


def _named(request, id):
    return request if id is None else dict(request, id=id)


def _json(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


class Queue:
    def __init__(self, ask):
        self._ask = ask

    def send(self, body, **options):
        """attributes, delay_ms, group, deduplication_id, id."""
        return self._ask([_fields(dict(options, body=body), "body")])[0]

    def send_batch(self, messages):
        """Dicts with a body; all or none."""
        return self._ask([_fields(message, "body") for message in messages])


class Topic:
    def __init__(self, ask):
        self._ask = ask

    def publish(self, body, **options):
        """subject, attributes, group, deduplication_id, id."""
        return self._ask([_fields(dict(options, body=body), "body")])[0]

    def publish_batch(self, messages):
        return self._ask([_fields(message, "body") for message in messages])


class Stream:
    def __init__(self, ask):
        self._ask = ask

    def append(self, data, **options):
        """key, attributes, id."""
        return self._ask([_fields(dict(options, data=data), "data")])[0]

    def append_batch(self, records):
        return self._ask([_fields(record, "data") for record in records])


def _traced(request):
    """So that whoever gets it goes on in the same trace."""
    invocation = current.get()
    if invocation is not None and invocation.meta.get("trace"):
        request["trace"] = invocation.meta["trace"]
    return request


def _without_bytes(event):
    """Bytes as CloudEvents have them."""
    if not isinstance(event, dict) or not isinstance(event.get("data"), (bytes, bytearray, memoryview)):
        return event
    from base64 import b64encode

    return dict({name: value for name, value in event.items() if name != "data"}, data_base64=b64encode(event["data"]).decode())


def _fields(message, body):
    fields = {_FIELDS.get(name, name): value for name, value in message.items() if value is not None or name == body}
    if body not in fields:
        raise TypeError("a message is a dict with %r" % body)
    if isinstance(fields[body], (bytes, bytearray, memoryview)):
        raise TypeError("a message is a str or JSON; send bytes in base64")
    if not isinstance(fields[body], str):
        fields[body] = json.dumps(fields[body], ensure_ascii=False, allow_nan=False)
    return fields
