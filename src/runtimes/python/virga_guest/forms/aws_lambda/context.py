"""The context object of a Lambda function (docs.aws.amazon.com/lambda/latest/dg/python-context.html).

Invariant: everything that AWS documents is an attribute that can be read and set, as on the original. Made by __init__.py.
"""

import json
import sys
import time

from ...project_services import ProjectServices
from .identity import request_id_of


class CognitoIdentity:
    """Of Cognito, which calls nothing here: its fields are there, and None."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None])"


class Client:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext:
    """What the caller said of itself. What it did not say is None."""

    __slots__ = ("custom", "env", "client")

    def __init__(self, text):
        said = json.loads(text)
        self.custom = said.get("custom")
        self.env = said.get("env")
        self.client = None
        client = said.get("client")
        if isinstance(client, dict):
            self.client = Client()
            for name in Client.__slots__:
                setattr(self.client, name, client.get(name))


class LambdaContext(ProjectServices):
    client_context = None
    tenant_id = None

    def __init__(self, identity, invocation):
        self._services = identity.services
        self.aws_request_id = request_id_of(invocation.meta["id"])
        self.log_group_name = identity.log_group_name
        self.log_stream_name = identity.log_stream_name
        self.function_name = identity.function_name
        self.memory_limit_in_mb = identity.memory_limit_in_mb
        self.function_version = identity.function_version
        self.invoked_function_arn = identity.function_arn
        self.identity = CognitoIdentity()
        client_context = invocation.meta.get("clientContext")
        if client_context:
            self.client_context = ClientContext(client_context)
        self._epoch_deadline_time_in_ms = int(invocation.deadline * 1000)

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        names = (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb function_version "
            "invoked_function_arn client_context identity tenant_id"
        ).split()
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)
