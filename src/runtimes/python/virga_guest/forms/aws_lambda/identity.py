"""Who a function is in AWS Lambda's terms: names, ARNs, request ids, trace headers, and the environment variables that Lambda
defines (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).

Invariants, those of src/runtimes/node/forms/lambda/environment.ts: a variable that AWS reserves has Lambda's meaning whatever
the function sets, but for the region and the credentials, which are the function's to choose here; of the others the
function's own value wins. A request id is a UUID that holds the whole id of the invocation.
"""

import os
import sys
import time

DEFAULT_REGION = "us-east-1"
ACCOUNT = "000000000000"
TASK_ROOT = "/var/task"
# What the engine gives every function that says nothing else.
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"


class Identity:
    def __init__(self, init):
        env = init["env"]
        self.region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        self.account = ACCOUNT
        self.project = init["project"]
        self.services = init.get("services")
        self.function_name = init["function"]
        self.function_version = str(init["version"])
        # Without a version, as for a function that is called by its name.
        self.function_arn = "arn:aws:lambda:%s:%s:function:%s" % (self.region, ACCOUNT, self.function_name)
        self.memory_limit_in_mb = str(init["memoryMiB"])
        self.log_group_name = "/aws/lambda/" + self.function_name
        day = "%d/%02d/%02d" % time.gmtime()[:3]
        self.log_stream_name = "%s/[%s]%s" % (day, self.function_version, os.urandom(16).hex())
        self.handler = lambda_handler(init["handler"])


def lambda_handler(handler):
    """`src/app.py#handler` is `src/app.handler` to Lambda."""
    file, _, name = handler.partition("#")
    stem = file[: -len(".py")] if file.endswith(".py") else file
    stem = stem[: -len("/__init__")] if stem.endswith("/__init__") else stem
    return "%s.%s" % (stem, name or "handler")


def environment_of(init, identity):
    """All of it, the function's own included."""
    env = dict(init["env"])
    # Where a sandbox has no folders of its own the links are missing.
    root = TASK_ROOT if init["codeFolder"] == "/code" else init["codeFolder"]
    given = frozenset(env)
    env.update(
        {
            "_HANDLER": identity.handler,
            "AWS_REGION": identity.region,
            "AWS_DEFAULT_REGION": env.get("AWS_DEFAULT_REGION", identity.region),
            "AWS_EXECUTION_ENV": "AWS_Lambda_python%d.%d" % sys.version_info[:2],
            "AWS_LAMBDA_FUNCTION_NAME": identity.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": identity.function_version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": identity.memory_limit_in_mb,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": identity.log_group_name,
            "AWS_LAMBDA_LOG_STREAM_NAME": identity.log_stream_name,
            "LAMBDA_TASK_ROOT": root,
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
        }
    )
    # As on Lambda Managed Instances, where several invocations are in one process too.
    if init["concurrency"] > 1:
        env["AWS_LAMBDA_MAX_CONCURRENCY"] = str(init["concurrency"])
    if env.get("PATH", PLAIN_PATH) == PLAIN_PATH:
        env["PATH"] = PLAIN_PATH + ":/opt/bin"
    defaults = {
        "TZ": "UTC",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:%s:%s/lib:/opt/lib" % (root, root),
        "PYTHONPATH": "/var/runtime",
        # So that AWS X-Ray's SDK, which finds no daemon here, logs instead of raising.
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
    for name, value in defaults.items():
        if name not in given:
            env[name] = value
    return env


_ID_DIGITS = 26
# The digits of our base32 as those of Python's; letters that are none count as zero.
_DIGITS = str.maketrans("abcdefghjkmnpqrstvwxyzilou", "abcdefghijklmnopqrstuv0000")


def request_id_of(invocation_id):
    """The id of an invocation (48 bits of Unix ms and 80 random ones, in 26 digits of base32) as a UUID of version 8: the 42
    lower bits of the time, then the random ones around version and variant (see environment.ts)."""
    value = int(invocation_id.partition("_")[2].rjust(_ID_DIGITS, "0")[:_ID_DIGITS].translate(_DIGITS), 32)
    time_bits = (value >> 80) % (1 << 42)
    random_bits = value & ((1 << 80) - 1)
    start = "%012x" % ((time_bits << 6) | (random_bits >> 74))
    return "%s-%s-8%03x-%04x-%012x" % (
        start[:8],
        start[8:],
        (random_bits >> 62) & 0xFFF,
        0x8000 | ((random_bits >> 48) & 0x3FFF),
        random_bits & 0xFFFF_FFFF_FFFF,
    )


def trace_header_of(trace):
    """W3C's traceparent in AWS X-Ray's words; nothing for nothing."""
    if len(trace) < 55:
        return ""
    return "Root=1-%s-%s;Parent=%s;Sampled=%d" % (trace[3:11], trace[11:35], trace[36:52], int(trace[54], 16) & 1)
