"""The principal of a request as AWS API Gateway tells it to Lambda code: `requestContext.authorizer`.

Invariant: claims of tokens are texts there, whatever they were in the token; the same shapes as in the Node guest
(authorizer-context.ts). Called by http_event.py and forms/aws_lambda/rest_api.py.
"""

import json


def principal_of(meta):
    """None: nobody was asked for."""
    text = meta.get("principal")
    return json.loads(text) if text else None


def authorizer_of(principal):
    """Payload format 2.0."""
    if principal["kind"] == "jwt":
        return {"jwt": {"claims": _texts(principal["claims"]), "scopes": principal["scopes"] or None}}
    return {"lambda": _context_of(principal)}


def rest_authorizer_of(principal):
    """Payload format 1.0."""
    if principal is None:
        return {"claims": None, "scopes": None}
    if principal["kind"] == "jwt":
        return {"claims": _texts(principal["claims"]), "scopes": principal["scopes"] or None}
    return {**_context_of(principal), "integrationLatency": 0}


def _context_of(principal):
    context = {**principal["claims"], "principalId": principal["id"]}
    if "plan" in principal:
        context["usageIdentifierKey"] = principal["plan"]
    if principal["scopes"]:
        context["scopes"] = " ".join(principal["scopes"])
    return context


def _texts(claims):
    return {name: _text_of(value) for name, value in claims.items()}


def _text_of(value):
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[%s]" % " ".join(map(_text_of, value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
