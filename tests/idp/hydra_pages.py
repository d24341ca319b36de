"""Login, consent and logout pages for Ory Hydra: python hydra_pages.py PORT ADMIN_URL.

The password of everyone is `pw`. POST /people?alice={json} changes a person.
"""

import http.server
import json
import sys
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

PORT, ADMIN = int(sys.argv[1]), sys.argv[2]
PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {
        "name": "Alice Archer",
        "email": "alice@example.com",
        "email_verified": True,
        "roles": ["staff", "admin"],
        "groups": ["/engineering"],
        "organizations": {"acme": {"name": "Acme"}, "globex": {"name": "Globex"}},
    }
}
FORM = """<!doctype html><title>Test sign-in</title><form method=post>
<input name=login autofocus><input name=password type=password>
<label><input type=checkbox name=mfa value=1>second factor</label>
<button name=do value=login>Sign in</button></form>"""


def admin(method: str, path: str, body: object = None) -> Any:
    request = Request(
        f"{ADMIN}/admin/oauth2/auth/requests{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Pages(http.server.BaseHTTPRequestHandler):
    def send(self, status: int, text: str, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def go_on(self, answer: Any) -> None:
        self.send(302, "", answer["redirect_to"])

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/login":
            challenge = f"?login_challenge={query['login_challenge']}"
            requested = admin("GET", f"/login{challenge}")
            if not requested["skip"]:
                return self.send(200, FORM)
            subject = {"subject": requested["subject"]}
            return self.go_on(admin("PUT", f"/login/accept{challenge}", subject))
        if parts.path == "/consent":
            challenge = f"?consent_challenge={query['consent_challenge']}"
            requested = admin("GET", f"/consent{challenge}")
            granted = {
                "grant_scope": requested["requested_scope"],
                "remember": True,
                "session": {"id_token": PEOPLE[requested["subject"]]},
            }
            return self.go_on(admin("PUT", f"/consent/accept{challenge}", granted))
        if parts.path == "/logout":
            challenge = f"?logout_challenge={query['logout_challenge']}"
            return self.go_on(admin("PUT", f"/logout/accept{challenge}"))
        return self.send(404, json.dumps(query))

    def do_POST(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        length = int(self.headers["Content-Length"])
        form = dict(parse_qsl(self.rfile.read(length).decode()))
        if form.get("login") not in PEOPLE or form.get("password") != "pw":
            return self.send(401, "wrong")
        strong = bool(form.get("mfa"))
        accepted = {
            "subject": form["login"],
            "remember": True,
            "acr": "mfa" if strong else "pwd",
            "amr": ["pwd", "otp"] if strong else ["pwd"],
        }
        challenge = f"?login_challenge={query['login_challenge']}"
        return self.go_on(admin("PUT", f"/login/accept{challenge}", accepted))

    def log_message(self, *_args: Any) -> None:
        """Write no line for each request."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Pages).serve_forever()
