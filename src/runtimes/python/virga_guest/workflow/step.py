"""Runs the function of one step until it has a result or may not be tried again.

Invariant: its beginning is on its way to the node before the function runs, and its end is durable before the step ends; a wait
for the next attempt that is long is the node's.
"""

import asyncio
import json
import random

from .values import NotKept, duration_ms, is_fatal, json_of, kept_error

ATTEMPTS_MAX = 1_000


class Attempt:
    """What the function of a step gets, if it takes an argument."""

    def __init__(self, number):
        # 1, 2, 3…
        self.attempt = number


def run_step(wake_up, step, before, work, rules):
    attempt = ((before or {}).get("attempts") or 0) + 1

    def begin():
        if wake_up.may_run(step):
            wake_up.busy(_attempt(wake_up, step, work, rules, attempt))
        else:
            wake_up.turn()

    in_ms = (before or {}).get("inMs") or 0
    if before is not None and before["state"] == "retrying" and in_ms > 0:
        wake_up.block(step, in_ms, begin)
        wake_up.turn()
    else:
        begin()


async def _attempt(wake_up, step, work, rules, attempt):
    what = step.identity
    # Not waited for: the function needs it not, and where it fails, so does what follows.
    begun = asyncio.ensure_future(wake_up.ask(dict(what, op="workflow.begin", attempt=attempt), b""))
    begun.add_done_callback(lambda future: future.cancelled() or future.exception())
    await asyncio.sleep(0)
    failed = data = None
    try:
        call = work(Attempt(attempt))
        value = await (call if rules["timeout"] is None else asyncio.wait_for(call, rules["timeout"]))
        data = json_of(value, "the result of the step '%s'" % step.name, wake_up.run["limits"]["resultBytes"])
    except asyncio.TimeoutError as error:
        failed = error
        if rules["timeout"] is not None and not error.args:
            failed = TimeoutError("the step '%s' did not end within its timeout of %g s" % (step.name, rules["timeout"]))
    except Exception as error:
        failed = error
    if failed is None:
        end = await wake_up.ask(dict(what, op="workflow.done", attempt=attempt), data or b"")
        return wake_up.ended(step, end, None if data is None else json.loads(data))
    kept = kept_error(failed)
    told = json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")
    if attempt >= rules["attempts"] or is_fatal(failed):
        end = await wake_up.ask(dict(what, op="workflow.failed", attempt=attempt), told)
        return wake_up.ended(step, end, error=kept)
    whole = min(rules["max_delay"], rules["delay"] * 2 ** (attempt - 1))
    in_ms = round(whole * (0.5 + random.random() / 2))
    await wake_up.ask(dict(what, op="workflow.retry", attempt=attempt, inMs=in_ms), told)

    def again():
        if wake_up.may_run(step):
            wake_up.busy(_attempt(wake_up, step, work, rules, attempt + 1))
        else:
            wake_up.turn()

    wake_up.block(step, in_ms, again)


def rules_of(name, options, of):
    """Raises NotKept or ValueError for what is none. `of`: what the workflow says of all."""
    retry, timeout = options.get("retry") or {}, options.get("timeout")
    unknown = set(retry) - {"attempts", "delay", "max_delay"}
    if unknown:
        raise NotKept("retry of the step '%s' has %s; there are attempts, delay and max_delay" % (name, ", ".join(sorted(unknown))))
    attempts = retry.get("attempts", of["attempts"])
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= ATTEMPTS_MAX:
        raise NotKept("retry.attempts of the step '%s' is %r; it must be a whole number from 1 to %d" % (name, attempts, ATTEMPTS_MAX))

    def ms(key, default):
        return default if retry.get(key) is None else duration_ms(retry[key], "retry.%s of the step '%s'" % (key, name))

    return {
        "attempts": attempts,
        "delay": ms("delay", of["delayMs"]),
        "max_delay": ms("max_delay", of["maxDelayMs"]),
        "timeout": None if timeout is None else duration_ms(timeout, "timeout of the step '%s'" % name) / 1000,
    }
