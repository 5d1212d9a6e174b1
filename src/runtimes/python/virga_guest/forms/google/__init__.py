"""Code that was written for Google's functions: @functions_framework.http, .cloud_event, .typed.

The framework makes a Flask app of the function's file, and each invocation is a WSGI request to that app. The framework is the one that
the artifact carries; where it carries none, stand_in/ is one, over the Flask of the artifact or of the machine.

Invariant: what a function is and how it is called is the framework's to say. Made by forms/__init__.py.
"""

import os
import sys

from ...failures import BadResponse, LoadError
from .. import Form
from . import deliveries, machine_packages, wsgi
from ..received_event import received_event

_STAND_IN = os.path.join(os.path.dirname(__file__), "stand_in")
_CLOUD_EVENT = "application/cloudevents+json"
_TEXT_MAX = 2000


class EventRefused(BadResponse):
    """The function has answered an event with an error, which the framework has logged."""


class Google(Form):
    def handler_of(self, file, path, export, evaluate, exported):
        return _function(self.init, file, path, export)

    def event_of(self, meta, body):
        # The framework makes its own of the invocation.
        return None

    def context_of(self, invocation):
        return invocation

    def answer_of(self, meta, event, result):
        return result


def _function(init, file, path, export):
    """The function as something that workers.py can call."""
    environ = os.environ
    environ.setdefault("K_SERVICE", init["function"])
    environ.setdefault("K_CONFIGURATION", init["function"])
    environ.setdefault("K_REVISION", "%s-%05d" % (init["function"], init["version"]))
    # On Google the entry point is called like the function unless it is said.
    target = export or environ.get("FUNCTION_TARGET") or init["function"].replace("-", "_")
    environ["FUNCTION_TARGET"] = target
    machine_packages.offer()
    sys.path.append(_STAND_IN)
    try:
        import functions_framework
    except ImportError as error:
        raise LoadError(
            "%s: functions-framework, which runs it, cannot be imported (%s); name functions-framework in requirements.txt, or install python3-flask on the node"
            % (file, error)
        ) from None
    try:
        app = functions_framework.create_app(target, path)
    except Exception as error:
        if type(error).__module__ != "functions_framework.exceptions":
            raise
        raise LoadError("%s; set `handler` in virga.yaml to the entry point" % error) from None
    if not hasattr(app, "wsgi_app"):
        raise LoadError("'%s' is an async function (functions_framework.aio), which is not run here; use @functions_framework.http or runtime: web" % target)
    return Function(app, target, init)


class Function:
    """The Flask app of a function."""

    def __init__(self, app, target, init):
        self._app = app
        self._target = target
        self._project = init["project"]
        self._host = "%s.internal" % init["function"]
        self._threads = init["concurrency"] > 1
        # The framework has settled it by now.
        self._signature = os.environ.get("FUNCTION_SIGNATURE_TYPE", "http")

    def __call__(self, _, invocation):
        """An Answer, whose body may be an iterator."""
        meta = invocation.meta
        if meta["kind"] == "http":
            return wsgi.call(self._app, wsgi.environ_of(meta, invocation.body, self._threads))
        media = (meta.get("contentType") or "application/json").partition(";")[0].strip().lower()
        if media != _CLOUD_EVENT:
            answer = self._send(meta, ["content-type", meta.get("contentType") or "application/json"], invocation.body)
            # An HTTP function answers as it would over HTTP.
            return answer if self._signature == "http" else self._checked(answer)
        event = received_event(invocation.body)
        if event["type"] == deliveries.QUEUE:
            return self._batch(meta, event)
        return self._checked(self._send(meta, *deliveries.delivery_of(event, self._signature, self._project)))

    def _batch(self, meta, event):
        """One call for each message; those behind one of their group that failed are not tried, so that their order holds."""
        failed = []
        broken = set()
        for message in event["data"]["messages"]:
            group = message.get("group")
            try:
                if group is not None and group in broken:
                    raise EventRefused("a message of its group '%s' failed before it" % group)
                self._checked(self._send(meta, *deliveries.message_delivery_of(event, message, self._signature, self._project)))
            except Exception as error:
                failed.append(message["id"])
                broken.add(group)
                print("message %s failed: %s" % (message["id"], error), file=sys.stderr)
        return wsgi.json_answer({"failed": failed})

    def _send(self, meta, headers, body):
        flat = list(headers) + ["content-length", str(len(body)), "host", self._host]
        if meta.get("trace"):
            flat += ["traceparent", meta["trace"]]
        request = {"method": "POST", "url": "http://%s/" % self._host, "headers": flat, "client": "127.0.0.1"}
        return wsgi.whole(wsgi.call(self._app, wsgi.environ_of(request, body, self._threads)))

    def _checked(self, answer):
        if answer.status < 400:
            return wsgi.json_answer(None) if answer.status == 204 else answer
        text = answer.body.decode("utf-8", "replace")[:_TEXT_MAX]
        raise EventRefused("'%s' answered the event with %d: %s" % (self._target, answer.status, text))
