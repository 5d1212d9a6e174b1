"""How a handler without `async` waits: its threads block, while the wake-up itself runs on an event loop of its own thread.

Invariant: the function of a step runs on the thread that asked for it; `handlers` of the wake-up is how many threads run the
handler's own code, and nothing is decided while one does. When the wake-up is over, each thread that waits is unwound by
Suspended, which no `except Exception` catches.
"""

import contextvars
from _queue import SimpleQueue
from _thread import start_new_thread

from .wake_up import place


class Suspended(BaseException):
    """The wake-up is over: the handler goes on in another, from its beginning."""


class SyncSteps:
    def __init__(self, wake_up):
        self._wake_up = wake_up
        self._loop = wake_up.loop

    def wait(self, ask):
        """What `ask(wake_up)`, called on the loop, gives a future of."""
        return self._until(lambda inbox: self._watch(inbox, ask))

    def step(self, scope, inside, name, work, options):
        def ask(inbox):
            async def run(attempt):
                done = self._loop.create_future()
                inbox.put(("run", lambda: work(attempt), done))
                return await done

            self._watch(inbox, lambda wake_up: wake_up.step(scope, name, run, options))

        return self._until(ask, inside)

    def parallel(self, outer, branches):
        wake_up = self._wake_up
        scopes = outer.branches(len(branches))
        inbox, outcomes = SimpleQueue(), [None] * len(branches)

        def run(at):
            place.set((wake_up, scopes[at]))
            try:
                outcomes[at] = (branches[at](), None)
            except BaseException as error:
                outcomes[at] = (None, error)
            # The last of them hands its turn over to the one that waits for all.
            inbox.put(at)

        def begin():
            wake_up.handlers += len(branches)

        if branches:
            self._on_loop(begin)
            for at in range(len(branches)):
                start_new_thread(contextvars.copy_context().run, (run, at))
            self._leave()
            for left in range(len(branches), 0, -1):
                inbox.get()
                if left > 1:
                    self._leave()
        outer.now = max([outer.now] + [scope.now for scope in scopes])
        for _, error in outcomes:
            if isinstance(error, Suspended):
                raise error
        for _, error in outcomes:
            if error is not None:
                raise error
        return [value for value, _ in outcomes]

    def _until(self, ask, inside=None):
        inbox = SimpleQueue()
        self._loop.call_soon_threadsafe(self._asked, ask, inbox)
        while True:
            kind, value, done = inbox.get()
            if kind == "run":
                self._run(value, done, inside)
            elif kind == "value":
                return value
            elif kind == "error":
                raise value
            else:
                raise Suspended()

    def _asked(self, ask, inbox):
        """On the loop: this thread waits from now on."""
        wake_up = self._wake_up
        wake_up.handlers -= 1
        if wake_up.ending.done():
            inbox.put(("over", None, None))
            return
        try:
            ask(inbox)
        except Exception as error:
            wake_up.handlers += 1
            inbox.put(("error", error, None))
        wake_up.turn()

    def _watch(self, inbox, ask):
        wake_up = self._wake_up
        future = ask(wake_up)

        def told(_):
            if future.cancelled():
                return
            wake_up.handlers += 1
            error = future.exception()
            inbox.put(("value", future.result(), None) if error is None else ("error", error, None))

        def over(_):
            if not future.done():
                future.cancel()
                inbox.put(("over", None, None))

        future.add_done_callback(told)
        wake_up.ending.add_done_callback(over)

    def _run(self, work, done, inside):
        """The function of a step, on this thread."""
        before = place.get()
        place.set((self._wake_up, inside))
        result = error = None
        try:
            result = work()
        except Exception as raised:
            error = raised
        finally:
            place.set(before)

        def tell():
            if done.done():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(tell)

    def _leave(self):
        self._loop.call_soon_threadsafe(self._left)

    def _left(self):
        self._wake_up.handlers -= 1
        self._wake_up.turn()

    def _on_loop(self, work):
        gate = SimpleQueue()
        self._loop.call_soon_threadsafe(lambda: (work(), gate.put(None)))
        gate.get()
