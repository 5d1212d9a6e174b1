"""An invocation that wakes a run of a workflow up: reads its history, runs the handler, and tells the node how it ended.

Called by workers.py, for handlers with and without `async`.
"""

import asyncio
import json

from ..answer import JSON, Answer
from ..failures import BadRequest
from .context import AsyncWorkflowContext, SyncWorkflowContext
from .sync import Suspended
from .values import NotKept, json_of, kept_error
from .wake_up import WakeUp, place


async def serve_async(handler, init, invocation):
    """On the loop of the handler: the answer, or what the handler raised."""
    run, ask = await _begin(init, invocation)
    wake_up = _wake_up(run, ask, init, invocation)
    context = AsyncWorkflowContext(init, invocation, wake_up)

    async def handle():
        place.set((wake_up, wake_up.root))
        return await handler(run["input"], context)

    task = wake_up.loop.create_task(handle())
    task.add_done_callback(lambda done: done.cancelled() or wake_up.through(done.exception(), None if done.exception() else done.result()))
    ending = await wake_up.ending
    if not task.done():
        # What is left of it is unwound, and goes on in another wake-up from its beginning.
        task.cancel()
        await asyncio.wait([task])
    return await _tell(run, ask, ending)


def serve_sync(handler, init, invocation, on_loop):
    """On the thread of the handler; `on_loop` runs a coroutine on an event loop of another thread, and waits for it."""
    run, ask = on_loop(_begin(init, invocation))
    wake_up = on_loop(_made(run, ask, init, invocation))
    context = SyncWorkflowContext(init, invocation, wake_up)
    before = place.get()
    place.set((wake_up, wake_up.root))
    try:
        value, error = handler(run["input"], context), None
    except Suspended:
        value = error = None
    except Exception as raised:
        value, error = None, raised
    finally:
        place.set(before)
    # Where the wake-up is over already this changes nothing.
    ending = on_loop(_through(wake_up, error, value))
    return on_loop(_tell(run, ask, ending))


async def _made(run, ask, init, invocation):
    wake_up = _wake_up(run, ask, init, invocation)
    wake_up.handlers = 1
    return wake_up


async def _through(wake_up, error, value):
    wake_up.handlers -= 1
    wake_up.through(error, value)
    return await wake_up.ending


def _wake_up(run, ask, init, invocation):
    seed = "%s/%s/%s/%d" % (init["project"], init["function"], run["id"], run["startedAt"])
    wake_up = WakeUp(run, ask, invocation, init["timeoutMs"], seed)
    invocation.is_replay = lambda: wake_up.is_replay
    invocation.when_abandoned(lambda: wake_up.loop.call_soon_threadsafe(wake_up.abandon))
    return wake_up


async def _begin(init, invocation):
    """The run with its whole history, and how the node is asked in its name."""
    event = json.loads(invocation.body)
    run = event.get("data")
    if event.get("type") != "virga.workflow.run" or not isinstance(run, dict):
        raise BadRequest("a wake-up is an event of the type virga.workflow.run")
    loop = asyncio.get_running_loop()
    services = init["services"]

    async def ask(request, data):
        future = loop.create_future()

        def answered(value, error):
            loop.call_soon_threadsafe(_settle, future, value, error)

        services.begin(dict(request, run=run["id"], token=run["token"]), data, answered, patient=request["op"] != "workflow.news")
        return await future

    more = run.get("more")
    while more is not None:
        page = await ask({"op": "workflow.history", "after": more}, b"")
        run["history"] += page["history"]
        more = page.get("more")
    return run, ask


def _settle(future, value, error):
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def _tell(run, ask, ending):
    kind = ending[0]
    if kind == "broken":
        raise ending[1]
    state = kind
    if kind == "ended":
        _, error, value, step = ending
        data = None
        if error is None:
            try:
                data = json_of(value, "the result of the workflow", run["limits"]["resultBytes"])
            except NotKept as raised:
                error = raised
        state = "succeeded" if error is None else "failed"
        request = {"op": "workflow.end", "state": state}
        if step is not None:
            request["step"] = step
        if error is not None:
            data = json.dumps(kept_error(error), ensure_ascii=False).encode("utf-8", "replace")
        await ask(request, data or b"")
        if error is not None:
            # The invocation failed as any does whose handler raises.
            raise error
    return Answer(200, ["content-type", JSON], json.dumps({"run": run["id"], "state": state}).encode())
