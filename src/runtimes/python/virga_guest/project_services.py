"""What a context has of the function's own project: its WebSockets, and what can be sent to it.

Invariant: nothing is imported before it is asked for. Mixed into the contexts of the forms, which have the instance's `_services`.
"""


class ProjectServices:
    __slots__ = ()

    @property
    def connections(self):
        """The WebSockets of the project."""
        from .services import Connections

        return Connections(self._services)

    @property
    def _publishing(self):
        from .publishing import Publishing

        return Publishing(self._services)

    @property
    def publish(self):
        """Events for the project itself: publish({"type": …, "data": …})."""
        return self._publishing.publish

    @property
    def queue(self):
        """queue(name).send(body, …)"""
        return self._publishing.queue

    @property
    def topic(self):
        """topic(name).publish(body, …)"""
        return self._publishing.topic

    @property
    def stream(self):
        """stream(name).append(data, key=…)"""
        return self._publishing.stream

    @property
    def start_workflow(self):
        """start_workflow(name, input, id=…)"""
        return self._publishing.start_workflow

    @property
    def send_to_workflow(self):
        """send_to_workflow(name, run, event, data, id=…)"""
        return self._publishing.send_to_workflow
