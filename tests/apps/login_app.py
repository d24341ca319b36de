"""The app that signs users in: a form at /auth/login, and the sign-in header."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

FORM = (
    b"<!doctype html><title>Sign in</title><form method=post>"
    b"<input name=user required><button>Sign in</button></form>"
)
USERS: dict[str, dict[str, Any]] = {
    "ada": {"email": "ada@example.com", "name": "Ada Lovelace", "roles": ["admin"]},
    "zoe": {
        "email": "zoe@example.com",
        "name": "Zo\u00eb B\u00e9b\u00e9",
        "roles": ["staff"],
    },
    "mo": {"email": "mo@example.com", "name": "Mo", "roles": []},
}


class Login(BaseHTTPRequestHandler):
    """Accepts a name as its own proof; no app to copy."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, FORM)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        name = parse_qs(body)["user"][0]
        user = USERS[name]
        statement = {
            "identity": {
                "id": f"u_{name}",
                "traits": {
                    "email": user["email"],
                    "name": user["name"],
                    "username": name,
                },
                "roles": user["roles"],
            }
        }
        query = parse_qs(urlsplit(self.path).query)
        sign_in = base64.urlsafe_b64encode(json.dumps(statement).encode()).decode()
        self._send(
            303,
            b"",
            ("Location", query.get("return_to", ["/"])[0]),
            ("X-Gateway-Sign-In", sign_in),
        )

    def _send(self, status: int, body: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Login).serve_forever()
