"""What the handler of a workflow gets as its second argument: what every handler has, and steps.

Of an `async` handler each is awaited; of any other it blocks (sync.py). Names are as in Node, spelt as Python does.
"""

import asyncio
import contextvars
import json
import uuid
from datetime import datetime, timezone

from ..context import Context
from .sync import SyncSteps
from .values import FatalError, duration_ms
from .wake_up import place


class Run:
    def __init__(self, id, version, started_at):
        self.id = id
        self.version = version
        self.started_at = started_at


class WorkflowContext(Context):
    __slots__ = ()

    def __init__(self, init, invocation, wake_up):
        super().__init__(init, invocation)
        self._wake_up = wake_up
        started = datetime.fromtimestamp(wake_up.run["startedAt"] / 1000, timezone.utc)
        self.run = Run(wake_up.run["id"], init["version"], started)

    def fatal(self, message):
        """An exception that no further attempt of its step is worth: raise context.fatal("…")."""
        return FatalError(message)

    def now(self):
        """When the last step before ended, in UTC: the same in each replay, as the next two."""
        return datetime.fromtimestamp(self._scope().now / 1000, timezone.utc)

    def random(self):
        return int.from_bytes(self._scope().draw()[:6], "big") / 2**48

    def uuid(self):
        return str(uuid.UUID(bytes=self._scope().draw()[:16], version=4))

    def _scope(self):
        here = place.get()
        return here[1] if here is not None and here[0] is self._wake_up else self._wake_up.root


class AsyncWorkflowContext(WorkflowContext):
    __slots__ = ()

    async def step(self, name, work, retry=None, timeout=None):
        """Runs it once; in every replay its result is there at once. `work` may be `async`; it may take the attempt."""
        if not callable(work):
            raise TypeError("the step '%s' has no function: step(name, lambda: …)" % (name,))
        wake_up, scope = self._wake_up, self._scope()

        async def run(attempt):
            place.set((wake_up, _inside(scope, name)))
            result = work(attempt) if takes_argument(work) else work()
            return await result if hasattr(result, "__await__") else result

        return await wake_up.step(scope, name, run, {"retry": retry, "timeout": timeout})

    async def sleep(self, duration):
        await self._wake_up.sleep(self._scope(), {"forMs": duration_ms(duration, "the duration of a sleep")})

    async def sleep_until(self, time):
        await self._wake_up.sleep(self._scope(), {"until": unix_ms(time)})

    async def wait_for_event(self, name, timeout=None, match=None, event=None):
        """The event, a dict with id, name, data and at; None: it did not come in time.

        `event`: one that is published to the project, of this type; it stands in the dict as `event`.
        """
        return with_data(await self._wake_up.wait(self._scope(), name, *wait_of(name, timeout, match), event))

    async def parallel(self, branches):
        """Runs the branches (functions, `async` or not) at the same time; their results, or the exception of the first that failed."""
        wake_up, outer = self._wake_up, self._scope()
        branches = checked(branches)
        scopes = outer.branches(len(branches))

        def task_of(branch, scope):
            place.set((wake_up, scope))

            async def run():
                result = branch()
                return await result if hasattr(result, "__await__") else result

            return wake_up.loop.create_task(run())

        tasks = [contextvars.copy_context().run(task_of, branch, scope) for branch, scope in zip(branches, scopes)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        outer.now = max([outer.now] + [scope.now for scope in scopes])
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return list(results)


class SyncWorkflowContext(WorkflowContext):
    __slots__ = ()

    def __init__(self, init, invocation, wake_up):
        super().__init__(init, invocation, wake_up)
        self._steps = SyncSteps(wake_up)

    def step(self, name, work, retry=None, timeout=None):
        """Runs it once; in every replay its result is there at once. It may take the attempt."""
        if not callable(work):
            raise TypeError("the step '%s' has no function: step(name, lambda: …)" % (name,))
        scope = self._scope()
        call = (lambda attempt: work(attempt)) if takes_argument(work) else (lambda attempt: work())
        return self._steps.step(scope, _inside(scope, name), name, call, {"retry": retry, "timeout": timeout})

    def sleep(self, duration):
        until = {"forMs": duration_ms(duration, "the duration of a sleep")}
        scope = self._scope()
        self._steps.wait(lambda wake_up: wake_up.sleep(scope, until))

    def sleep_until(self, time):
        until = {"until": unix_ms(time)}
        scope = self._scope()
        self._steps.wait(lambda wake_up: wake_up.sleep(scope, until))

    def wait_for_event(self, name, timeout=None, match=None, event=None):
        """The event, a dict with id, name, data and at; None: it did not come in time.

        `event`: one that is published to the project, of this type; it stands in the dict as `event`.
        """
        scope, how = self._scope(), wait_of(name, timeout, match)
        return with_data(self._steps.wait(lambda wake_up: wake_up.wait(scope, name, *how, event)))

    def parallel(self, branches):
        """Runs the branches at the same time, each on a thread of its own; their results, or the exception of the first that failed."""
        outer = self._scope()
        return self._steps.parallel(outer, checked(branches))


def _inside(scope, name):
    from .history import Scope

    return Scope(scope.path, scope.now, "", str(name))


def takes_argument(work):
    """Whether it asks for the attempt: its first parameter has no default."""
    code = getattr(work, "__code__", None)
    bound = 0
    if code is None and hasattr(work, "__func__"):
        code, bound, work = work.__func__.__code__, 1, work.__func__
    if code is None:
        return False
    return code.co_argcount - bound - len(work.__defaults__ or ()) > 0


def wait_of(name, timeout, match):
    for_ms = None if timeout is None else duration_ms(timeout, "the timeout of the wait for '%s'" % name)
    return for_ms, b"" if match is None else json.dumps(match).encode()


def with_data(came):
    return came if came is None or "event" not in came else dict(came, data=came["event"].get("data"))


def unix_ms(time):
    """Of a datetime (without a zone: in UTC), a text of ISO 8601, or Unix seconds."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        raise TypeError("%r is no time to sleep until; give a datetime, a text of ISO 8601 or Unix seconds" % (time,))
    return round(time * 1000)


def checked(branches):
    branches = list(branches)
    if not all(callable(branch) for branch in branches):
        raise TypeError("parallel takes a list of functions: parallel([lambda: …, lambda: …])")
    return branches
