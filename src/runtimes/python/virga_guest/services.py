"""What a function asks of its node over fd 3 (SERVICE and SERVED frames): the WebSockets of its project, publishing (publishing.py).

It needs no network, so it works with any egress. Each call blocks its thread until it is answered; async code calls it
through asyncio.to_thread. Invariant: every request is answered once, on the reader thread. Made by instance.py; functions
reach it as context.connections.
"""

import json
from collections import deque
from _thread import allocate_lock

from . import frames


# Half of what a node takes: the other is for calls that are refused.
PATIENT_MAX = 128


class ServiceError(Exception):
    """`code` is of Virga's error table, e.g. connection_not_found."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Services:
    def __init__(self, channel):
        self._channel = channel
        self._lock = allocate_lock()
        self._waiting = {}
        self._last = 0
        # Those that are patient: at the node, and in line.
        self._patient = 0
        self._later = deque()

    def call(self, request, data=b"", patient=False):
        gate = allocate_lock()
        gate.acquire()
        answer = []

        def answered(value, error):
            answer.extend((value, error))
            gate.release()

        self.begin(request, data, answered, patient)
        gate.acquire()
        value, error = answer
        if error is not None:
            raise error
        return value

    def begin(self, request, data, answered, patient=False):
        """Without waiting: `answered(value, error)` is called on the reader thread.

        `patient`: where many are without an answer it waits for its turn, in order, instead of being refused by the node.
        """
        head = frames.to_json(request).encode()
        length = 4 + len(head) + len(data)
        if length > frames.FRAME_PAYLOAD_MAX - frames.HEADER_BYTES:
            raise ServiceError("request_too_large", "%d bytes are more than a function sends at once; less than 1 MiB goes" % len(data))
        with self._lock:
            if patient and self._patient >= PATIENT_MAX:
                self._later.append((head, data, answered))
                return
            self._patient += patient
        self._send(head, data, answered, patient)

    def _send(self, head, data, answered, patient):
        with self._lock:
            while True:
                self._last = (self._last + 1) & 0x7FFF_FFFF
                if self._last not in self._waiting:
                    break
            arg = self._last
            self._waiting[arg] = answered, patient
        length = 4 + len(head) + len(data)
        self._channel.send(frames.header(frames.SERVICE, length, 0, 0, arg), len(head).to_bytes(4, "little"), head, data)

    def served(self, arg, payload):
        with self._lock:
            answered, patient = self._waiting.pop(arg, (None, False))
            # The place of this one is that of the next.
            following = self._later.popleft() if patient and self._later else None
            if following is None:
                self._patient -= patient
        if following is not None:
            self._send(*following, True)
        if answered is None:
            return
        answer = json.loads(payload)
        if "error" in answer:
            answered(None, ServiceError(answer["error"]["code"], answer["error"]["message"]))
        else:
            answered(answer["value"], None)


class Connections:
    """The WebSockets of the function's own project."""

    def __init__(self, services):
        self._call = services.call

    def send(self, id, data):
        """A text message of a str, a binary one of bytes."""
        binary, data = _message(data)
        self._call({"op": "connections.send", "id": id, "binary": binary}, data)

    def broadcast(self, group, data, except_id=None):
        """To all members of a group (None: to all connections of the project); how many were sent it."""
        binary, data = _message(data)
        request = {"op": "connections.broadcast", "group": group, "binary": binary}
        if except_id is not None:
            request["except"] = except_id
        return self._call(request, data)["sent"]

    def close(self, id, code=1000, reason=""):
        self._call({"op": "connections.close", "id": id, "code": code, "reason": reason})

    def join(self, id, group):
        self._call({"op": "connections.join", "id": id, "group": group})

    def leave(self, id, group):
        self._call({"op": "connections.leave", "id": id, "group": group})


def _message(data):
    if isinstance(data, str):
        return False, data.encode("utf-8", "replace")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return True, bytes(data)
    raise TypeError("a message is str or bytes, not %s: use json.dumps" % type(data).__name__)
