"""A small web service: says its version and a greeting, and counts a visitor's visits in a signed cookie."""

import os

from flask import Flask, session

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]  # the same on all instances, so that each takes the others' cookies


@app.get("/")
def hello():
    session["visits"] = session.get("visits", 0) + 1
    return {
        "greeting": os.environ.get("GREETING", "hello"),
        "version": os.environ.get("VERSION", "unknown"),
        "visits": session["visits"],
    }


@app.get("/health")
def health():
    return "ok\n"
