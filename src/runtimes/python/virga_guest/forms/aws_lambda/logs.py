"""`logging` as AWS Lambda's runtime leaves it: the root logger has a handler, so that logging.basicConfig() does nothing, and its
level is WARNING until the function sets another (or AWS_LAMBDA_LOG_LEVEL does); records have `aws_request_id`.

Invariant: the text of a record is the function's own; time, level and invocation, which Lambda writes in front of it, are
fields of Virga's record. Called once, before the function's code is loaded.
"""

import logging
import time

from ... import logs
from ...invocation import current
from .identity import request_id_of


class RequestIds(logging.Filter):
    def filter(self, record):
        invocation = current.get()
        record.aws_request_id = "" if invocation is None else request_id_of(invocation.meta["id"])
        record.tenant_id = None
        return True


def log_as_lambda(environment):
    logging.basicConfig = logs.plain_basic_config
    logging.Formatter.converter = time.gmtime
    level = environment.get("AWS_LAMBDA_LOG_LEVEL", "WARNING").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    logging.root.setLevel(level if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL") else "WARNING")
    for handler in logging.root.handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.addFilter(RequestIds())
