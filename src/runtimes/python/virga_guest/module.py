"""The module `virga`, as functions import it: connections, publish, queue, topic, stream, start_workflow, VirgaError…

Invariant: a module of this name that the function brings, or has installed, comes first; nothing is made before it is
imported. Installed by instance.py.
"""

import sys


class Finder:
    """The last of sys.meta_path."""

    def __init__(self, services):
        self._services = services

    def find_spec(self, name, path=None, target=None):
        if name != "virga":
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self, origin="virga")

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from .publishing import Publishing
        from .services import Connections, ServiceError
        from .workflow.values import FatalError

        publishing = Publishing(self._services)
        module.__doc__ = "What a function asks of its node."
        module.connections = Connections(self._services)
        module.publish = publishing.publish
        module.queue = publishing.queue
        module.topic = publishing.topic
        module.stream = publishing.stream
        module.start_workflow = publishing.start_workflow
        module.send_to_workflow = publishing.send_to_workflow
        module.FatalError = FatalError
        module.VirgaError = ServiceError
        module.__all__ = ["FatalError", "VirgaError", "connections", "publish", "queue", "send_to_workflow", "start_workflow", "stream", "topic"]


def install(services):
    sys.meta_path.append(Finder(services))
