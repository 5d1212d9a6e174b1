"""A function URL: whatever is returned is the answer, as JSON."""


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    return {"greeting": "Hello, %s" % name, "routeKey": event["routeKey"], "requestId": event["requestContext"]["requestId"]}
