"""Exceptions as GuestError of the protocol: name, message, and a traceback that shows the user's frames only.

Invariant: a GuestError is small whatever the exception holds, and making one never raises.
"""

import traceback

MESSAGE_MAX = 4 * 1024
STACK_MAX = 16 * 1024

_own_folder = __file__.rpartition("/")[0]


class BadResponse(Exception):
    """The handler's answer cannot be sent. The engine knows this name."""


class BadRequest(Exception):
    """The payload cannot be given to the handler."""


class LoadError(Exception):
    """The code cannot be loaded, for a reason that has no traceback worth showing."""


def guest_error(error):
    if isinstance(error, (BadResponse, BadRequest, LoadError)):
        return {"name": type(error).__name__, "message": _cut(str(error), MESSAGE_MAX), "stack": ""}
    try:
        message = str(error)
    except Exception as fault:
        message = "(its message cannot be shown: %s)" % type(fault).__name__
    return {"name": type(error).__name__, "message": _cut(message, MESSAGE_MAX), "stack": stack_of(error)}


def stack_of(error):
    try:
        text = "".join(traceback.format_exception(type(error), error, _users_part(error.__traceback__)))
    except Exception as fault:
        text = "(the traceback of %s cannot be shown: %s)" % (type(error).__name__, type(fault).__name__)
    return _cut(text.rstrip("\n"), STACK_MAX)


def _users_part(tb):
    """Leaves out the guest's and the import machinery's frames above the user's."""
    at = tb
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if not file.startswith((_own_folder, "<frozen importlib")):
            return at
        at = at.tb_next
    return None


def _cut(text, most):
    """The beginning and the end: a traceback begins with where and ends with what."""
    if len(text) <= most:
        return text
    return text[: most // 2] + "\n… (cut)\n" + text[-most // 2 :]
