"""The life of the process, and who gets which frame.

    booted ──INIT──▶ loading ──READY──▶ serving ──STOP──▶ finishing ──▶ exit 0
                        └──FAILED──▶ exit 1

The main thread loads the code and then lends itself to the worker; a reader thread owns the receiving end of fd 3, so
that cancellation, credits and the end of the engine arrive while a handler runs. Invariant: once fd 3 is at its end the
process is gone at once, endless loops included (within one switch interval of the interpreter, 5 ms; code in C that
never lets go of the interpreter lock is for the launcher, which kills the sandbox). Made by guest.py.
"""

import faulthandler
import gc
import json
import os
import sys
from _queue import SimpleQueue
from _thread import start_new_thread

from . import frames, logs, module
from .channel import Channel
from .failures import guest_error
from .invocation import Cancelled, Invocation
from .loading import load
from .memory import PeakMemory
from .reply import Reply
from .services import Services
from .workers import worker_for


class Instance:
    def __init__(self, fd):
        self._channel = Channel(fd)
        self._gate = logs.LogGate(self._channel)
        self._services = Services(self._channel)
        self._inits = SimpleQueue()
        self._invocations = {}
        self._worker = None
        self._stopping = False
        self._reply = Reply(self._channel, self._gate, PeakMemory(), self._ended)

    def run(self):
        # A crash in C leaves its traceback among the dying words.
        faulthandler.enable(2)
        logs.install(self._gate)
        start_new_thread(self._read, ())
        init = self._inits.get()
        if init is None:
            sys.exit(0)
        self._gate.set_rate(init["logBytesPerSecond"])
        try:
            init["services"] = self._services
            module.install(self._services)
            loaded = load(init)
            self._worker = worker_for(init, loaded, self._gate, self._reply)
        except BaseException as error:
            self._gate.settle(self._gate.outside)
            self._channel.send_json(frames.FAILED, guest_error(error))
            os._exit(1)
        # What is there now stays, and collections of garbage need not look at it: 8 µs now, and each full collection is
        # 1.5 ms shorter with 22,000 objects loaded. Collecting first would cost 2.3 ms on the way to READY.
        gc.freeze()
        ready = {"loadMs": round(loaded.load_ms, 3), "initMs": round(loaded.init_ms, 3), "exports": ["handler"]}
        self._gate.settle(self._gate.outside)
        self._channel.send_json(frames.READY, ready)
        if self._stopping:
            self._worker.finish()
        self._worker.run()
        self._gate.settle(self._gate.outside)
        # From here on the interpreter's own end: non-daemon threads, exit hooks, exit 0.

    def _ended(self, invocation):
        self._invocations.pop(invocation.stream, None)

    def _read(self):
        try:
            for type, flags, stream, arg, payload in frames.read_frames(self._channel.fd):
                if type == frames.REQUEST:
                    self._request(flags, stream, arg, payload)
                elif type == frames.BODY:
                    self._body(flags, stream, payload)
                elif type == frames.CREDIT:
                    if stream in self._invocations:
                        self._invocations[stream].grant(arg)
                elif type == frames.SERVED:
                    self._services.served(arg, payload)
                elif type == frames.CANCEL:
                    self._cancel(stream)
                elif type == frames.INIT:
                    self._inits.put(json.loads(payload))
                elif type == frames.STOP:
                    self._stop()
                else:
                    raise frames.ProtocolError("a frame of type %d" % type)
        except OSError:
            pass
        except BaseException as error:
            os.write(2, b"the guest cannot go on: %s\n" % guest_error(error)["stack"].encode())
            os._exit(70)
        os._exit(0)

    def _request(self, flags, stream, timeout_ms, payload):
        meta, body = frames.split_meta(payload)
        invocation = self._invocations[stream] = Invocation(stream, timeout_ms, meta, body)
        if flags & frames.END:
            invocation.complete()
            self._worker.submit(invocation)
        elif body:
            self._grant(stream, len(body))

    def _body(self, flags, stream, payload):
        invocation = self._invocations.get(stream)
        if invocation is None:
            return
        if payload:
            invocation.add_body(payload)
            self._grant(stream, len(payload))
        if flags & frames.END:
            invocation.complete()
            self._worker.submit(invocation)

    def _grant(self, stream, bytes):
        # The host bounds the size of a request: what it sends is wanted.
        self._channel.send(frames.header(frames.CREDIT, 0, stream, 0, bytes))

    def _cancel(self, stream):
        invocation = self._invocations.get(stream)
        if invocation is None:
            return
        invocation.abandon()
        if not invocation.submitted:
            self._reply.fail(invocation, Cancelled())

    def _stop(self):
        self._stopping = True
        if self._worker is None:
            self._inits.put(None)
        else:
            self._worker.finish()
