"""An invocation as a WSGI request (PEP 3333), and what the app answers as an Answer.

Invariant: a body of known length goes out whole, any other as it is made; the app's iterable is closed in either case. Called by
google/__init__.py.
"""

import io
import json
import sys

from ...answer import Answer
from ...failures import BadResponse

_WHOLE_MAX = 1024 * 1024
_BODILESS = (204, 304)


def environ_of(meta, body, threads):
    from urllib.parse import unquote_to_bytes

    scheme, _, rest = meta["url"].partition("://")
    address, slash, rest = rest.partition("/")
    target = slash + rest or "/"
    path, _, query = target.partition("?")
    host, _, port = address.rpartition(":") if ":" in address and not address.endswith("]") else (address, "", "")
    environ = {
        "REQUEST_METHOD": meta["method"],
        "SCRIPT_NAME": "",
        # WSGI's texts are bytes in disguise.
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "REMOTE_ADDR": meta["client"],
        "SERVER_NAME": host,
        "SERVER_PORT": port or ("443" if scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(body),
        # The body is here to its end, with or without a length.
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": threads,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    flat = meta["headers"]
    for at in range(0, len(flat), 2):
        name = flat[at].upper().replace("-", "_")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name
        value = flat[at + 1]
        if key in environ:
            value = environ[key] + ("; " if name == "COOKIE" else ",") + value
        environ[key] = value
    return environ


def call(app, environ):
    head = {}

    def start_response(status, headers, exc_info=None):
        if exc_info is not None and head.get("sent"):
            raise exc_info[1].with_traceback(exc_info[2])
        head["status"] = int(status[:3])
        head["headers"] = headers
        return written.append

    written = []
    chunks = app(environ, start_response)
    iterator = iter(chunks)
    try:
        # A generator calls start_response when it is first asked.
        first = next(iterator, None)
        if "status" not in head:
            raise BadResponse("the app gave a body and no status")
        head["sent"] = True
    except BaseException:
        _close(chunks)
        raise
    flat = []
    length = None
    for name, value in head["headers"]:
        flat += [name, value]
        if name.lower() == "content-length" and value.isdigit():
            length = int(value)
    answer = Answer(head["status"], flat, b"")
    if environ["REQUEST_METHOD"] == "HEAD" or answer.status in _BODILESS:
        _close(chunks)
        return answer
    body = _body(chunks, iterator, written + ([first] if first is not None else []))
    answer.body = b"".join(body) if length is not None and length <= _WHOLE_MAX else body
    return answer


def whole(answer):
    """The same with its body at hand."""
    if not isinstance(answer.body, bytes):
        answer.body = b"".join(answer.body)
    return answer


def json_answer(value):
    return Answer(200, ["content-type", "application/json"], json.dumps(value).encode())


def _body(chunks, iterator, begun):
    try:
        yield from begun
        yield from iterator
    finally:
        _close(chunks)


def _close(chunks):
    if hasattr(chunks, "close"):
        chunks.close()
