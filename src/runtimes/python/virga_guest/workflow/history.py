"""What a run did before, and the places in the code where steps come one after the other.

Invariant: a step is found by its scope, kind, name and occurrence, once; what is left where the code asks for something new was
not asked for again, which is an error of the code.
"""

import hashlib


class History:
    def __init__(self, steps):
        self._steps = {}
        self._left = {}
        self._last = 0
        for step in steps:
            self._steps[_key(step)] = step
            self._count(step["scope"], 1)
            self._last = max(self._last, step["ordinal"])

    def is_replay(self, scope):
        """Whether the code in this scope did before what it does now."""
        return self._left.get(scope, 0) > 0

    def take(self, identity):
        """What became of the step before, or None, and its place among all."""
        before = self._steps.pop(_key(identity), None)
        if before is None:
            self._last += 1
            return None, self._last
        self._count(identity["scope"], -1)
        return before, before["ordinal"]

    def left_in(self, scope=None):
        """The first that was not asked for again, of one scope or of all."""
        left = [step for step in self._steps.values() if scope is None or step["scope"] == scope]
        return min(left, key=lambda step: step["ordinal"], default=None)

    def _count(self, scope, by):
        parts = scope.split("/") if scope else []
        for n in range(len(parts) + 1):
            path = "/".join(parts[:n])
            self._left[path] = self._left.get(path, 0) + by


def _key(step):
    return step["scope"], step["kind"], step["occurrence"], step["name"]


def describe(step):
    """For people: the step 'charge', the wait for 'paid'."""
    which = "" if step["occurrence"] == 1 else " (number %d of that name)" % step["occurrence"]
    if step["kind"] == "step":
        return "the step '%s'%s" % (step["name"], which)
    if step["kind"] == "wait":
        return "the wait for '%s'%s" % (step["name"], which)
    return "sleep %d" % step["occurrence"]


class Scope:
    """The handler itself, or a branch of `parallel`; or a step that runs (`inside`), in which no other can begin."""

    def __init__(self, path, now, seed, inside=None):
        self.path = path
        # When the last step of it ended, Unix ms.
        self.now = now
        self.inside = inside
        self._seed = seed
        self._parallels = 0
        self._occurrences = {}
        self._drawn = 0

    def count(self, kind, name):
        count = self._occurrences[kind, name] = self._occurrences.get((kind, name), 0) + 1
        return count

    def branches(self, count):
        self._parallels += 1
        place = "%s%s%d" % (self.path, "/" if self.path else "", self._parallels)
        return [Scope("%s.%d" % (place, i + 1), self.now, self._seed, self.inside) for i in range(count)]

    def draw(self):
        """32 bytes that are the same in each replay, and others each time."""
        self._drawn += 1
        return hashlib.sha256(("%s\n%s\n%d" % (self._seed, self.path, self._drawn)).encode()).digest()
