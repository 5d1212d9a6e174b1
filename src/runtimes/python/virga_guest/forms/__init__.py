"""The forms that this guest knows: how code expects itself to be loaded and called, and what its results mean.

`Form` is Virga's own way; others (one module or package each, imported when a function of that form is loaded) derive
from it and change what differs. Invariant: whatever the form, invocations, answers and logs are those of every function.
Made by instance.py; used by loading.py and workers.py.
"""

from ..answer import answer_of
from ..context import Context
from ..failures import LoadError
from ..http_event import event_of


DEFAULT_EXPORT = "handler"


class Form:
    def __init__(self, init):
        self.init = init
        # Where the function's code is, as the code is to see it.
        self.code_folder = init["codeFolder"]

    def environment(self):
        return self.init["env"]

    def search_path(self, file_folder):
        """What comes before everything else on sys.path."""
        return [self.code_folder] if self.code_folder == file_folder else [self.code_folder, file_folder]

    def before_loading(self):
        """The environment and sys.path are set."""

    def evaluate(self, file, path, evaluate):
        """The module of the handler; `evaluate` makes one of the file whatever its name is."""
        return evaluate(file, path)

    def handler_of(self, file, path, export, evaluate, exported):
        """What is called for each invocation with event_of() and context_of() of it."""
        return exported(self.evaluate(file, path, evaluate), file, export or DEFAULT_EXPORT)

    def load_error(self, error):
        """What is to be said instead of what loading the code raised."""
        return error

    def event_of(self, meta, body):
        return event_of(meta, body)

    def context_of(self, invocation):
        return Context(self.init, invocation)

    def answer_of(self, meta, event, result):
        return answer_of(meta, result)


def form_of(init):
    name = init.get("form")
    if name is None:
        return Form(init)
    if name == "lambda":
        from .aws_lambda import AwsLambda

        return AwsLambda(init)
    if name == "google":
        from .google import Google

        return Google(init)
    raise LoadError("the Python runtime runs no code of the form '%s'; it knows lambda and google" % name)
