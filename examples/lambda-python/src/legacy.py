"""Version 1 of the API, behind API Gateway's REST API: its events say everything twice."""

import json


def handler(event, context):
    query = event["multiValueQueryStringParameters"] or {}
    body = {
        "method": event["httpMethod"],
        "path": event["path"],
        "proxy": event["pathParameters"]["path"],
        "tags": query.get("tag", []),
        "host": event["headers"]["Host"],
        "stage": event["requestContext"]["stage"],
        "body": event["body"],
    }
    return {
        "statusCode": 200,
        "headers": {"x-version": "1"},
        "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
        "body": json.dumps(body),
    }
