"""What a handler is told about its invocation: handler(event, context). Names follow Python; those of AWS Lambda work too.

Invariant: a Context reads, it never changes the invocation. Made by forms/, one an invocation.
"""

import time

from .project_services import ProjectServices


class Context(ProjectServices):
    __slots__ = ("_init", "_invocation", "__dict__")

    def __init__(self, init, invocation):
        self._init = init
        self._invocation = invocation

    @property
    def invocation_id(self):
        return self._invocation.meta["id"]

    @property
    def traceparent(self):
        """W3C traceparent of this invocation, to be passed on."""
        return self._invocation.meta["trace"]

    @property
    def deadline(self):
        """Unix seconds."""
        return self._invocation.deadline

    @property
    def cancelled(self):
        """Like a threading.Event: is_set(), wait(seconds). Set when the client has left or the deadline has passed."""
        return self._invocation.cancellation

    @property
    def log(self):
        """A logging.Logger that records every level."""
        import logging

        return logging.getLogger("virga")

    @property
    def project(self):
        return self._init["project"]

    @property
    def function(self):
        return self._init["function"]

    @property
    def version(self):
        return self._init["version"]

    @property
    def params(self):
        """Parameters of the route, percent-decoded; empty for events."""
        return self._invocation.meta.get("params") or {}

    @property
    def principal(self):
        """Who calls, where the route asks (`auth` in virga.yaml): a dict with kind, id, scopes, claims and perhaps plan; else None."""
        from .authorizer import principal_of

        return principal_of(self._invocation.meta)

    @property
    def trigger(self):
        """What caused the invocation: `http`, `invoke`…"""
        return self._invocation.meta.get("trigger", "http")

    @property
    def _services(self):
        return self._init["services"]

    def remaining_ms(self):
        return max(0, int((self._invocation.ends - time.monotonic()) * 1000))

    # Names of AWS Lambda.
    aws_request_id = invocation_id
    get_remaining_time_in_millis = remaining_ms
    function_name = function

    @property
    def function_version(self):
        return str(self._init["version"])

    @property
    def memory_limit_in_mb(self):
        return str(self._init["memoryMiB"])

    @property
    def invoked_function_arn(self):
        return "virga:%s:%s:%s" % (self.project, self.function, self.version)

    @property
    def log_group_name(self):
        return "/%s/%s" % (self.project, self.function)

    @property
    def log_stream_name(self):
        return str(self.version)

    client_context = None
    identity = None

    def __repr__(self):
        return "<Context of invocation %s>" % self.invocation_id
