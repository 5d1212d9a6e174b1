"""A CloudEvent as the package cloudevents has it: attributes by name, and `data`."""

import uuid
from datetime import datetime, timezone

from ..exceptions import InvalidRequiredFields, MissingRequiredFields

_REQUIRED = ("specversion", "id", "source", "type")
_VERSIONS = ("1.0", "0.3")


class CloudEvent:
    @classmethod
    def create(cls, attributes, data):
        return cls(attributes, data)

    def __init__(self, attributes, data=None):
        self._attributes = {name.lower(): value for name, value in attributes.items()}
        self.data = data
        self._attributes.setdefault("specversion", "1.0")
        self._attributes.setdefault("id", str(uuid.uuid4()))
        if self._attributes.get("time") is None:
            self._attributes["time"] = datetime.now(timezone.utc).isoformat()
        if self._attributes["specversion"] not in _VERSIONS:
            raise InvalidRequiredFields("specversion is %r; it must be 1.0" % self._attributes["specversion"])
        missing = [name for name in _REQUIRED if name not in self._attributes]
        if missing:
            raise MissingRequiredFields("it has no %s" % ", ".join(missing))

    def get_attributes(self):
        return dict(self._attributes)

    def get_data(self):
        return self.data

    def get(self, key, default=None):
        return self._attributes.get(key, default)

    def __getitem__(self, key):
        return self._attributes[key]

    def __setitem__(self, key, value):
        self._attributes[key] = value

    def __delitem__(self, key):
        del self._attributes[key]

    def __iter__(self):
        return iter(self._attributes)

    def __len__(self):
        return len(self._attributes)

    def __contains__(self, key):
        return key in self._attributes

    def __eq__(self, other):
        return isinstance(other, CloudEvent) and self.data == other.data and self._attributes == other._attributes

    def __repr__(self):
        return str({"attributes": self._attributes, "data": self.data})
