"""CloudEvents over HTTP, in both modes of the HTTP binding, as the package cloudevents reads and writes them."""

import base64
import json
from urllib.parse import unquote

from ..exceptions import InvalidRequiredFields, MissingRequiredFields
from .event import CloudEvent

__all__ = ["CloudEvent", "from_dict", "from_http", "from_json", "is_binary", "is_structured", "to_binary", "to_dict", "to_json", "to_structured"]

_STRUCTURED = "application/cloudevents+json"


def is_binary(headers):
    names = {name.lower() for name in dict(headers)}
    return {"ce-specversion", "ce-source", "ce-type", "ce-id"} <= names


def is_structured(headers):
    return any(name.lower() == "content-type" and value.startswith(_STRUCTURED) for name, value in dict(headers).items())


def from_http(headers, data):
    if not is_binary(headers):
        return from_json(data)
    attributes = {}
    for name, value in dict(headers).items():
        lower = name.lower()
        if lower.startswith("ce-"):
            attributes[lower[3:]] = unquote(value)
        elif lower == "content-type":
            attributes["datacontenttype"] = value
    return CloudEvent(attributes, _decoded(data))


def from_json(data):
    try:
        return from_dict(json.loads(data))
    except ValueError as error:
        raise MissingRequiredFields("it is not valid JSON: %s" % error) from None


def from_dict(event):
    if not isinstance(event, dict) or "specversion" not in event:
        raise MissingRequiredFields("it has no specversion")
    attributes = {name: value for name, value in event.items() if name not in ("data", "data_base64")}
    if "data_base64" in event:
        try:
            return CloudEvent(attributes, base64.b64decode(event["data_base64"]))
        except ValueError as error:
            raise InvalidRequiredFields("data_base64: %s" % error) from None
    return CloudEvent(attributes, event.get("data"))


def to_dict(event):
    result = event.get_attributes()
    if isinstance(event.data, (bytes, bytearray)):
        result["data_base64"] = base64.b64encode(event.data).decode()
    elif event.data is not None:
        result["data"] = event.data
    return result


def to_json(event):
    return json.dumps(to_dict(event)).encode()


def to_structured(event):
    return {"content-type": _STRUCTURED}, to_json(event)


def to_binary(event):
    headers = {}
    for name, value in event.get_attributes().items():
        headers["content-type" if name == "datacontenttype" else "ce-" + name] = str(value)
    data = event.data
    return headers, data if isinstance(data, (bytes, bytearray)) else json.dumps(data).encode()


def _decoded(data):
    """JSON where it is some; else the text; else the bytes."""
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        pass
    try:
        return data.decode()
    except (UnicodeDecodeError, AttributeError):
        return data
