"""Virga's events as Google's functions get them: headers and body of the request that each becomes.

For a function of CloudEvents they are the events that Eventarc delivers (Cloud Storage, Pub/Sub, Cloud Scheduler); for an HTTP function,
what the same sources send to an HTTP target (Cloud Tasks, a Pub/Sub push, Cloud Scheduler). The Node guest makes the same of them
(runtimes/node/forms/google/events.ts, which cites the documents). Invariant: an event of a type that is not Virga's goes on
as it is. Pure; called by google/__init__.py.
"""

import base64
import json
import time

QUEUE = "virga.queue.batch"
_TOPIC = "virga.topic.message"
_CREATED = "virga.storage.object.created"
_REMOVED = "virga.storage.object.removed"
_SCHEDULE = "virga.schedule.due"

_LOCATION = "us-central1"
_MESSAGE = "type.googleapis.com/google.pubsub.v1.PubsubMessage"


def delivery_of(event, signature, project):
    kind = event["type"]
    if kind == _TOPIC:
        published = _published(event, event["data"], project)
        return _json(published["data"]) if signature == "http" else _event(published, signature)
    if kind == _SCHEDULE:
        return _scheduled(event["data"]) if signature == "http" else _event(_executed(event, project), signature)
    if kind in (_CREATED, _REMOVED):
        return _event(_object_event(event), signature)
    return _event(event, signature)


def message_delivery_of(event, message, signature, project):
    """Of one message of a batch."""
    queue = event["data"]["queue"]
    if signature == "http":
        return _task(queue, message)
    topic_message = {"topic": queue, "id": message["id"], "body": message["body"], "attributes": message["attributes"]}
    topic_message.update(sentAt=message["sentAt"], orderingKey=message.get("group"))
    return _event(_published(event, topic_message, project), signature)


def _object_event(event):
    change = event["data"]
    at = event.get("time") or _iso(time.time() * 1000)
    version = change.get("version") or ""
    # Cloud Storage numbers generations by the microsecond too.
    generation = version if version.isdigit() else str(_micros(at))
    data = {
        "kind": "storage#object",
        "id": "%s/%s/%s" % (change["bucket"], change["key"], generation),
        "name": change["key"],
        "bucket": change["bucket"],
        "generation": generation,
        "metageneration": "1",
        "contentType": change.get("contentType") or "application/octet-stream",
        "timeCreated": at,
        "updated": at,
        "storageClass": "STANDARD",
        "timeStorageClassUpdated": at,
        "size": str(change["bytes"]),
        "etag": change["etag"],
    }
    if event["type"] == _REMOVED:
        data["timeDeleted"] = at
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": "//storage.googleapis.com/projects/_/buckets/%s" % change["bucket"],
        "type": "google.cloud.storage.object.v1.%s" % ("finalized" if event["type"] == _CREATED else "deleted"),
        "datacontenttype": "application/json",
        "subject": "objects/%s" % change["key"],
        "time": at,
        "bucket": change["bucket"],
        "data": data,
    }


def _published(event, message, project):
    at = _iso(message["sentAt"])
    attributes = dict(message["attributes"])
    if message.get("subject") is not None:
        attributes.setdefault("subject", message["subject"])
    inner = {"@type": _MESSAGE, "data": base64.b64encode(message["body"].encode()).decode()}
    if attributes:
        inner["attributes"] = attributes
    inner.update(messageId=message["id"], message_id=message["id"], publishTime=at, publish_time=at)
    if message.get("orderingKey") is not None:
        inner["orderingKey"] = message["orderingKey"]
    return {
        "specversion": "1.0",
        "id": message["id"],
        "source": "//pubsub.googleapis.com/projects/%s/topics/%s" % (project, message["topic"]),
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "datacontenttype": "application/json",
        "time": event.get("time") or at,
        "data": {"message": inner, "subscription": "projects/%s/subscriptions/%s" % (project, message["topic"])},
    }


def _executed(event, project):
    due = event["data"]
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": "//cloudscheduler.googleapis.com/projects/%s/locations/%s/jobs/%s" % (project, _LOCATION, due["schedule"]),
        "type": "google.cloud.scheduler.job.v1.executed",
        "datacontenttype": "application/json",
        "time": event.get("time") or _iso(due["dueAt"]),
        "data": {"customData": base64.b64encode(json.dumps(due, separators=(",", ":")).encode()).decode()},
    }


def _scheduled(due):
    """Cloud Scheduler's request to an HTTP target."""
    headers = ["content-type", "application/octet-stream", "user-agent", "Google-Cloud-Scheduler", "x-cloudscheduler", "true"]
    headers += ["x-cloudscheduler-jobname", due["schedule"], "x-cloudscheduler-scheduletime", _iso(due["dueAt"])]
    body = due.get("input", "")
    return headers, (body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))).encode()


def _task(queue, message):
    """Cloud Tasks' request to an HTTP target. The count of retries is 0 the first time."""
    given = next((value for name, value in message["attributes"].items() if name.lower() == "content-type"), None)
    retries = str(message["attempt"] - 1)
    headers = ["content-type", given or ("application/json" if _is_json(message["body"]) else "application/octet-stream")]
    headers += ["user-agent", "Google-Cloud-Tasks", "x-cloudtasks-queuename", queue, "x-cloudtasks-taskname", message["id"]]
    headers += ["x-cloudtasks-taskretrycount", retries, "x-cloudtasks-taskexecutioncount", retries]
    seconds = message["sentAt"] / 1000
    headers += ["x-cloudtasks-tasketa", str(int(seconds) if seconds == int(seconds) else seconds)]
    return headers, message["body"].encode()


def _is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json(value):
    return ["content-type", "application/json"], json.dumps(value).encode()


def _event(event, signature):
    """The framework turns an event into the two arguments of a background function only in the binary mode."""
    if signature != "event":
        return ["content-type", "application/cloudevents+json"], json.dumps(event).encode()
    headers = ["content-type", event.get("datacontenttype") or "application/json"]
    for name, value in event.items():
        if name not in ("data", "data_base64", "datacontenttype"):
            headers += ["ce-" + name, value if isinstance(value, str) else json.dumps(value)]
    if "data_base64" in event:
        return headers, base64.b64decode(event["data_base64"])
    return headers, json.dumps(event.get("data")).encode()


def _iso(ms):
    seconds = int(ms // 1000)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)), int(ms % 1000))


def _micros(at):
    from datetime import datetime, timezone

    moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp() * 1000) * 1000
