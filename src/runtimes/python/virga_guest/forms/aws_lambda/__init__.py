"""The form `lambda`: code that was written for AWS Lambda's Python runtime, as it is.

    identity       who the function is: names, ARNs, ids, environment    cloud_events   SQS, SNS, S3, EventBridge, DynamoDB
    context        LambdaContext                                          rest_api       payload format 1.0
    results        what a result means                                    values         DynamoDB's way of writing values

Invariant: events and results mean here what they mean in the Node guest's form of that name
(src/runtimes/node/forms/lambda); src/runtimes/golden holds both to it. Made by forms/__init__.py.
"""

import os
import sys

from ...failures import BadRequest, LoadError
from ...http_event import http_event, payload_of
from .. import Form
from .context import LambdaContext
from .identity import Identity, environment_of, request_id_of, trace_header_of
from .results import result_of

CLOUD_EVENT_TYPE = "application/cloudevents+json"
_TRACE_ID = b"_X_AMZN_TRACE_ID"
# What AWS Lambda's runtime brings along.
_BROUGHT = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath", "six")


class AwsLambda(Form):
    def __init__(self, init):
        super().__init__(init)
        self.identity = Identity(init)
        self._environment = environment_of(init, self.identity)
        self.code_folder = self._environment["LAMBDA_TASK_ROOT"]
        self._http_event = init.get("httpEvent")
        # In the environment there is room for one.
        self._one_by_one = init["concurrency"] == 1

    def environment(self):
        return self._environment

    def search_path(self, file_folder):
        layers = "/opt/python" if self.code_folder != self.init["codeFolder"] else os.path.join(self.code_folder, "opt/python")
        packages = "%s/lib/python%d.%d/site-packages" % ((layers,) + sys.version_info[:2])
        return [self.code_folder] + [folder for folder in (packages, layers) if os.path.isdir(folder)]

    def before_loading(self):
        from .logs import log_as_lambda

        log_as_lambda(self._environment)

    def evaluate(self, file, path, evaluate):
        """As Lambda imports it, by its name from the top of the code: `src/app` is the module src.app."""
        name = file[: -len(".py")].replace("/", ".")
        if name.endswith(".__init__"):
            name = name[: -len(".__init__")]
        if name in sys.modules:
            # Called like a module that is loaded already: at AWS that one would be taken.
            return evaluate(file, path)
        __import__(name)
        return sys.modules[name]

    def load_error(self, error):
        name = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if name is None or name.partition(".")[0] not in _BROUGHT:
            return error
        package = name.partition(".")[0]
        return LoadError(
            "'%s' comes with AWS Lambda's runtime but is not in the function's code: add %s to its requirements.txt, or the package to its folder, and deploy again"
            % (name, package)
        )

    def event_of(self, meta, body):
        if self._one_by_one:
            # Seen by os.environ alone: setenv would keep every value that it ever had, 160 bytes for each call.
            os.environ._data[_TRACE_ID] = trace_header_of(meta["trace"]).encode()
        if meta["kind"] == "event":
            payload = payload_of(meta, body)
            if not meta["contentType"].lower().startswith(CLOUD_EVENT_TYPE):
                return payload
            from ..received_event import complete
            from .cloud_events import from_cloud_event, is_cloud_event

            if not is_cloud_event(payload):
                raise BadRequest(
                    'the payload has the media type %s but is no CloudEvent 1.0: it needs specversion "1.0", id, source and type; send any other JSON as application/json'
                    % CLOUD_EVENT_TYPE
                )
            return from_cloud_event(complete(payload), self.identity)
        if meta["trace"] and "x-amzn-trace-id" not in meta["headers"]:
            # Put in by API Gateway and function URLs where the client did not send one.
            meta["headers"] += ["x-amzn-trace-id", trace_header_of(meta["trace"])]
        project = self.init["project"]
        if self._http_event == "1.0":
            from .rest_api import rest_event

            return rest_event(meta, body, self.identity.account, project)
        if self._http_event == "function-url":
            # Without credentials nobody is known to call; fields that a function URL does not use are left out.
            return http_event(meta, body, "anonymous", project, request_id_of(meta["id"]), "$default")
        return http_event(meta, body, self.identity.account, project, meta["id"])

    def context_of(self, invocation):
        return LambdaContext(self.identity, invocation)

    def answer_of(self, meta, event, result):
        return result_of(meta, event, result, self._http_event)
