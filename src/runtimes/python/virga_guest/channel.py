"""The sending end of fd 3: whole frames, from any thread, in the order of the calls.

Invariant: frames never interleave, also not when a signal handler or a finaliser logs in the midst of a send of its
own thread (its frame follows the one under way), and never in a child that the function forked (which has no say on
the channel: what would send ends it, and its logs go to stderr). A blocked write is the backpressure for everything.
"""

import os
from _thread import RLock

from . import frames


class Channel:
    def __init__(self, fd):
        self.fd = fd
        # False in a forked child.
        self.mine = True
        self._lock = RLock()
        self._sending = False
        self._late = []
        os.register_at_fork(after_in_child=self._forked)

    def send(self, *parts):
        """Writes one or more frames, given as their consecutive parts."""
        with self._lock:
            if self._sending:
                # Reentered by this very thread: the lock keeps the others out.
                self._late.append(parts)
                return
            self._sending = True
            try:
                self._write(parts)
                while self._late:
                    self._write(self._late.pop(0))
            finally:
                self._sending = False

    def send_json(self, type, value, stream=0, flags=0):
        payload = frames.to_json(value).encode()
        self.send(frames.header(type, len(payload), stream, flags), payload)

    def _write(self, parts):
        if not self.mine:
            os._exit(0)
        try:
            written = os.writev(self.fd, parts)
            missing = sum(map(len, parts)) - written
            if missing:
                rest = memoryview(b"".join(parts))
                while missing:
                    missing -= os.write(self.fd, rest[-missing:])
        except OSError:
            # The engine is gone, and with it whoever might want an answer.
            os._exit(0)

    def _forked(self):
        self.mine = False
        self._lock = RLock()
        self._sending = False
