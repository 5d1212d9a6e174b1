"""Runs on AWS Lambda: lets a function that was written for Virga be called by Lambda's Python runtime.

Invariants: it needs nothing but the standard library, since `virga export` puts it into the zip alone; what the function gets and
gives means what it means in Virga, but for what the report of the export names. Put there by adapter-files.ts.
"""

import asyncio
import base64
import json
import logging
import os
import re
import sys
import threading
import time
from importlib import import_module

_JSON = "application/json"
_TEXT = "text/plain;charset=UTF-8"
_BINARY = "application/octet-stream"
_TEXT_TYPE = re.compile(r"text/|application/([\w.+-]+\+)?(json|xml)\b|application/(javascript|graphql|x-www-form-urlencoded|x-ndjson)\b", re.I)
_loop = None


def adapt(file, name, facts):
    """The handler for AWS of the function `name` in the module that `file` holds."""
    folder = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.path.dirname(file)))
    if folder not in sys.path:
        sys.path.insert(1, folder)
    function = import_module(file[: -len(".py")].replace("/", "."))
    for part in name.split("."):
        function = getattr(function, part)

    def handler(event, aws):
        http = event if _is_http(event) else None
        result = function(event, Context(aws, http, facts))
        if hasattr(result, "__await__"):
            result = _run(_awaited(result))
        return _payload(result) if http is None else _response(result)

    return handler


class Context:
    """Virga's context over that of AWS."""

    def __init__(self, aws, http, facts):
        self._aws = aws
        self._http = http
        self.invocation_id = aws.aws_request_id
        self.project = facts["project"]
        self.function = facts["function"]
        self.params = (http or {}).get("pathParameters") or {}
        self.trigger = "invoke" if http is None else "http"
        self.deadline = time.time() + aws.get_remaining_time_in_millis() / 1000
        self.cancelled = _Cancellation(self.deadline)

    def __getattr__(self, name):
        return getattr(self._aws, name)

    @property
    def version(self):
        version = getattr(self._aws, "function_version", "")
        return int(version) if str(version).isdigit() else 0

    @property
    def log(self):
        logger = logging.getLogger("virga")
        logger.setLevel(logging.DEBUG)
        return logger

    @property
    def traceparent(self):
        given = ((self._http or {}).get("headers") or {}).get("traceparent")
        if given:
            return given
        header = os.environ.get("_X_AMZN_TRACE_ID", "")
        root = re.search("Root=1-([0-9a-f]{8})-([0-9a-f]{24})", header)
        parent = re.search("Parent=([0-9a-f]{16})", header)
        own = re.sub("[^0-9a-f]", "", self.invocation_id).ljust(32, "1")
        trace = root.group(1) + root.group(2) if root else own[:32]
        return "00-%s-%s-%s" % (trace, parent.group(1) if parent else own[:16], "01" if "Sampled=1" in header else "00")

    def remaining_ms(self):
        return self._aws.get_remaining_time_in_millis()


class _Cancellation:
    """Like a threading.Event that is set once the deadline has passed: AWS does not say when the client leaves."""

    def __init__(self, ends):
        self._ends = ends

    def is_set(self):
        return time.time() >= self._ends

    __bool__ = is_set

    def wait(self, timeout=None):
        left = max(0.0, self._ends - time.time())
        threading.Event().wait(left if timeout is None else min(timeout, left))
        return self.is_set()


def _is_http(event):
    return isinstance(event, dict) and event.get("version") == "2.0" and "http" in (event.get("requestContext") or {})


def _run(coroutine):
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_loop)
    return _loop.run_until_complete(coroutine)


async def _awaited(result):
    return await result


def _payload(result):
    """What a direct invocation gives: bytes have no form in JSON, and are text there or base64."""
    if not isinstance(result, (bytes, bytearray, memoryview)):
        return json.loads(_to_json(result))
    try:
        return bytes(result).decode()
    except UnicodeDecodeError:
        return base64.b64encode(result).decode()


def _response(result):
    if isinstance(result, (bytes, bytearray, memoryview)):
        return _answer(200, {"content-type": _BINARY}, [], bytes(result))
    if not isinstance(result, dict) or "statusCode" not in result:
        return _answer(200, {"content-type": _JSON}, [], result.encode() if isinstance(result, str) else _to_json(result).encode())
    headers = {}
    cookies = list(result.get("cookies") or ())
    for field in ("headers", "multiValueHeaders"):
        for name, value in (result.get(field) or {}).items():
            given = [_text(one) for one in (value if isinstance(value, (list, tuple)) else (value,)) if one is not None]
            if name.lower() == "set-cookie":
                cookies += given
            elif given:
                headers[name.lower()] = ", ".join(([headers[name.lower()]] if name.lower() in headers else []) + given)
    body, media = _body(result.get("body"), result.get("isBase64Encoded"))
    if media is not None:
        headers.setdefault("content-type", media)
    return _answer(int(result["statusCode"]), headers, cookies, body)


def _answer(status, headers, cookies, body):
    answer = {"statusCode": status, "headers": headers, "isBase64Encoded": False}
    if cookies:
        answer["cookies"] = cookies
    text = None
    if _TEXT_TYPE.match(headers.get("content-type", "text/plain")) and "content-encoding" not in headers:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            pass
    if text is None:
        text = base64.b64encode(body).decode()
        answer["isBase64Encoded"] = True
    answer["body"] = text
    return answer


def _body(body, encoded):
    """Its bytes, whole, and their type where the function names none."""
    if body is None or (isinstance(body, (str, bytes)) and not body):
        return b"", None
    if isinstance(body, str):
        return (base64.b64decode(body), _BINARY) if encoded else (body.encode("utf-8", "replace"), _TEXT)
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), _BINARY
    if isinstance(body, (dict, list, tuple, int, float)):
        return _to_json(body).encode(), _JSON
    chunks = _run(_collected(body)) if hasattr(body, "__aiter__") else body
    return b"".join(chunk.encode() if isinstance(chunk, str) else bytes(chunk) for chunk in chunks), _BINARY


async def _collected(chunks):
    return [chunk async for chunk in chunks]


def _text(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _plain(value):
    if type(value).__name__ == "Decimal":
        return float(value)
    raise TypeError("the result has a value of type %s, which JSON cannot hold; convert it first" % type(value).__name__)


def _to_json(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
