"""A request as the event of AWS API Gateway HTTP APIs, payload format 2.0, and the payload of a direct invocation.

Invariant: an event means here what it means at AWS, and the same as in the Node guest; nothing of the request is lost:
a body that is not text comes as base64, cookies as a list of their own. Called by forms/, which share its parts.
"""

import json
import time

from .failures import BadRequest

_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT_TYPES = ("json", "xml", "javascript", "graphql", "x-www-form-urlencoded", "x-ndjson")


def event_of(meta, body):
    return http_event(meta, body) if meta["kind"] == "http" else payload_of(meta, body)


def payload_of(meta, body):
    """JSON as its value (nothing as {}), text as str, anything else as bytes."""
    media = media_type(meta.get("contentType") or "application/json")
    if media == "application/json" or media.endswith("+json"):
        if not body:
            return {}
        try:
            return json.loads(body)
        except ValueError as error:
            raise BadRequest("the payload is not valid JSON: %s" % error) from None
    if is_text(media):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    return body


def http_event(meta, body, account="anonymous", api=None, request_id=None, route_key=None):
    """`api`: without one, the first label of the host; `request_id`: the id of the invocation; `route_key`: method and route."""
    flat = meta["headers"]
    headers = {}
    cookies = []
    for at in range(0, len(flat), 2):
        name = flat[at].lower()
        value = flat[at + 1]
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        else:
            headers[name] = headers[name] + "," + value if name in headers else value
    host, path, query = split_url(meta["url"])
    label = host.split(".")[0]
    route = route_key or "%s %s" % (meta["method"], meta["route"])
    now = time.time()
    event = {"version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query}
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if query:
        event["queryStringParameters"] = query_parameters(query)
    event["requestContext"] = {
        "accountId": account,
        "apiId": api or label,
        "domainName": host,
        "domainPrefix": label,
        "http": {
            "method": meta["method"],
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": meta["client"],
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id or meta["id"],
        "routeKey": route,
        "stage": "$default",
        "time": log_time(now),
        "timeEpoch": int(now * 1000),
    }
    if meta.get("principal"):
        from .authorizer import authorizer_of, principal_of

        event["requestContext"]["authorizer"] = authorizer_of(principal_of(meta))
    if meta["params"]:
        event["pathParameters"] = meta["params"]
    event["isBase64Encoded"] = False
    if body:
        event["body"], event["isBase64Encoded"] = body_of(body, headers)
    return event


def body_of(body, headers):
    """Text as it is, anything else in base64; and whether it is that."""
    if "content-encoding" not in headers and is_text(media_type(headers.get("content-type", "text/plain"))):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    from base64 import b64encode

    return b64encode(body).decode(), True


def log_time(seconds):
    """e.g. `12/Mar/2026:19:03:58 +0000`."""
    utc = time.gmtime(seconds)
    return "%02d/%s/%d:%02d:%02d:%02d +0000" % (utc[2], _MONTHS[utc[1]], utc[0], utc[3], utc[4], utc[5])


def split_url(url):
    """Host name, path, query."""
    rest = url.partition("://")[2]
    address, slash, rest = rest.partition("/")
    host = address.rpartition(":")[0] if ":" in address and not address.endswith("]") else address
    path, _, query = (slash + rest).partition("?")
    return host, path or "/", query


def query_parameters(query):
    from urllib.parse import parse_qsl

    parameters = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = parameters[name] + "," + value if name in parameters else value
    return parameters


def media_type(content_type):
    return content_type.partition(";")[0].strip().lower()


def is_text(media):
    kind, _, subtype = media.partition("/")
    return kind == "text" or (kind == "application" and (subtype in _TEXT_TYPES or subtype.endswith(("+json", "+xml"))))
