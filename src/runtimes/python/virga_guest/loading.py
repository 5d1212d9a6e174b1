"""From INIT to a handler that can be called: environment, module search path, the user's module, its export.

Invariant: the user's file wins over any module of its name, and the standard library over installed packages, as when
Python runs a script. Raises whatever the user's code raises, or LoadError. Called by instance.py, on the main thread.
"""

import os
import sys
import time

from . import compiled
from .failures import LoadError
from .forms import form_of


class Loaded:
    def __init__(self, form, handler, load_ms, init_ms):
        self.form = form
        self.handler = handler
        self.load_ms = load_ms
        self.init_ms = init_ms


def load(init):
    started = time.perf_counter()
    form = form_of(init)
    _set_environment(form.environment())
    _add_exit()
    file, _, export = init["handler"].partition("#")
    path = os.path.join(form.code_folder, file)
    sys.path[:0] = form.search_path(os.path.dirname(path))
    _add_packages(os.path.join(form.code_folder, ".packages"))
    if init.get("compiledFolder"):
        compiled.use(form.code_folder, init["compiledFolder"])
    if not os.path.isfile(path):
        raise LoadError("the handler's file '%s' is not in the artifact, whose top folder holds %s" % (file, _listing(form.code_folder)))
    form.before_loading()
    with open(path, "rb") as source:
        source.read()
    read = time.perf_counter()
    try:
        handler = form.handler_of(file, path, export, _evaluate, _exported)
    except Exception as error:
        raise form.load_error(error)
    evaluated = time.perf_counter()
    return Loaded(form, handler, (read - started) * 1000, (evaluated - read) * 1000)


def _set_environment(env):
    os.environ.clear()
    os.environ.update(env)
    if "TZ" in env:
        time.tzset()


def _add_exit():
    """exit() and quit(), which `site` would have added."""
    import builtins

    builtins.exit = builtins.quit = sys.exit


def _add_packages(packages):
    """What a build installed."""
    if os.path.isdir(packages):
        sys.path.append(packages)
        if any(name.endswith(".pth") for name in os.listdir(packages)):
            import site

            site.addsitedir(packages)


def _evaluate(file, path):
    """The module of the handler, registered under the name that an import of it would use."""
    from importlib.machinery import ModuleSpec

    parts = file[: -len(".py")].split("/") if file.endswith(".py") else [os.path.basename(file)]
    dotted = all(part.isidentifier() for part in parts)
    name = ".".join(parts) if dotted else "virga_function"
    if name in sys.modules:
        # A file called like a module that is loaded already (json.py) must not take its place.
        name = "virga_function"
    package = name.rpartition(".")[0]
    if package:
        # Relative imports need the packages around it, with or without an __init__.py.
        __import__(package)
    loader = compiled.loader()(name, path)
    spec = ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = type(sys)(name)
    module.__spec__ = spec
    module.__loader__ = loader
    module.__file__ = path
    module.__package__ = spec.parent
    sys.modules[name] = module
    if package:
        setattr(sys.modules[package], parts[-1], module)
    exec(loader.get_code(name), module.__dict__)
    return module


def _exported(module, file, name):
    handler = module
    for part in name.split("."):
        handler = getattr(handler, part, None)
    if callable(handler):
        return handler
    if handler is not None:
        raise LoadError("'%s' in %s is of type %s; it must be a function handler(event, context)" % (name, file, type(handler).__name__))
    functions = [key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", None) == module.__name__]
    defines = "it defines %s" % ", ".join(sorted(functions)[:10]) if functions else "it defines no function"
    raise LoadError("%s has no '%s' (%s); name the export in virga.yaml as %s#name" % (file, name, defines, file))


def _listing(folder):
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return "nothing that can be read (%s)" % error.strerror
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "") if names else "nothing"
