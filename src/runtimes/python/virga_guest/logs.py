"""What the function says becomes LOG frames: print, logging, warnings, uncaught errors of its threads.

A record belongs to the invocation that `current` names; where it names none (a thread of the user's own) to the one
that runs, if only one can (`LogGate.running`); else to stream 0. What one print or one log call writes is one record,
inner newlines kept, while it fits into LOG_LINE_MAX; longer text becomes a record a line, and longer lines are cut.
Invariant: at most logBytesPerSecond leave (burst: ten times as much); the rest is counted, the count is logged, and
costs under 1 µs a record, so a tight loop of prints neither stalls nor grows.
"""

import io
import sys
import time
from _thread import RLock, get_ident

from . import frames
from .invocation import current

BURST_SECONDS = 10
# An empty bucket stays shut for this long, so that what is dropped is one gap and not every other record.
_SHUT_SECONDS = 0.1
# Unfinished lines that one invocation may have.
_PARTIAL_MAX = 64
_CUT = "… (cut)".encode()

_own_folder = __file__.rpartition("/")[0]
# Python's own, once `install` has put another in its place.
plain_basic_config = None


class Outside:
    """Stands for the invocation where there is none."""

    stream = 0
    ended = False
    is_replay = None

    def __init__(self):
        self.partial = {}
        self.dropped = 0


class LogGate:
    """The token bucket on the way to the channel."""

    def __init__(self, channel, bytes_per_second=1024 * 1024):
        self.outside = Outside()
        # With concurrency 1: the invocation that runs.
        self.running = None
        self._channel = channel
        self._lock = RLock()
        self._at = time.monotonic()
        self._shut_until = 0.0
        self.set_rate(bytes_per_second)

    def set_rate(self, bytes_per_second):
        self._rate = max(1, bytes_per_second)
        self._tokens = self._burst = self._rate * BURST_SECONDS

    def speaker(self):
        """The invocation that a record of this thread belongs to."""
        invocation = current.get() or self.running
        return self.outside if invocation is None or invocation.ended else invocation

    def emit(self, speaker, level, text):
        if not self._channel.mine:
            return _to_stderr(text)
        if speaker.is_replay is not None and speaker.is_replay():
            return
        with self._lock:
            now = time.monotonic()
            if now < self._shut_until:
                speaker.dropped += 1
                return
            payload = _cut(text)
            cost = len(payload) + frames.HEADER_BYTES
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if cost > self._tokens:
                speaker.dropped += 1
                self._shut_until = now + max(_SHUT_SECONDS, min(BURST_SECONDS, cost / self._rate))
                return
            self._tokens -= cost
        if speaker.dropped:
            self.report_dropped(speaker)
        self._channel.send(frames.header(frames.LOG, len(payload), speaker.stream, 0, level), payload)

    def report_dropped(self, speaker):
        count, speaker.dropped = speaker.dropped, 0
        text = "%d log record%s dropped: an instance may log %d bytes a second" % (count, "" if count == 1 else "s", self._rate)
        payload = text.encode()
        self._channel.send(frames.header(frames.LOG, len(payload), speaker.stream, 0, frames.WARN), payload)

    def settle(self, speaker):
        """Sends what is unfinished. Called at the end of an invocation and of the process."""
        for key in list(speaker.partial):
            kept = speaker.partial.pop(key, None)
            if kept:
                self.emit(speaker, frames.FAULT if key % 4 == 2 else frames.INFO, kept)
        if speaker.dropped:
            self.report_dropped(speaker)


def _cut(text):
    if len(text) > frames.LOG_LINE_MAX:
        text = text[: frames.LOG_LINE_MAX]
        payload = text.encode("utf-8", "replace") + b"."
    else:
        payload = text.encode("utf-8", "replace")
    if len(payload) <= frames.LOG_LINE_MAX:
        return payload
    # Whole characters only.
    return payload[: frames.LOG_LINE_MAX - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT


def _to_stderr(text):
    """In a forked child, which has no channel."""
    import os

    os.write(2, text.encode("utf-8", "replace") + b"\n")


class LogStream(io.TextIOBase):
    """Takes the place of sys.stdout and sys.stderr. Unfinished lines are kept apart by invocation and thread."""

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    line_buffering = True

    def __init__(self, gate, level, fd, name):
        self._gate = gate
        self._level = level
        self._fd = fd
        self.name = name
        self.mode = "w"
        self.buffer = LogBytes(self)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        speaker = self._gate.speaker()
        partial = speaker.partial
        # Needs no lock: nobody else writes under this key.
        key = get_ident() * 4 + self._fd
        # None: nothing is kept back. "": the line so far was sent for its length, and only its end is to come.
        kept = partial.pop(key, None)
        if text[-1:] == "\n":
            if kept is None:
                self._records(speaker, text[:-1])
            elif kept or text != "\n":
                self._records(speaker, kept + text[:-1])
        elif text or kept is not None:
            whole = text if kept is None else kept + text
            if len(whole) > frames.LOG_LINE_MAX:
                self._records(speaker, whole)
                whole = ""
            partial[key] = whole
            if len(partial) > _PARTIAL_MAX:
                # Left by threads that are no more.
                self._gate.settle(speaker)
        return len(text)

    def _records(self, speaker, text):
        if len(text) <= frames.LOG_LINE_MAX:
            return self._gate.emit(speaker, self._level, text)
        start = 0
        while start < len(text):
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            self._gate.emit(speaker, self._level, text[start : min(end, start + frames.LOG_LINE_MAX + 1)])
            start = end + 1

    def flush(self):
        speaker = self._gate.speaker()
        kept = speaker.partial.pop(get_ident() * 4 + self._fd, None)
        if kept:
            self._records(speaker, kept)

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        """The real one, for programs that are given this stream: what they write is output of the sandbox."""
        return self._fd

    def reconfigure(self, **_):
        """Encoding and buffering are what they are."""

    def close(self):
        """Stays open: the next invocation needs it."""


class LogBytes(io.RawIOBase):
    """sys.stdout.buffer: bytes, taken as UTF-8."""

    def __init__(self, text):
        self._text = text

    def write(self, data):
        data = bytes(data)
        self._text.write(data.decode("utf-8", "replace"))
        return len(data)

    def writable(self):
        return True

    def fileno(self):
        return self._text.fileno()

    def flush(self):
        self._text.flush()

    def close(self):
        pass


def install(gate):
    sys.stdout = LogStream(gate, frames.INFO, 1, "<stdout>")
    sys.stderr = LogStream(gate, frames.FAULT, 2, "<stderr>")
    _install_logging(gate)
    _install_thread_hook(gate)


def _install_logging(gate):
    import logging

    class VirgaHandler(logging.Handler):
        def emit(self, record):
            try:
                text = self.format(record)
                if self.formatter is None and record.name not in ("root", "virga", "py.warnings"):
                    text = record.name + ": " + text
                level = record.levelno
                grade = frames.FAULT if level >= 40 else frames.WARN if level >= 30 else frames.INFO if level >= 20 else frames.DEBUG
                gate.emit(gate.speaker(), grade, text.rstrip("\n"))
            except Exception:
                self.handleError(record)

    ours = VirgaHandler()
    logging.root.addHandler(ours)
    logging.root.setLevel(logging.INFO)
    logging.getLogger("virga").setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    global plain_basic_config
    plain = plain_basic_config = logging.basicConfig

    def basicConfig(**options):
        """logging.basicConfig, which does nothing once there is a handler: level and format apply to Virga's."""
        if logging.root.handlers != [ours] or not set(options) <= {"level", "format", "datefmt", "style", "encoding", "errors"}:
            return plain(**options)
        if options.get("format") is not None:
            ours.setFormatter(logging.Formatter(options["format"], options.get("datefmt"), options.get("style", "%")))
        if options.get("level") is not None:
            logging.root.setLevel(options["level"])

    logging.basicConfig = basicConfig


def _install_thread_hook(gate):
    import threading

    from .failures import stack_of

    def excepthook(failed):
        if failed.exc_type is not SystemExit:
            name = failed.thread.name if failed.thread is not None else "?"
            gate.emit(gate.speaker(), frames.FAULT, "in thread %s: %s" % (name, stack_of(failed.exc_value)))

    threading.excepthook = excepthook
