"""What is kept of a step: its result as JSON, or its exception with what is needed to raise it again.

Invariant: what a step gives is the same in the wake-up in which it ran and in every replay: results are always read back from
their JSON, and exceptions made anew, of their own class where that can be found.
"""

import builtins
import json
import re
import sys

from ..answer import to_json
from ..failures import BadResponse, guest_error

FIELDS_BYTES_MAX = 4 * 1024
DURATION_MAX_MS = 3650 * 86_400_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class FatalError(Exception):
    """No further attempt of the step that raises it is made."""

    retryable = False


class StepError(Exception):
    """Stands for an exception whose class is not there any more; `name` is that of the class."""

    name = "Error"


class NondeterminismError(Exception):
    """The code does something else than before."""


class NotKept(Exception):
    """What a step gave, or asks for, cannot be kept."""

    retryable = False


def json_of(value, what, bytes_max):
    """Bytes; None: nothing."""
    if value is None:
        return None
    try:
        data = to_json(value, what)
    except BadResponse as error:
        raise NotKept("%s; return plain data from it, or nothing" % error) from None
    if len(data) > bytes_max:
        raise NotKept(
            "%s has %d bytes as JSON; at most %d are kept: store it elsewhere, and return where it is to be found" % (what, len(data), bytes_max)
        )
    return data


def kept_error(error):
    told = guest_error(error)
    kept = {"name": told["name"], "message": told["message"]}
    if told["stack"]:
        kept["stack"] = told["stack"]
    of = type(error)
    kept["type"] = "%s:%s" % (of.__module__, of.__qualname__)
    fields = {"args": list(error.args)} if error.args else {}
    for key, value in getattr(error, "__dict__", {}).items():
        if not key.startswith("_"):
            fields[key] = value
    kept_fields = {key: value for key, value in fields.items() if _plain(value)}
    if kept_fields and len(json.dumps(kept_fields)) <= FIELDS_BYTES_MAX:
        kept["fields"] = kept_fields
    return kept


def _plain(value):
    try:
        json.dumps(value, allow_nan=False)
        return True
    except (TypeError, ValueError, RecursionError):
        return False


def error_of(kept):
    """Of its own class, without its __init__ being run again."""
    fields = dict(kept.get("fields") or {})
    args = fields.pop("args", None)
    args = tuple(args) if isinstance(args, list) else (kept.get("message", ""),)
    found = _class_of(kept.get("type"), kept.get("name"))
    try:
        error = found.__new__(found, *args)
        error.args = args
    except Exception:
        found, error = StepError, StepError(kept.get("message", ""))
    if found is StepError:
        error.name = kept.get("name", "Error")
        error.args = (kept.get("message", ""),)
    for key, value in fields.items():
        try:
            setattr(error, key, value)
        except Exception:
            continue
    return error


def _class_of(path, name):
    module, _, qualname = (path or "").partition(":")
    found = sys.modules.get(module)
    for part in qualname.split(".") if qualname else ():
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        found = getattr(builtins, name or "", None)
    return found if isinstance(found, type) and issubclass(found, Exception) else StepError


def is_fatal(error):
    return getattr(error, "retryable", True) is False


def duration_ms(value, what):
    """`'30s'`, `'3d'`, a number of seconds, or a timedelta."""
    ms = None
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        ms = float(found.group(1)) * _UNITS[found.group(2)] if found else None
    elif hasattr(value, "total_seconds"):
        ms = value.total_seconds() * 1000
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        ms = value * 1000
    if ms is None or not 0 <= ms <= DURATION_MAX_MS:
        raise ValueError("%s is %r; it must be a duration from 0s to 3650d: '30s', '2h', '3d', a number of seconds or a timedelta" % (what, value))
    return round(ms)
