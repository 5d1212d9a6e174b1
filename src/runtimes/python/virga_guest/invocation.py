"""One invocation as the guest sees it: its request as it arrives, its deadline and cancellation, its credits.

    collecting ──END of the request──▶ submitted ──worker──▶ running ──last frame of the answer──▶ ended

The reader thread adds body, credits and cancellation; the worker takes credits and waits for them. `current` says which
invocation a thread or task works for; logs.py attributes records by it.
"""

import time
from _thread import allocate_lock
from contextvars import ContextVar

from . import frames

current = ContextVar("virga_invocation", default=None)

_lock = allocate_lock()


class Cancelled(Exception):
    """Nobody wants the rest of the answer."""


class Cancellation:
    """Set once the client has left or the deadline has passed. Looks like a threading.Event that only Virga sets."""

    __slots__ = ("_set", "_event", "_ends")

    def __init__(self, ends):
        self._set = False
        self._event = None
        self._ends = ends

    def is_set(self):
        return self._set or time.monotonic() >= self._ends

    __bool__ = is_set

    def wait(self, timeout=None):
        """Waits until it is set, at most `timeout` seconds. Says whether it is."""
        import threading

        with _lock:
            if self._event is None:
                self._event = threading.Event()
                if self._set:
                    self._event.set()
        left = max(0.0, self._ends - time.monotonic())
        self._event.wait(left if timeout is None else min(timeout, left))
        return self.is_set()

    def _cancel(self):
        with _lock:
            self._set = True
            event = self._event
        if event is not None:
            event.set()


class Invocation:
    __slots__ = (
        "stream", "meta", "body", "arrived_ns", "timeout_ms", "ends", "deadline", "cancellation", "submitted", "abandoned",
        "headed", "ended", "partial", "dropped", "is_replay", "_pieces", "_credit", "_wake", "_when_abandoned",
    )  # fmt: skip

    def __init__(self, stream, timeout_ms, meta, body):
        self.stream = stream
        self.meta = meta
        self.body = body
        self.arrived_ns = time.perf_counter_ns()
        # Deadline on the monotonic clock, and for people.
        self.ends = time.monotonic() + timeout_ms / 1000
        self.deadline = time.time() + timeout_ms / 1000
        self.cancellation = Cancellation(self.ends)
        # The request has arrived whole and is a worker's.
        self.submitted = False
        # The engine said CANCEL.
        self.abandoned = False
        # A RESPONSE has been sent; the last frame has been sent.
        self.headed = False
        self.ended = False
        # For logs.py: unfinished lines of stdout and stderr, and the count of dropped records.
        self.partial = {}
        self.dropped = 0
        # Of a workflow: says whether the present line of code was run before, and what it logs was logged.
        self.is_replay = None
        self._when_abandoned = None
        self._pieces = None
        self._credit = frames.CREDIT_WINDOW
        self._wake = None

    def add_body(self, piece):
        if self._pieces is None:
            self._pieces = [self.body]
        self._pieces.append(piece)

    def complete(self):
        """The request has arrived whole."""
        self.submitted = True
        if self._pieces is not None:
            self.body = b"".join(self._pieces)
            self._pieces = None

    def abandon(self):
        with _lock:
            self.abandoned = True
            wake, self._wake = self._wake, None
        self.cancellation._cancel()
        if self._when_abandoned is not None:
            self._when_abandoned()
        if wake is not None:
            wake()

    def when_abandoned(self, told):
        """Called once, perhaps at once, perhaps from the reader thread; one at most."""
        with _lock:
            if not self.abandoned:
                self._when_abandoned = told
                return
        told()

    def grant(self, bytes):
        with _lock:
            self._credit += bytes
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def take_credit(self, wanted):
        """How many of the wanted bytes may be sent now; they count as sent. Raises Cancelled."""
        with _lock:
            if self.abandoned:
                raise Cancelled()
            taken = min(wanted, self._credit)
            self._credit -= taken
            return taken

    def when_credited(self, wake):
        """Calls `wake` once there is credit, or no more need of it; perhaps at once, perhaps from the reader thread."""
        with _lock:
            if self._credit <= 0 and not self.abandoned:
                self._wake = wake
                return
        wake()

    def wait_for_credit(self):
        gate = allocate_lock()
        gate.acquire()
        self.when_credited(gate.release)
        gate.acquire()

    def elapsed_us(self):
        return (time.perf_counter_ns() - self.arrived_ns) // 1000
