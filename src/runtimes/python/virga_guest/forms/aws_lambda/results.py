"""What the result of a Lambda function means: over HTTP a response of API Gateway (payload format 2.0 or 1.0) or of a function URL,
else JSON; of the events of a queue or a table, which of them have to come again.

Invariant: a result that AWS's integrations refuse is a BadResponse that names the part (they answer 502), but for bytes, which
Lambda has no way to send and this has. Called by __init__.py.
"""

from ...answer import BINARY, JSON, TEXT, Answer, add_header, short, to_json
from ...failures import BadResponse


def result_of(meta, event, result, http_event):
    if isinstance(result, (bytes, bytearray, memoryview)):
        return Answer(200, ["content-type", BINARY], bytes(result))
    if meta["kind"] == "event" and meta["trigger"] == "websocket":
        from .web_socket import socket_reply

        return Answer(200, ["content-type", JSON], to_json(socket_reply(result, event), "the result"))
    if meta["kind"] == "event":
        outcome = outcome_of(result, event) if meta["contentType"].lower().startswith("application/cloudevents+json") else None
        return Answer(200, ["content-type", JSON], to_json(result if outcome is None else outcome, "the result"))
    answer = _http_answer(result, http_event)
    if meta["method"] == "HEAD" or answer.status in (204, 304):
        answer.body = b""
    return answer


def _http_answer(result, http_event):
    if not isinstance(result, dict) or "statusCode" not in result:
        if http_event == "1.0":
            what = "a dict without statusCode" if isinstance(result, dict) else short(result)
            raise BadResponse(
                "the result is %s; with httpEvent: '1.0' it must be a dict with statusCode, and a body that is a str (2.0 takes any value)"
                % what
            )
        # A function URL sends it as the JSON that it is, also when it is a text.
        text = isinstance(result, str) and http_event != "function-url"
        return Answer(200, ["content-type", JSON], result.encode("utf-8", "replace") if text else to_json(result, "the result"))
    status = _status_of(result["statusCode"])
    headers = []
    if http_event == "1.0":
        _add_headers(headers, result, "multiValueHeaders")
        single = []
        _add_headers(single, result, "headers")
        # Both are merged; a pair that both have counts once.
        there = {(headers[at].lower(), headers[at + 1]) for at in range(0, len(headers), 2)}
        for at in range(0, len(single), 2):
            if (single[at].lower(), single[at + 1]) not in there:
                headers += single[at : at + 2]
    else:
        _add_headers(headers, result, "headers")
        cookies = result.get("cookies")
        if cookies is not None and not isinstance(cookies, (list, tuple)):
            raise BadResponse("cookies are %s; they must be a list of strings" % short(cookies))
        for cookie in cookies or ():
            add_header(headers, "set-cookie", cookie)
    body = _body_of(result)
    if body and not any(name.lower() == "content-type" for name in headers[::2]):
        headers += ["content-type", TEXT if http_event in (None, "2.0") else JSON]
    return Answer(status, headers, body)


def _status_of(given):
    status = int(given) if isinstance(given, str) and given.isdigit() else given
    if isinstance(status, float) and status.is_integer():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadResponse("statusCode is %s; it must be a whole number from 200 to 599" % short(given))
    return int(status)


def _add_headers(flat, result, field):
    given = result.get(field)
    if given is None:
        return
    if not isinstance(given, dict):
        raise BadResponse("%s are %s; they must be a dict of strings" % (field, short(given)))
    for name, value in given.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            add_header(flat, name, one)


def _body_of(result):
    body = result.get("body")
    if body is None:
        return b""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, str):
        raise BadResponse("body is %s; it must be a str: use json.dumps(…), or base64 with isBase64Encoded: True" % short(body))
    if result.get("isBase64Encoded") is not True:
        return body.encode("utf-8", "replace")
    from base64 import b64decode

    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise BadResponse("isBase64Encoded is True, but body is not base64: %s" % error) from None


def outcome_of(result, event):
    """None: the result says nothing of single messages."""
    records = event.get("Records") if isinstance(event, dict) else None
    source = records[0].get("eventSource") if records else None
    if source not in ("aws:sqs", "aws:dynamodb", "aws:kinesis") or not isinstance(result, dict):
        return None
    state = {"state": result["state"]} if source == "aws:kinesis" and "state" in result else {}
    if "batchItemFailures" not in result:
        # AWS reads nothing else of it: a "failed" of the function's own, such as a count, is no word of ours.
        return {"failed": [], **state} if "failed" in result else None
    failures = [] if result["batchItemFailures"] is None else result["batchItemFailures"]
    if not isinstance(failures, (list, tuple)):
        raise BadResponse("batchItemFailures are %s; they must be a list of {itemIdentifier}" % short(failures))
    queue = source == "aws:sqs"
    ids = [_sequence_of(record) for record in records]
    failed = {_identifier_of(failure, ids) for failure in failures}
    if queue:
        return {"failed": [id for id in ids if id in failed]}
    # A stream goes on from the first that failed. A record is named by its position, and the state of a window comes along.
    if source == "aws:kinesis":
        return {"failed": [id for id in ids if id in failed], **state}
    first = next((at for at, id in enumerate(ids) if id in failed), len(ids))
    return {"failed": [record["eventID"] for record in records[first:]]}


def _sequence_of(record):
    if "kinesis" in record:
        return record["kinesis"]["sequenceNumber"]
    return record["dynamodb"]["SequenceNumber"] if "dynamodb" in record else record["messageId"]


def _identifier_of(failure, ids):
    """AWS takes a batch with a failure that it cannot place for one that failed as a whole."""
    id = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    if isinstance(id, str) and id in ids:
        return id
    raise BadResponse(
        "batchItemFailures name %s as itemIdentifier, which is none of the batch, so all of it comes again"
        % short(failure if id is None else id)
    )
