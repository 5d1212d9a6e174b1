"""Writes down what happened elsewhere: one line for each event, whatever it comes from."""

from urllib.parse import unquote_plus


def handler(event, context):
    lines = [line_of(record) for record in event["Records"]] if "Records" in event else [of_bus(event)]
    for line in lines:
        print(line)
    return lines


def line_of(record):
    source = record.get("eventSource") or record.get("EventSource")
    if source == "aws:sns":
        return "topic %s: %s" % (record["Sns"]["TopicArn"].rpartition(":")[2], record["Sns"]["Message"])
    if source == "aws:s3":
        found = record["s3"]["object"]
        return "object %s/%s: %s" % (record["s3"]["bucket"]["name"], unquote_plus(found["key"]), record["eventName"])
    if source == "aws:dynamodb":
        change = record["dynamodb"]
        return "table %s: %s %s" % (record["eventSourceARN"].split("/")[1], record["eventName"], change["Keys"]["id"]["S"])
    raise ValueError("an event of %s, which nobody audits" % source)


def of_bus(event):
    if event["detail-type"] == "Scheduled Event":
        return "schedule %s: due at %s" % (event["resources"][0].rpartition("/")[2], event["time"])
    return "%s from %s: %s" % (event["detail-type"], event["source"], sorted(event["detail"]))
