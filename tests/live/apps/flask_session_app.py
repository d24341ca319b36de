"""A Flask app with sessions in Redis and a sign-in by Flask-Login.

Nothing in it knows of the gateway: /admin has no check of its own.
"""

import json
import os
from typing import Any

import redis
from flask import Flask, redirect, request, session
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_user,
    logout_user,
)
from flask_session import Session
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

STORE = redis.Redis.from_url(os.environ["REDIS_URL"])
USERS = {user["email"]: user for user in json.loads(os.environ["USERS"])}

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SESSION_SECRET"],
    SESSION_TYPE="redis",
    SESSION_REDIS=STORE,
    SESSION_USE_SIGNER=True,
)
Session(app)
login = LoginManager(app)


class User(UserMixin):
    def __init__(self, known: dict[str, str]) -> None:
        self.id = known["id"]


@login.user_loader
def load(user_id: str) -> User | None:
    return next((User(u) for u in USERS.values() if u["id"] == user_id), None)


@app.get("/login")
def form() -> str:
    return """<form method="post"><input name="username"><input name="password"
        type="password"><button>Sign in</button></form>"""


@app.post("/login")
def sign_in() -> Response:
    known = USERS.get(request.form["username"])
    if known is None or known["password"] != request.form["password"]:
        return redirect("/login")
    sessions: Any = app.session_interface  # that of Flask-Session has more
    sessions.regenerate(session)
    login_user(User(known))
    # What the gateway is to know of a person besides the id.
    session["email"] = known["email"]
    session["roles"] = [known["role"]]
    return redirect("/dashboard")


@app.post("/logout")
def sign_out() -> Response:
    logout_user()
    return redirect("/")


@app.get("/basket")
def basket() -> list[str]:
    session["basket"] = [*session.get("basket", []), "apples"]
    basket: list[str] = session["basket"]
    return basket


@app.get("/dashboard/report")
def report() -> dict[str, int]:
    """Answer late; the session is written back with the answer."""
    session["reports"] = session.get("reports", 0) + 1
    STORE.rpush("report:started", "1")
    STORE.blpop(["report:finish"], timeout=60)
    return {"reports": session["reports"]}


@app.get("/")
@app.get("/dashboard")
@app.get("/admin")
def told() -> dict[str, object]:
    """Tell what arrived; `me` is whom the app itself takes the visitor for."""
    headers = [part for pair in request.headers for part in pair]
    return {"me": current_user.get_id(), "headers": headers}


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on {server.port}", flush=True)
    server.serve_forever()
