"""A stand-in for the package functions-framework, for artifacts that do not carry it: its decorators, and a Flask app of a function's file.

Invariant: what is here means what it means in the package (github.com/GoogleCloudPlatform/functions-framework-python); what is not
here says that the package has it. Found by google/__init__.py after everything else on the search path.
"""

import functools
import inspect
import os
import sys

import flask
from cloudevents import exceptions as cloud_exceptions
from cloudevents.http import from_http

from . import exceptions

_STATUS_HEADER = "X-Google-Status"

_signatures = {}
_input_types = {}


class _BeforeTheApp:
    """Stands for `errorhandler` until there is an app; the package has one of these too."""

    def __call__(self, *args, **kwargs):
        return self


errorhandler = _BeforeTheApp()


def http(function):
    """Registers a function that takes Flask's request."""
    return _registered(function, "http")


def cloud_event(function):
    """Registers a function that takes a CloudEvent."""
    return _registered(function, "cloudevent")


def typed(*args):
    """Registers a function that takes an object of a class with from_dict: @typed, or @typed(Class)."""
    if len(args) == 1 and inspect.isfunction(args[0]):
        return _typed(args[0], None)
    return lambda function: _typed(function, args[0])


def _typed(function, input_type):
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise exceptions.FunctionsFrameworkException("'%s' is typed and takes no argument" % function.__name__)
    annotation = parameters[0].annotation
    annotation = None if annotation is inspect.Parameter.empty else annotation
    if input_type is not None and annotation is not None and input_type is not annotation:
        raise exceptions.FunctionsFrameworkException(
            "'%s': @typed names %r, its annotation %r" % (function.__name__, input_type, annotation)
        )
    input_type = input_type or annotation
    if not callable(getattr(input_type, "from_dict", None)):
        raise exceptions.FunctionsFrameworkException("'%s': the type of its argument has no from_dict" % function.__name__)
    _input_types[function.__name__] = input_type
    return _registered(function, "typed")


def _registered(function, signature):
    _signatures[function.__name__] = signature

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def create_app(target=None, source=None, signature_type=None):
    """The Flask app that calls the function `target` of the file `source`."""
    global errorhandler
    target = target or os.environ.get("FUNCTION_TARGET")
    source = os.path.realpath(source or os.environ.get("FUNCTION_SOURCE", "./main.py"))
    app = flask.Flask(target, template_folder=os.path.join(os.path.dirname(source), "templates"))
    app.register_error_handler(500, _crashed)
    errorhandler = app.errorhandler
    with app.app_context():
        function = _function(source, target)
    signature = _signatures.get(target) or signature_type or os.environ.get("FUNCTION_SIGNATURE_TYPE") or "http"
    os.environ["FUNCTION_SIGNATURE_TYPE"] = signature
    view = _VIEWS.get(signature)
    if view is None:
        raise exceptions.InvalidConfigurationException(
            "'%s' has the signature '%s', which needs the package: name functions-framework in requirements.txt" % (target, signature)
        )
    _route(app, view(function, target), None if signature == "http" else ["POST"])
    return app


def _function(source, target):
    from importlib.util import module_from_spec, spec_from_file_location

    folder, file = os.path.split(source)
    name = os.path.splitext(file)[0]
    spec = spec_from_file_location(name, source, submodule_search_locations=[folder])
    module = module_from_spec(spec)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    function = getattr(module, target, None)
    if inspect.isfunction(function):
        return function
    if function is not None:
        raise exceptions.InvalidTargetTypeException("'%s' in %s is of type %s, not a function" % (target, file, type(function).__name__))
    found = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_"))
    raise exceptions.MissingTargetException("%s has no function '%s'; it has %s" % (file, target, ", ".join(found) or "none"))


def _route(app, view, methods):
    from werkzeug.routing import Rule

    app.url_map.add(Rule("/", defaults={"path": ""}, endpoint="run", methods=methods))
    app.url_map.add(Rule("/<path:path>", endpoint="run", methods=methods))
    app.view_functions["run"] = view
    if methods is None:
        # What browsers ask for by themselves is not the function's.
        app.url_map.add(Rule("/favicon.ico", endpoint="error"))
        app.url_map.add(Rule("/robots.txt", endpoint="error"))
        app.view_functions["error"] = lambda: flask.abort(404, description="Not Found")


def _http_view(function, _target):
    return lambda path: function(flask.request._get_current_object())


def _cloud_event_view(function, _target):
    def view(path):
        try:
            event = from_http(flask.request.headers, flask.request.get_data())
        except (cloud_exceptions.MissingRequiredFields, cloud_exceptions.InvalidRequiredFields) as error:
            flask.abort(400, description="the request is no CloudEvent: %s" % error)
        function(event)
        return "OK"

    return view


def _typed_view(function, target):
    def view(path):
        result = function(_input_types[target].from_dict(flask.request.get_json()))
        if result is None:
            return "", 200
        if type(result).__module__ == "builtins":
            return result
        return flask.jsonify(result.to_dict())

    return view


_VIEWS = {"http": _http_view, "cloudevent": _cloud_event_view, "typed": _typed_view}


def _crashed(error):
    return str(error), 500, {_STATUS_HEADER: "crash"}
