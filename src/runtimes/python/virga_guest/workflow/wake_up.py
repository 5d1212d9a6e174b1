"""One wake-up of a run: the handler runs from its beginning, steps that ended before end again at once, the others are done for
the first time, and when all that is left sleeps or waits, the wake-up is over and the instance free.

    step asked for --+- ended before --------------> ready --in the order of their ends--> ended
                     +- new, or cut off --> parked --all of `ready` has ended--> running --durable--> ready
                                                                                   +-> blocked --due--> running, ready

Invariant: a step ends only after its end is durable; in a replay steps end in the order in which they ended before, one at a
time, so that code which is the same does the same; nothing is done for the first time while history waits to be told.
All of it runs on one event loop. Made by serving.py.
"""

import asyncio
import time
from contextvars import ContextVar

from .history import History, Scope, describe
from .step import rules_of, run_step
from .values import NondeterminismError, NotKept, error_of

# What is due so soon is waited for in the instance: another wake-up would take as long.
IN_PLACE_MS = 250
NAME_MAX = 200
# A function that keeps its loop busy all the time is not waited for for ever.
_LOOKS_MAX = 1_000

# (WakeUp, Scope) of the present line of code.
place = ContextVar("virga_workflow_place", default=None)


class Step:
    """One that was asked for and has not ended."""

    def __init__(self, identity, scope, future):
        self.identity = identity
        self.scope = scope
        self.future = future

    @property
    def name(self):
        return self.identity["name"]


class WakeUp:
    def __init__(self, run, ask, invocation, timeout_ms, seed):
        self.run = run
        self.ask = ask
        self.loop = asyncio.get_running_loop()
        # Threads that run the handler's code: nothing is decided while one does. Of `async` handlers: always 0.
        self.handlers = 0
        self.root = Scope("", run["startedAt"], seed)
        self.ending = self.loop.create_future()
        self._invocation = invocation
        self._timeout_ms = timeout_ms
        self._history = History(run["history"])
        self._ready = []
        self._parked = []
        self._blocked = {}
        # The errors are held, so that their ids stay theirs.
        self._errors = {}
        self._tasks = set()
        self._turning = False
        self._running = 0
        self._progress = 0
        self._timers = []
        self._asks_news = 0
        self._short_of_time = False

    # What handlers ask for.

    def open(self, scope, kind, name, start):
        """The future of a step; `start(step, before)` is called when it is to be done for the first time."""
        if not isinstance(name, str) or len(name) > NAME_MAX or (kind != "sleep" and not name) or has_no_place(name):
            raise ValueError("the name of a %s is a str of 1 to %d characters, without NUL and surrogates" % (kind, NAME_MAX))
        if scope.inside is not None:
            what = {"step": "the step '%s'" % name, "wait": "a wait for '%s'" % name, "sleep": "a sleep"}[kind]
            raise NotKept("%s begins within the step '%s'; steps stand beside each other, so do it before or after" % (what, scope.inside))
        identity = {"scope": scope.path, "kind": kind, "name": name, "occurrence": scope.count(kind, name)}
        before, ordinal = self._history.take(identity)
        if ordinal > self.run["limits"]["steps"]:
            raise NotKept("the run has more than %d steps; start another run for what is left (VIRGA_LIMIT_WORKFLOW_STEPS)" % self.run["limits"]["steps"])
        identity["ordinal"] = ordinal
        step = Step(identity, scope, self.loop.create_future())
        if before is not None and "place" in before:
            self._end(step, before["place"], before.get("at", 0), before.get("result"), before.get("error"))
        else:
            self._parked.append((step, before, start))
            self.turn()
        return step.future

    def step(self, scope, name, work, options):
        # What is wrong here is told before there is a step: a replay counts those that it knows of.
        rules = rules_of(name, options, self.run["retry"])
        return self.open(scope, "step", name, lambda step, before: run_step(self, step, before, work, rules))

    def sleep(self, scope, until):
        return self.open(scope, "sleep", "", lambda step, before: self._register(step, before, dict(until, op="workflow.sleep"), b""))

    def wait(self, scope, name, for_ms, match, event=None):
        if event is not None and (not isinstance(event, str) or not event or len(event) > NAME_MAX or has_no_place(event)):
            raise ValueError("the event of the wait for %r is the type of one: a str of 1 to %d characters" % (name, NAME_MAX))
        request = {"op": "workflow.wait"}
        if for_ms is not None:
            request["forMs"] = for_ms
        if event is not None:
            request["event"] = event
        return self.open(scope, "wait", name, lambda step, before: self._register(step, before, request, match))

    @property
    def is_replay(self):
        """The present line of code did before what it does now: what it logs was logged."""
        here = place.get()
        return here is not None and here[0] is self and here[1].inside is None and self._history.is_replay(here[1].path)

    # What steps tell.

    def busy(self, coroutine):
        """Keeps the instance while it is under way. What it raises breaks the wake-up off."""
        self._running += 1
        task = self.loop.create_task(self._busy(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _busy(self, coroutine):
        try:
            await coroutine
        except Exception as error:
            self._broken(error)
        self._running -= 1
        self.turn()

    def may_run(self, step):
        """False: the step waits for a wake-up with more time."""
        left_ms = (self._invocation.ends - time.monotonic()) * 1000
        if self._progress == 0 or left_ms >= self._timeout_ms / 2:
            return True
        self._short_of_time = True
        self._blocked[step.identity["ordinal"]] = (step, None, lambda: None)
        return False

    def block(self, step, in_ms, again=None):
        due_at = None if in_ms is None else self.loop.time() + in_ms / 1000
        self._blocked[step.identity["ordinal"]] = (step, due_at, again)

    def ended(self, step, end, result=None, error=None):
        self._progress += 1
        self._end(step, end["place"], end["at"], result, error)

    def abandon(self):
        self.finish(("lost",))

    def through(self, error=None, value=None):
        """The handler has come to its end."""
        if self.ending.done():
            return
        left = self._history.left_in()
        if left is not None:
            return self._contradicted(left, "has come to its end" if error is None else "raises %s: %s" % (type(error).__name__, error))
        known = self._errors.get(id(error))
        self.finish(("ended", error, value, None if known is None else known[1]))

    def finish(self, ending):
        for timer in self._timers:
            timer.cancel()
        if not self.ending.done():
            self.ending.set_result(ending)

    # The machine.

    def turn(self):
        """Ends one step at a time: between two the handler does whatever it does with the first."""
        if not self._turning and not self.ending.done():
            self._turning = True
            self.loop.call_soon(self._look, _LOOKS_MAX)

    def _look(self, left):
        busy = getattr(self.loop, "_ready", None)
        if self.ending.done():
            return
        if busy and left > 0:
            self.loop.call_soon(self._look, left - 1)
            return
        self._turning = False
        if self.handlers > 0:
            # It comes back when the last of them waits.
            return
        if self._ready:
            self._ready.pop(0)[1]()
            self.turn()
        elif self._parked:
            self._start_parked()
        else:
            self._rest()

    def _register(self, step, before, request, data):
        if before is not None:
            self.block(step, before.get("inMs", 0 if step.identity["kind"] == "sleep" else None))
            self.turn()
        else:
            self.busy(self._registered(step, dict(request, **step.identity), data))

    async def _registered(self, step, request, data):
        answer = await self.ask(request, data)
        if answer is not None and "place" in answer:
            self.ended(step, answer, answer.get("result"), answer.get("error"))
        else:
            self.block(step, (answer or {}).get("inMs"))

    def _end(self, step, at_place, at, result, kept):
        error = None if kept is None else error_of(kept)

        def end():
            step.scope.now = max(step.scope.now, at)
            if error is not None:
                self._errors[id(error)] = (error, step.identity["ordinal"])
            if step.future.done():
                return
            if error is None:
                step.future.set_result(result)
            else:
                step.future.set_exception(error)

        self._ready.append((at_place, end))
        self._ready.sort(key=lambda one: one[0])
        self.turn()

    def _start_parked(self):
        parked, self._parked = self._parked, []
        for step, before, _ in parked:
            left = None if before is not None else self._history.left_in(step.identity["scope"])
            if left is not None:
                return self._contradicted(left, "asks for %s" % describe(step.identity))
        for step, before, start in parked:
            try:
                start(step, before)
            except Exception as error:
                if not step.future.done():
                    step.future.set_exception(error)
        self.turn()

    def _rest(self):
        """Nothing can be done just now."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        if not self._blocked:
            return
        due_at = min((due for _, due, _ in self._blocked.values() if due is not None), default=None)
        in_ms = None if due_at is None else (due_at - self.loop.time()) * 1000
        if in_ms is not None and in_ms <= 0:
            return self._due()
        if self._running == 0 and (in_ms is None or in_ms > IN_PLACE_MS or self._short_of_time):
            return self.busy(self._suspend())
        if in_ms is not None and in_ms < 86_400_000:
            self._timers.append(self.loop.call_later(in_ms / 1000, self.turn))
        if self._asks_news == 0 and any(again is None for _, _, again in self._blocked.values()):
            self._ask_news(None)

    def _due(self):
        now = self.loop.time()
        news = False
        for ordinal, (_, due_at, again) in list(self._blocked.items()):
            if due_at is None or due_at > now:
                continue
            if again is None:
                news = True
            else:
                del self._blocked[ordinal]
                again()
        if news:
            # The node's clock may be a little behind: until it agrees, it is asked again.
            self._ask_news(20)
        else:
            self.turn()

    def _ask_news(self, if_nothing_ms):
        self._asks_news += 1
        task = self.loop.create_task(self._news(if_nothing_ms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _news(self, if_nothing_ms):
        try:
            ends = await self.ask({"op": "workflow.news"}, b"")
            if ends is not None:
                self._take(ends)
        except Exception as error:
            self._broken(error)
        self._asks_news -= 1
        if if_nothing_ms is None or self.ending.done():
            self.turn()
        else:
            self._timers.append(self.loop.call_later(if_nothing_ms / 1000, self.turn))

    async def _suspend(self):
        request = {"op": "workflow.suspend", "again": True} if self._short_of_time else {"op": "workflow.suspend"}
        ends = await self.ask(request, b"")
        if ends is None:
            self.finish(("suspended",))
        else:
            self._take(ends)

    def _take(self, ends):
        for end in ends:
            blocked = self._blocked.pop(end["ordinal"], None)
            if blocked is not None:
                self.ended(blocked[0], end, end.get("result"))

    def _contradicted(self, left, does):
        where = ", in branch %s" % left["scope"] if left["scope"] else ""
        error = NondeterminismError(
            "the code does something else than before: place %d of the run's history%s is %s, and the code %s. "
            "Whatever differs between two wake-ups (time, chance, what is read from elsewhere) belongs into a step"
            % (left["ordinal"], where, describe(left), does)
        )
        self.finish(("ended", error, None, None))

    def _broken(self, error):
        self.finish(("lost",) if getattr(error, "code", None) == "workflow_lost" else ("broken", error))


def has_no_place(text):
    """What Postgres does not keep as it is."""
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
