"""Orders from a queue. One that cannot be read is told apart, so that the others need not come again."""

import json
import logging

from orders.prices import total

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def handler(event, context):
    failures = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
            logger.info("order of %d cents, attempt %s", total(order["lines"]), record["attributes"]["ApproximateReceiveCount"])
        except (ValueError, KeyError) as error:
            logger.error("message %s cannot be used: %r", record["messageId"], error)
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
