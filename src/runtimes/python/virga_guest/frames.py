"""The framed protocol of src/protocol/frames.ts, in Python. The two must agree: frames.test.ts compares them.

A frame is a 16-byte header (u32 length, u8 type, u8 flags, u16 zero, u32 stream, u32 arg; little endian) and
`length` payload bytes. Invariant: a payload over FRAME_PAYLOAD_MAX is never read into memory.
Used by channel.py (writing) and instance.py (reading).
"""

import json
import struct
from posix import read

HEADER_BYTES = 16
FRAME_PAYLOAD_MAX = 1024 * 1024
CREDIT_WINDOW = 256 * 1024
BODY_CHUNK_MAX = 64 * 1024
LOG_LINE_MAX = 16 * 1024

INIT, REQUEST, BODY, CREDIT, CANCEL, STOP, SERVED = 1, 2, 3, 4, 5, 6, 7
HELLO, READY, FAILED, RESPONSE, ERROR, LOG, STATS, BACKGROUND, FILE, SERVICE = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25
END = 1

DEBUG, INFO, WARN, FAULT = 0, 1, 2, 3

_READ_BYTES = 64 * 1024
_header = struct.Struct("<IBBHII")
_u32 = struct.Struct("<I")
_u32_max = 0xFFFF_FFFF
_HTTP_FIELDS = ("kind", "id", "trace", "method", "url", "route", "client", "params", "principal")
_EVENT_FIELDS = ("kind", "id", "trace", "trigger", "contentType", "clientContext")

to_json = json.JSONEncoder(separators=(",", ":")).encode


class ProtocolError(Exception):
    """The peer broke the protocol; the connection is of no more use."""


def header(type, length=0, stream=0, flags=0, arg=0):
    return _header.pack(length, type, flags, 0, stream, arg if arg < _u32_max else _u32_max)


def meta_prefix(status, headers):
    """What precedes the body bytes in a RESPONSE: meta length and meta, whose fields stand between NULs (frames.ts)."""
    text = "\0".join(["r", str(status), str(len(headers)), *headers]).encode()
    return _u32.pack(len(text)) + text


def split_meta(payload):
    """The meta of a REQUEST, and its first body bytes."""
    if len(payload) < 4:
        raise ProtocolError("a payload of %d bytes has no meta" % len(payload))
    end = 4 + _u32.unpack_from(payload)[0]
    if end > len(payload):
        raise ProtocolError("meta of %d bytes in a payload of %d" % (end - 4, len(payload)))
    fields = payload[4:end].decode().split("\0")
    if fields[0] == "e" and len(fields) == 6:
        meta = dict(zip(_EVENT_FIELDS, fields))
        meta["kind"] = "event"
        if not meta["clientContext"]:
            del meta["clientContext"]
    elif fields[0] == "h" and len(fields) >= 10 and fields[9] == str(len(fields) - 10):
        meta = dict(zip(_HTTP_FIELDS, fields))
        meta["kind"] = "http"
        meta["params"] = json.loads(fields[7]) if fields[7] else {}
        meta["headers"] = fields[10:]
        if not meta["principal"]:
            del meta["principal"]
    else:
        raise ProtocolError("a meta of %d fields that is no request's" % len(fields))
    return meta, payload[end:]


def read_frames(fd):
    """Yields (type, flags, stream, arg, payload) until the peer closes."""
    data = b""
    while True:
        at = 0
        size = len(data)
        missing = HEADER_BYTES
        while size - at >= HEADER_BYTES:
            length, type, flags, _, stream, arg = _header.unpack_from(data, at)
            if length > FRAME_PAYLOAD_MAX:
                raise ProtocolError("a frame of %d bytes; at most %d are allowed" % (length, FRAME_PAYLOAD_MAX))
            end = at + HEADER_BYTES + length
            if end > size:
                missing = end - at
                break
            yield type, flags, stream, arg, data[at + HEADER_BYTES : end]
            at = end
        pieces = [data[at:]]
        missing -= size - at
        while missing > 0:
            piece = read(fd, _READ_BYTES)
            if not piece:
                return
            pieces.append(piece)
            missing -= len(piece)
        data = pieces[1] if len(pieces) == 2 and not pieces[0] else b"".join(pieces)
