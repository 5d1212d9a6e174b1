"""The handler's result as a response: status, headers (flat: name, value, name, value…), body.

Over HTTP: a dict with statusCode is a response of API Gateway payload 2.0; anything else is 200 application/json, a str
as it is and the rest as JSON. Beyond that format, `body` may be bytes, a JSON value, or an iterable of bytes or str,
sync or async, which is streamed. Events: the result as JSON; bytes as they are. Raises BadResponse, which says what is
wrong in the user's terms. Pure; called by forms/, which share its parts.
"""

import json
import math
import re

from .failures import BadResponse

JSON = "application/json"
TEXT = "text/plain;charset=UTF-8"
BINARY = "application/octet-stream"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_DEPTH_MAX = 100


class Answer:
    __slots__ = ("status", "headers", "body")

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        # bytes, an iterator, or an async iterator.
        self.body = body


def answer_of(meta, result):
    if isinstance(result, (bytes, bytearray, memoryview)):
        return Answer(200, ["content-type", BINARY], bytes(result))
    if meta["kind"] == "http":
        if isinstance(result, dict) and "statusCode" in result:
            answer = _response(result)
            if meta["method"] == "HEAD" or answer.status in (204, 304):
                answer.body = b""
            return answer
        if isinstance(result, str):
            return Answer(200, ["content-type", JSON], _utf8(result))
    if meta.get("trigger") == "websocket" and isinstance(result, dict) and isinstance(result.get("send"), (bytes, bytearray, memoryview)):
        from base64 import b64encode

        result = {**result, "send": {"base64": b64encode(bytes(result["send"])).decode()}}
    return Answer(200, ["content-type", JSON], to_json(result, "the result"))


def _response(result):
    status = result["statusCode"]
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadResponse("statusCode is %s; it must be a whole number from 200 to 599" % short(result["statusCode"]))
    headers = _headers(result)
    body, media = _body(result.get("body"), result.get("isBase64Encoded"))
    if media is not None and not any(name.lower() == "content-type" for name in headers[::2]):
        headers += ["content-type", media]
    return Answer(int(status), headers, body)


def _headers(result):
    flat = []
    for field in ("headers", "multiValueHeaders"):
        given = result.get(field)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise BadResponse("%s is of type %s; it must be a dict of names and values" % (field, type(given).__name__))
        for name, value in given.items():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                add_header(flat, name, one)
    cookies = result.get("cookies") or ()
    if not isinstance(cookies, (list, tuple)):
        raise BadResponse("cookies is of type %s; it must be a list of strings" % type(cookies).__name__)
    for cookie in cookies:
        add_header(flat, "set-cookie", cookie)
    return flat


def add_header(flat, name, value):
    if value is None:
        return
    if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
        raise BadResponse("%s cannot be the name of a header" % short(name))
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str):
        raise BadResponse("header %s is of type %s; it must be a string" % (name, type(value).__name__))
    if _VALUE.fullmatch(value) is None:
        raise BadResponse("header %s has a value that HTTP cannot carry (line breaks, control or non-Latin-1 characters): %s" % (name, short(value)))
    flat += [name, value]


def _body(body, base64):
    """The body, and its media type where the handler names none."""
    if body is None or (isinstance(body, (str, bytes)) and not body):
        return b"", None
    if isinstance(body, str):
        if not base64:
            return _utf8(body), TEXT
        from base64 import b64decode

        try:
            return b64decode(body, validate=True), BINARY
        except ValueError as error:
            raise BadResponse("isBase64Encoded is true, but body is not base64: %s" % error) from None
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), BINARY
    if isinstance(body, (dict, list, tuple, int, float)):
        return to_json(body, "body"), JSON
    if hasattr(body, "__aiter__"):
        return body.__aiter__(), BINARY
    if hasattr(body, "__iter__"):
        return iter(body), BINARY
    raise BadResponse("body is of type %s; it must be str, bytes, a JSON value, or an iterable of str or bytes" % type(body).__name__)


def chunk_of(chunk):
    """One item of a streamed body as bytes."""
    if isinstance(chunk, str):
        return _utf8(chunk)
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise BadResponse("body yielded a value of type %s; it must yield str or bytes" % type(chunk).__name__)


def _plain(value):
    """What the encoder asks for when it knows no form for a value."""
    if _is_decimal(value):
        return float(value)
    raise TypeError


def _is_decimal(value):
    return type(value).__name__ == "Decimal" and type(value).__module__ == "decimal"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def to_json(value, name):
    try:
        return _utf8(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadResponse(_why_not_json(value, name, 0) or "%s cannot be written as JSON: %s" % (name, error)) from None


def _why_not_json(value, path, depth):
    """Names the first value, and its type, that JSON has no form for."""
    if value is None or isinstance(value, (str, bool, int)) or _is_decimal(value):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "%s is %s, which JSON cannot hold" % (path, value)
    if depth > _DEPTH_MAX:
        return "%s is nested deeper than %d levels, or holds itself" % (path[:60] + "…", _DEPTH_MAX)
    if isinstance(value, dict):
        for key, item in value.items():
            if key is not None and not isinstance(key, (str, int, float)):
                return "%s has a key of type %s, which JSON cannot hold; its keys must be strings" % (path, type(key).__name__)
            why = _why_not_json(item, "%s[%s]" % (path, short(key)), depth + 1)
            if why:
                return why
        return None
    if isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            why = _why_not_json(item, "%s[%d]" % (path, at), depth + 1)
            if why:
                return why
        return None
    return "%s is of type %s, which JSON cannot hold; convert it first" % (path, type(value).__name__)


def _utf8(text):
    # Half a surrogate pair has no UTF-8.
    return text.encode("utf-8", "replace")


def short(value):
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
