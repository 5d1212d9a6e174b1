"""The events of a WebSocket as AWS API Gateway gives them to Lambda ($connect, $disconnect, and the route that a message selects),
and what results mean: of $connect whether the client is let in, of others nothing, as at AWS for routes without a route response.

Invariant: as forms/lambda/web-socket.ts has it in Node (src/runtimes/golden). Called by cloud_events.py and results.py.
"""

import json

from ...failures import BadResponse
from ...answer import short
from ...http_event import log_time

STAGE = "$default"


def socket_event(event, data, api_id, seconds):
    kind = event["type"].rpartition(".")[2]
    context = {
        "routeKey": "$connect",
        "eventType": "CONNECT",
        "extendedRequestId": event["id"],
        "requestTime": log_time(seconds),
        "messageDirection": "IN",
        "stage": STAGE,
        "connectedAt": data.get("connectedAt"),
        "requestTimeEpoch": round(seconds * 1000),
        "identity": {"userAgent": (data.get("headers") or {}).get("user-agent"), "sourceIp": data.get("client")},
        "requestId": event["id"],
        "domainName": data.get("host"),
        "connectionId": data["connectionId"],
        "apiId": api_id,
    }
    principal = data.get("principal")
    if principal:
        context["authorizer"] = {"principalId": principal["id"], **principal.get("claims", {})}
    if kind == "connect":
        headers, query = data.get("headers") or {}, data.get("query") or {}
        made = {"headers": headers, "multiValueHeaders": _listed(headers), "requestContext": context, "isBase64Encoded": False}
        if query:
            made["queryStringParameters"] = query
            made["multiValueQueryStringParameters"] = _listed(query)
        return made
    if kind == "disconnect":
        context.update(routeKey="$disconnect", eventType="DISCONNECT", disconnectStatusCode=data["code"], disconnectReason=data.get("reason"))
        headers = {"Host": data.get("host")}
        return {"headers": headers, "multiValueHeaders": _listed(headers), "requestContext": context, "isBase64Encoded": False}
    text = data.get("text")
    context.update(routeKey=_route_key(text, data.get("routeSelection")), eventType="MESSAGE", messageId=event["id"])
    body = data.get("base64", "") if text is None else text
    return {"requestContext": context, "body": body, "isBase64Encoded": bool(data.get("isBinary"))}


def _route_key(text, selection):
    """`$request.body.a.b` of a message that is a JSON object; `$default` where there is no such text or number."""
    if text is None or selection is None:
        return "$default"
    try:
        value = json.loads(text)
    except ValueError:
        return "$default"
    for key in selection.split(".")[2:]:
        value = value.get(key) if isinstance(value, dict) else None
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else "$default"


def socket_reply(result, event):
    kind = event.get("requestContext", {}).get("eventType") if isinstance(event, dict) else None
    if kind != "CONNECT" or not isinstance(result, dict) or "statusCode" not in result:
        return None
    given = result["statusCode"]
    status = int(given) if isinstance(given, str) and given.isdigit() else given
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadResponse("statusCode is %s; it must be a whole number from 200 to 599" % short(given))
    reply = {"status": status}
    for name, value in (result.get("headers") or {}).items():
        if name.lower() == "sec-websocket-protocol" and isinstance(value, str):
            reply["subprotocol"] = value
    if isinstance(result.get("body"), str):
        reply["body"] = result["body"]
    return reply


def _listed(values):
    return {name: [value] for name, value in values.items()}
