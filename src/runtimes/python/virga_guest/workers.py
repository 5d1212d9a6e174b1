"""Who runs the handler. Each has submit(invocation), called by the reader thread, and run(), called on the main thread
(where libraries and signals expect to be), which returns once finish() was called and all that was submitted has ended.

    MainThread   concurrency 1             one after the other
    Threads      concurrency > 1           each on a thread of a bounded pool
    EventLoop    `async def`, any number   tasks of one asyncio loop

Invariant: every invocation starts from the context variables that loading left behind, so none sees what another set,
and nothing a handler raises gets further than its own ERROR, but SystemExit: a handler that calls sys.exit() ends the
process, which the engine sees as a crash. A MemoryError is an ERROR like others: what asked for too much did not get
it, and the rest of the process is sound; at the memory limit itself the kernel kills, and nothing here runs.
"""

import contextvars
import os
import sys
from _queue import SimpleQueue
from _thread import allocate_lock, start_new_thread

from .invocation import current

_CO_COROUTINE = 0x80


def worker_for(init, loaded, gate, reply):
    if is_async(loaded.handler):
        return EventLoop(init, loaded, gate, reply)
    if init["concurrency"] == 1:
        return MainThread(init, loaded, gate, reply)
    return Threads(init, loaded, gate, reply)


def is_async(handler):
    """Whether a call gives a coroutine, as far as can be seen without calling. (`inspect` would cost 10 ms to import.)"""
    while hasattr(handler, "func") and hasattr(handler, "keywords"):  # functools.partial
        handler = handler.func
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", None) or getattr(type(handler), "__call__", None)
    code = getattr(handler, "__code__", None)
    return code is not None and bool(code.co_flags & _CO_COROUTINE)


def is_wake_up(meta):
    return meta["kind"] == "event" and meta["trigger"] == "workflow"


class _Worker:
    def __init__(self, init, loaded, gate, reply):
        self._init = init
        self._form = loaded.form
        self._handler = loaded.handler
        self._gate = gate
        self._reply = reply
        self._variables = contextvars.copy_context()
        self._loop = None
        self._loop_lock = allocate_lock()

    def _serve(self, invocation):
        """Runs the handler and sends its answer, on this thread."""
        current.set(invocation)
        try:
            meta = invocation.meta
            form = self._form
            if is_wake_up(meta):
                from .workflow.serving import serve_sync

                return self._reply.send(invocation, serve_sync(self._handler, self._init, invocation, self._on_loop))
            event = form.event_of(meta, invocation.body)
            result = self._handler(event, form.context_of(invocation))
            if hasattr(result, "__await__"):
                # An async handler in the clothes of another callable.
                self._on_loop(self._answer_later(invocation, event, result))
            else:
                answer = form.answer_of(meta, event, result)
                if hasattr(answer.body, "__anext__"):
                    self._on_loop(self._reply.send_async(invocation, answer))
                else:
                    self._reply.send(invocation, answer)
        except SystemExit as stop:
            self._exit(invocation, stop.code)
        except BaseException as error:
            self._reply.fail(invocation, error)

    async def _answer_later(self, invocation, event, result):
        await self._reply.send_async(invocation, self._form.answer_of(invocation.meta, event, await result))

    def _on_loop(self, coroutine):
        """Runs it on the one event loop, which then has a thread of its own, and waits for its end."""
        import asyncio

        with self._loop_lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                start_new_thread(self._loop.run_forever, ())
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _exit(self, invocation, code):
        self._gate.settle(invocation)
        os.write(2, b"the handler called sys.exit(%s)\n" % ("" if code is None else repr(code)[:500]).encode())
        os._exit(code & 0xFF if isinstance(code, int) else 0 if code is None else 1)


class MainThread(_Worker):
    def __init__(self, *parts):
        super().__init__(*parts)
        self._queue = SimpleQueue()
        self.submit = self._queue.put

    def finish(self):
        self._queue.put(None)

    def run(self):
        while True:
            invocation = self._queue.get()
            if invocation is None:
                return
            self._gate.running = invocation
            self._variables.copy().run(self._serve, invocation)
            self._gate.running = None
            # What waits for the next invocation must not hold on to this one.
            del invocation


class Threads(_Worker):
    def __init__(self, *parts):
        super().__init__(*parts)
        self._queue = SimpleQueue()
        self._lock = allocate_lock()
        self._threads = 0
        self._unfinished = 0
        self._finishing = False
        self._finished = allocate_lock()
        self._finished.acquire()

    def submit(self, invocation):
        with self._lock:
            self._unfinished += 1
            missing = self._unfinished > self._threads and self._threads < self._init["concurrency"]
            if missing:
                self._threads += 1
        if missing:
            try:
                start_new_thread(self._work, ())
            except RuntimeError:
                with self._lock:
                    self._threads -= 1
                    alone = self._threads == 0
                if alone:
                    self._reply.fail(invocation, RuntimeError("no thread could be started for the handler; raise `pids` in virga.yaml"))
                    return self._done()
        self._queue.put(invocation)

    def finish(self):
        with self._lock:
            again, self._finishing = self._finishing, True
            if self._unfinished == 0 and not again:
                self._finished.release()

    def run(self):
        self._finished.acquire()

    def _work(self):
        while True:
            invocation = self._queue.get()
            self._variables.copy().run(self._serve, invocation)
            del invocation
            self._done()

    def _done(self):
        with self._lock:
            self._unfinished -= 1
            if self._finishing and self._unfinished == 0:
                self._finished.release()


class EventLoop(_Worker):
    def __init__(self, *parts):
        super().__init__(*parts)
        import asyncio

        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._tasks = set()
        self._finishing = False

    def submit(self, invocation):
        self._loop.call_soon_threadsafe(self._start, invocation)

    def finish(self):
        self._loop.call_soon_threadsafe(self._finish)

    def run(self):
        loop = self._loop
        try:
            loop.run_forever()
        except SystemExit as stop:
            # asyncio lets it through a task and stops the loop.
            self._exit(self._gate.outside, stop.code)
        loop.run_until_complete(self._cancel_rest())

    def _start(self, invocation):
        task = self._variables.copy().run(self._loop.create_task, self._serve_async(invocation))
        # The loop itself holds tasks but weakly.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task):
        self._tasks.discard(task)
        if self._finishing and not self._tasks:
            self._loop.stop()

    def _finish(self):
        self._finishing = True
        if not self._tasks:
            self._loop.stop()

    async def _cancel_rest(self):
        """What asyncio.run does at its end: tasks that the function left in the background are cancelled."""
        import asyncio

        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    async def _serve_async(self, invocation):
        current.set(invocation)
        try:
            meta = invocation.meta
            form = self._form
            if is_wake_up(meta):
                from .workflow.serving import serve_async

                return await self._reply.send_async(invocation, await serve_async(self._handler, self._init, invocation))
            event = form.event_of(meta, invocation.body)
            result = await self._handler(event, form.context_of(invocation))
            await self._reply.send_async(invocation, form.answer_of(meta, event, result))
        except SystemExit as stop:
            self._exit(invocation, stop.code)
        except BaseException as error:
            self._reply.fail(invocation, error)
