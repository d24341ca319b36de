"""Sign-ins and sign-outs through every door that the product has."""

import asyncio
import base64
import json
import random
from typing import TYPE_CHECKING

from tests.faults.gateways import ADMIN_TOKEN
from tests.faults.oracle import Expect, State, TrackedSession
from tests.faults.wire import Response

if TYPE_CHECKING:
    from tests.faults.load import Load

BEARER = f"Authorization: Bearer {ADMIN_TOKEN}"
JSON = "Content-Type: application/json"
_AGAIN = 0.3
"""Seconds between two attempts of a sign-out that was not certain."""


def identity(name: str) -> dict[str, object]:
    """Return the JSON object of a sign-in of `name`, a member of one tenant."""
    return {
        "identity": {"id": name, "traits": {}, "roles": ["member"]},
        "tenants": {"t_acme": {"name": "Acme", "role": "owner"}},
        "active_tenant_id": "t_acme",
    }


class Changes:
    """Makes and ends the sessions of a load."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._count = 0

    def _name(self) -> str:
        self._count += 1
        return f"u-{self._load.run_id}-{self._count}"

    async def create_by_admin(self) -> None:
        """Make a session by the admin API."""
        load, name = self._load, self._name()
        _, response = await load.visit(
            "sign-in by admin",
            "POST",
            "/admin/sessions",
            Expect.CHANGE,
            body=json.dumps(identity(name)).encode(),
            fields=(BEARER, JSON),
            admin=True,
        )
        if response is not None and response.status == 201:
            document = json.loads(response.body)
            cookie = document["set_cookie"].partition(";")[0]
            session = TrackedSession(name, cookie, document["session"]["id"])
            load.live.append(session)

    async def sign_in(self) -> None:
        """Sign in by the admin API or as an app does, and use the session at once."""
        load = self._load
        before = len(load.live)
        if random.random() < 0.3:
            await self.create_by_admin()
        else:
            await self._sign_in_by_app()
        if len(load.live) > before:
            await load.visit(
                "just signed in", "GET", "/home/x", Expect.SESSION, load.live[-1]
            )

    async def _sign_in_by_app(self) -> None:
        load, name = self._load, self._name()
        document = json.dumps(identity(name)).encode()
        stated = base64.urlsafe_b64encode(document).decode().rstrip("=")
        _, response = await load.visit(
            "sign-in",
            "POST",
            "/auth/login",
            Expect.SERVED,
            fields=(f"X-Sign-In: {stated}",),
        )
        if response is not None and (cookie := _cookie(response)):
            load.live.append(TrackedSession(name, cookie))

    async def sign_out(self) -> None:
        """End a session that no WebSocket of the load needs, and try it at once."""
        load = self._load
        kept = {id(client.session) for client in load.sockets}
        free = [each for each in load.live if id(each) not in kept]
        if not free:
            return
        session = random.choice(free)
        await self.end(session)
        if session.state is State.ENDED:
            await load.visit(
                "just signed out", "GET", "/home/x", Expect.SESSION, session
            )

    async def end(self, session: TrackedSession) -> None:
        """Sign out until it is answered that it holds, as a person would."""
        load = self._load
        session.state = State.ENDING
        load.live.remove(session)
        first = True
        while session.state is State.ENDING:
            if not first:
                await asyncio.sleep(_AGAIN)
            if not load.running and not first:
                return  # left uncertain, as it was answered
            await self._end_once(session, first=first)
            first = False

    async def _end_once(self, session: TrackedSession, *, first: bool) -> None:
        load = self._load
        ways = ["button", "app", "rest"] + (["admin"] if session.id else [])
        # After an answer that was not certain, only the button says for certain.
        way = random.choice(ways) if first else "button"
        match way:
            case "button":
                _, response = await load.visit(
                    "sign-out", "POST", "/.gateway/logout", Expect.CHANGE, session
                )
                done = response is not None and response.status in {204, 303}
            case "app":
                _, response = await load.visit(
                    "sign-out by app", "POST", "/auth/logout", Expect.CHANGE, session
                )
                done = response is not None and response.status == 200
            case "rest":
                done = await self._end_by_logout_flow(session)
            case _:
                _, response = await load.visit(
                    "sign-out by admin",
                    "DELETE",
                    f"/admin/sessions/{session.id}",
                    Expect.CHANGE,
                    fields=(BEARER,),
                    admin=True,
                )
                done = response is not None and response.status == 204
        if done:
            load.end(session, way)

    async def _end_by_logout_flow(self, session: TrackedSession) -> bool:
        load = self._load
        _, flow = await load.visit(
            "sign-out flow",
            "GET",
            "/.gateway/self-service/logout/browser",
            Expect.CHANGE,
            session,
        )
        if flow is None or flow.status != 200:
            return False
        token = json.loads(flow.body)["logout_token"]
        _, response = await load.visit(
            "sign-out",
            "GET",
            f"/.gateway/self-service/logout?token={token}",
            Expect.CHANGE,
            session,
        )
        return response is not None and response.status in {204, 302, 303}


def _cookie(response: Response) -> str | None:
    for value in response.all("set-cookie"):
        if value.startswith("gateway_session=") and "Max-Age=0" not in value:
            return value.partition(";")[0]
    return None
