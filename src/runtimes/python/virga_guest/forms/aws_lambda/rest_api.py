"""AWS API Gateway's REST APIs, payload format 1.0: the event of an HTTP request
(docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html).

Header names come in lower case from the gateway; a REST API gives those of HTTP as its clients and CloudFront spell them
(`Content-Type`), and so does this. Invariant: the same event as in the Node guest (rest-api.ts). Called by __init__.py.
"""

import time

from ...authorizer import principal_of, rest_authorizer_of
from ...http_event import body_of, log_time, split_url

_SPELLED = {
    name.lower(): name
    for name in (
        "Accept Accept-Encoding Accept-Language Authorization Cache-Control Content-Encoding Content-Language Content-Length "
        "Content-Type Cookie DNT Date ETag From Host If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since "
        "Origin Pragma Range Referer Upgrade-Insecure-Requests User-Agent Via Warning X-Amzn-Trace-Id X-Forwarded-For "
        "X-Forwarded-Port X-Forwarded-Proto"
    ).split()
}
# What an identity has when nobody proved one; every field is there.
_NOBODY = (
    "accessKey accountId apiKey apiKeyId caller clientCert cognitoAuthenticationProvider cognitoAuthenticationType "
    "cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn"
).split()


def rest_event(meta, body, account, api):
    host, path, query_text = split_url(meta["url"])
    values = {}
    for at in range(0, len(meta["headers"]), 2):
        values.setdefault(meta["headers"][at].lower(), []).append(meta["headers"][at + 1])
    lower = {name: several[-1] for name, several in values.items()}
    query = _query_of(query_text)
    route, method = meta["route"], meta["method"]
    now = time.time()
    identity = dict.fromkeys(_NOBODY)
    principal = principal_of(meta)
    if principal and principal["kind"] == "key":
        identity["apiKeyId"] = principal["id"]
    identity["sourceIp"] = meta["client"]
    identity["userAgent"] = lower.get("user-agent")
    event = {
        "version": "1.0",
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": {_SPELLED.get(name, name): value for name, value in lower.items()},
        "multiValueHeaders": {_SPELLED.get(name, name): several for name, several in values.items()},
        "queryStringParameters": query and {name: several[-1] for name, several in query.items()},
        "multiValueQueryStringParameters": query,
        "requestContext": {
            "accountId": account,
            "apiId": api,
            "authorizer": rest_authorizer_of(principal),
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "extendedRequestId": meta["id"],
            "httpMethod": method,
            "identity": identity,
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": meta["id"],
            "requestTime": log_time(now),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": "%s %s" % (method, route),
            "resourcePath": route,
            "stage": "$default",
        },
        "pathParameters": meta["params"] or None,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }
    if body:
        event["body"], event["isBase64Encoded"] = body_of(body, lower)
    return event


def _query_of(text):
    """None: there is none."""
    if not text:
        return None
    from urllib.parse import parse_qsl

    values = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return values or None
