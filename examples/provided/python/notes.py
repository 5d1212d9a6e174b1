"""Notes in memory; whatever happens elsewhere becomes a note too."""

import json
import time

NOTES = {}


def handler(event, headers):
    if "requestContext" in event:
        return over_http(event)
    if "Records" in event:
        return [from_record(record) for record in event["Records"]]
    if "detail-type" in event:
        return note("%s of %s" % (event["detail-type"], event["source"]))
    left = int(headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000
    print("a direct invocation with %d ms left" % left, flush=True)
    return note(event["text"])


def over_http(event):
    route = event["routeKey"]
    if route == "POST /notes":
        return {"statusCode": 201, "body": json.dumps(note(json.loads(event["body"])["text"]))}
    if route == "GET /notes":
        return {"notes": sorted(NOTES.values(), key=lambda one: one["id"])}
    if route == "GET /digest":
        return digest()
    found = NOTES.get(event["pathParameters"]["id"])
    return found or {"statusCode": 404, "body": "there is no such note"}


def digest():
    """Streamed: a prelude, eight NULs, a line for each note."""
    yield json.dumps({"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"}, "cookies": ["read=1"]}).encode()
    yield bytes(8)
    for one in list(NOTES.values()):
        yield ("%(id)s: %(text)s\n" % one).encode()


def from_record(record):
    source = record.get("eventSource") or record["EventSource"]
    if source == "aws:sqs":
        return note(record["body"])
    if source == "aws:sns":
        return note(record["Sns"]["Message"])
    if source == "aws:s3":
        return note(record["s3"]["object"]["key"])
    return note("%s in %s" % (record["eventName"], source))


def note(text):
    if not text:
        raise ValueError("a note needs a text")
    made = {"id": str(len(NOTES) + 1), "text": text}
    NOTES[made["id"]] = made
    return made
