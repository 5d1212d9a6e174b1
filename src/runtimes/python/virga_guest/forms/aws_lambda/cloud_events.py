"""Virga's events (src/protocol/events.ts) as AWS Lambda gives them to functions: queues as SQS, topics as SNS, objects as S3,
schedules as EventBridge's scheduled events, table changes as a DynamoDB stream, records of streams as Kinesis, and every other type as an event of EventBridge.

Invariant: an event has the fields that AWS documents, with values of the same type; what exists only at AWS (signatures, host
ids) is an empty text. Called by __init__.py.
"""

import time
from urllib.parse import quote

from ...failures import BadRequest
from .values import attribute_values, size_bytes

_OPERATIONS = {"insert": "INSERT", "update": "MODIFY", "delete": "REMOVE"}


def is_cloud_event(value):
    return (
        isinstance(value, dict)
        and value.get("specversion") == "1.0"
        and all(isinstance(value.get(name), str) for name in ("id", "source", "type"))
    )


def from_cloud_event(event, owner):
    make = _MAKERS.get(event["type"])
    if make is not None:
        return make(event, owner)
    detail = {"data_base64": event["data_base64"]} if "data_base64" in event else event.get("data")
    return _event_bridge_event(
        event["id"], event["type"], event["source"], _seconds_of(event.get("time")), [], {} if detail is None else detail, owner
    )


def _data_of(event, *needed):
    """An event of our own types without what makes it one is said to be so, since anybody may send it by hand."""
    data = event.get("data")
    fields = data if isinstance(data, dict) else {}
    missing = [
        name for name in needed if fields.get(name) is None or (name in ("messages", "changes", "records") and not isinstance(fields[name], list))
    ]
    if missing:
        raise BadRequest(
            "the event '%s' of type %s lacks %s" % (event["id"], event["type"], ", ".join("data." + name for name in missing))
        )
    return fields


def _queue(event, owner):
    data = _data_of(event, "queue", "messages")
    return {"Records": [_sqs_record(message, data["queue"], owner) for message in data["messages"]]}


def _sqs_record(message, queue, owner):
    from base64 import b64encode
    from hashlib import md5

    attributes = {
        "ApproximateReceiveCount": str(message["attempt"]),
        "SentTimestamp": str(message["sentAt"]),
        "SenderId": owner.account,
        "ApproximateFirstReceiveTimestamp": str(message["firstReceivedAt"]),
    }
    for field, name in (("sequence", "SequenceNumber"), ("group", "MessageGroupId"), ("deduplicationId", "MessageDeduplicationId")):
        # Sequence numbers are of FIFO queues alone.
        if message.get(field) is not None and (field != "sequence" or message.get("group") is not None):
            attributes[name] = message[field]
    sent = message.get("attributes") or {}
    record = {
        "messageId": message["id"],
        # Another one for each time that it is received.
        "receiptHandle": b64encode(("%s/%s/%s" % (queue, message["id"], message["attempt"])).encode()).decode(),
        "body": message["body"],
        "attributes": attributes,
        "messageAttributes": {
            name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
            for name, value in sent.items()
        },
        "md5OfBody": md5(message["body"].encode()).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:%s:%s:%s" % (owner.region, owner.account, queue),
        "awsRegion": owner.region,
    }
    if sent:
        record["md5OfMessageAttributes"] = md5(_attributes_digest(sent)).hexdigest()
    return record


def _attributes_digest(attributes):
    """As SQS has it (…/SQSDeveloperGuide/sqs-message-metadata.html); 1: the value is a text."""
    return b"".join(
        _measured(name) + _measured("String") + b"\x01" + _measured(value) for name, value in sorted(attributes.items())
    )


def _measured(text):
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def _topic(event, owner):
    message = _data_of(event, "topic", "body")
    arn = "arn:aws:sns:%s:%s:%s" % (owner.region, owner.account, message["topic"])
    sns = {
        "SignatureVersion": "1",
        "Timestamp": _iso(message["sentAt"] / 1000),
        "Signature": "",
        "SigningCertUrl": "",
        "MessageId": message["id"],
        "Message": message["body"],
        "MessageAttributes": {name: {"Type": "String", "Value": value} for name, value in (message.get("attributes") or {}).items()},
        "Type": "Notification",
        "UnsubscribeUrl": "",
        "TopicArn": arn,
        "Subject": message.get("subject"),
    }
    record = {"EventVersion": "1.0", "EventSubscriptionArn": "%s:%s" % (arn, owner.function_name), "EventSource": "aws:sns", "Sns": sns}
    return {"Records": [record]}


def _object(event, owner):
    change = _data_of(event, "bucket", "key")
    created = event["type"] == "virga.storage.object.created"
    target = {"key": _encoded_key(change["key"])}
    # Of an object that is gone S3 tells neither.
    if created:
        target["size"] = change["bytes"]
        target["eTag"] = change["etag"].replace('"', "")
    if change.get("version") is not None:
        target["versionId"] = change["version"]
    target["sequencer"] = change.get("sequence") or ""
    bucket = change["bucket"]
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": owner.region,
        "eventTime": _iso(_seconds_of(event.get("time"))),
        "eventName": "ObjectCreated:Put" if created else "ObjectRemoved:Delete",
        "userIdentity": {"principalId": owner.account},
        "requestParameters": {"sourceIPAddress": ""},
        "responseElements": {"x-amz-request-id": event["id"], "x-amz-id-2": ""},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": owner.function_name,
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": owner.account}, "arn": "arn:aws:s3:::" + bucket},
            "object": target,
        },
    }
    return {"Records": [record]}


def _encoded_key(key):
    """As in a form: `Happy+Face.jpg`; the slashes stay."""
    return quote(key, safe="/*").replace("%20", "+").replace("~", "%7E")


def _table(event, owner):
    data = _data_of(event, "table", "changes")
    return {"Records": [_stream_record(change, data["table"], owner) for change in data["changes"]]}


def _stream_record(change, table, owner):
    keys, before, after = change["keys"], change.get("before"), change.get("after")
    stream = {"ApproximateCreationDateTime": change["at"] // 1000, "Keys": attribute_values(keys)}
    if after is not None:
        stream["NewImage"] = attribute_values(after)
    if before is not None:
        stream["OldImage"] = attribute_values(before)
    stream["SequenceNumber"] = change["sequence"]
    stream["SizeBytes"] = size_bytes(keys) + size_bytes(before) + size_bytes(after)
    stream["StreamViewType"] = "NEW_AND_OLD_IMAGES"
    return {
        "eventID": change["id"],
        "eventName": _OPERATIONS[change["operation"]],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": owner.region,
        "dynamodb": stream,
        "eventSourceARN": "arn:aws:dynamodb:%s:%s:table/%s/stream/1970-01-01T00:00:00.000" % (owner.region, owner.account, table),
    }


def _stream(event, owner):
    data = _data_of(event, "stream", "records")
    arn = "arn:aws:kinesis:%s:%s:stream/%s" % (owner.region, owner.account, data["stream"])
    shard = "shardId-%012d" % data["partition"]
    result = {"Records": [_kinesis_record(record, shard, arn, owner) for record in data["records"]]}
    window = data.get("window")
    if window is not None:
        result["window"] = {name: _iso(window[name] / 1000)[:19] + "Z" for name in ("start", "end")}
        state = data.get("state")
        result["state"] = {} if state is None else state
        result.update(shardId=shard, eventSourceARN=arn, isFinalInvokeForWindow=window["final"], isWindowTerminatedEarly=False)
    return result


def _kinesis_record(record, shard, arn, owner):
    from base64 import b64encode

    sequence = str(record["position"])
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["key"],
            "sequenceNumber": sequence,
            "data": b64encode(record["data"].encode("utf-8")).decode("ascii"),
            "approximateArrivalTimestamp": record["at"] / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": "%s:%s" % (shard, sequence),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::%s:role/%s" % (owner.account, owner.function_name),
        "awsRegion": owner.region,
        "eventSourceARN": arn,
    }


def _schedule(event, owner):
    due = _data_of(event, "schedule", "dueAt")
    # A target with an input gets that alone (EventBridge's Input, the payload of EventBridge Scheduler).
    if "input" in due:
        return due["input"]
    rule = "arn:aws:events:%s:%s:rule/%s" % (owner.region, owner.account, due["schedule"])
    return _event_bridge_event(event["id"], "Scheduled Event", "aws.events", due["dueAt"] / 1000, [rule], {}, owner)


def _event_bridge_event(id, type, source, seconds, resources, detail, owner):
    return {
        "version": "0",
        "id": id,
        "detail-type": type,
        "source": source,
        "account": owner.account,
        # To the second, as EventBridge tells it.
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)),
        "region": owner.region,
        "resources": resources,
        "detail": detail,
    }


def _iso(seconds):
    whole = int(seconds // 1)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)), int(round((seconds - whole) * 1000)) % 1000)


def _seconds_of(text):
    """Of an RFC 3339 time; without one, now."""
    if text is None:
        return time.time()
    from datetime import datetime, timezone

    # Before Python 3.11 fromisoformat() knew neither Z nor fractions of any length.
    body, zone = (text[:-1], "+00:00") if text[-1:] in "Zz" else (text, "")
    if not zone and text[-6:-5] in "+-":
        body, zone = text[:-6], text[-6:]
    head, _, fraction = body.partition(".")
    try:
        at = datetime.fromisoformat("%s.%s%s" % (head, (fraction + "000000")[:6], zone))
    except ValueError:
        raise BadRequest("the time of the event is '%s'; it must be an RFC 3339 time such as 2026-03-12T19:03:58Z" % text) from None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def _socket(event, owner):
    from .web_socket import socket_event

    needed = {"connect": "query", "message": "isBinary", "disconnect": "code"}[event["type"].rpartition(".")[2]]
    return socket_event(event, _data_of(event, "connectionId", needed), owner.project, _seconds_of(event.get("time")))


_MAKERS = {
    "virga.queue.batch": _queue,
    "virga.topic.message": _topic,
    "virga.storage.object.created": _object,
    "virga.storage.object.removed": _object,
    "virga.table.changed": _table,
    "virga.stream.batch": _stream,
    "virga.schedule.due": _schedule,
    "virga.websocket.connect": _socket,
    "virga.websocket.message": _socket,
    "virga.websocket.disconnect": _socket,
}
