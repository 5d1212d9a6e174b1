# A Flask app, served by the server that comes with it, as a small Cloud Run service is.
import json
import os
import time

from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/flask")
def hello():
    return {"hello": request.args.get("name", "world"), "revision": os.environ["K_REVISION"]}


@app.get("/flask/slowly")
def slowly():
    def lines():
        for number in range(3):
            yield f"{number}\n"
            time.sleep(0.1)

    return Response(lines(), mimetype="text/plain")


@app.post("/flask/sum")
def total():
    return {"sum": sum(request.get_json())}


@app.post("/")
def event():
    print("event", request.headers.get("ce-type"))
    return {"type": request.headers.get("ce-type"), "data": json.loads(request.data or "null")}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]), threaded=True)
