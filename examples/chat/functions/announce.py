"""Says something to everybody who is connected, in whatever room: any function of the project can."""

import json


def handler(event, context):
    announcement = json.dumps({"announcement": event.get("body", "")})
    return {"toldTo": context.connections.broadcast(None, announcement)}
