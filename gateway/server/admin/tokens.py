"""The access tokens of the admin API: create, list, show, revoke."""

from typing import Any, Final

from aiohttp import web

from gateway.reasons import Reason
from gateway.server.admin.named import named
from gateway.server.admin.problem import bad_request, json_reply, problem, view_of
from gateway.server.context import Services
from gateway.server.session_changes import new_session_id
from gateway.server.sign_in_headers import InvalidSignIn, sign_in_of
from gateway.sessions.access_token import RANDOM_BYTES, new_access_token
from gateway.sessions.members import Refused, parse_json
from gateway.sessions.record import Session
from gateway.sessions.service import new_token_session
from gateway.sessions.store import access_tokens

_DEFAULT: Final = 90 * 86_400
_LONGEST: Final = 3650 * 86_400
"""Seconds that a token lives."""
_OF_SIGN_INS: Final = ("aal", "authentication_methods", "persistent", "everywhere")
"""Members that a sign-in has, and a token has not."""


class TokenApi:
    """Access tokens by public id; the token itself is returned only at creation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths of this API."""
        router.add_post("/admin/tokens", self.create)
        router.add_get("/admin/tokens", self.list)
        router.add_get("/admin/tokens/{id:[^/]+}", self.show)
        router.add_delete("/admin/tokens/{id:[^/]+}", self.revoke)
        router.add_get("/admin/identities/{id:[^/]+}/tokens", self.list_for)

    async def create(self, request: web.Request) -> web.Response:
        """Create a token from `name`, `expires_in` and the members of X-Gateway-Sign-In.

        Returns 201 with the record and the token; 400 with the error in the object.
        """
        try:
            document = parse_json(await request.read())
            name, lifetime = _name(document), _lifetime(document)
        except Refused as refused:
            return bad_request(f"the body: {refused}")
        wanted = sign_in_of(document)
        if isinstance(wanted, InvalidSignIn):
            return bad_request(wanted.why)
        services = self._services
        now = services.system.now()
        token = new_access_token(services.system.secret(RANDOM_BYTES))
        try:
            session = new_token_session(
                name=name,
                identity=wanted.identity,
                tenants=wanted.tenants,
                active_tenant=wanted.active_tenant_id,
                personal=wanted.personal,
                now=now,
                lifetime=lifetime,
                session_id=new_session_id(services.system),
            )
        except ValueError as error:
            return bad_request(str(error))
        await services.tokens.create(token.key, session, now)
        services.report.admin_action("created", session)
        return json_reply(201, {"session": view_of(session), "token": token.value})

    async def list(self, _request: web.Request) -> web.Response:
        """Return the active tokens of all identities, newest first."""
        now = self._services.system.now()
        found = await self._services.tokens.list_tokens(now)
        return json_reply(200, [view_of(session) for _, session in found])

    async def list_for(self, request: web.Request) -> web.Response:
        """Return the active tokens of an identity, newest first."""
        now = self._services.system.now()
        found = await self._services.tokens.list_for(named(request), now)
        return json_reply(
            200, [view_of(session) for _, session in access_tokens(found)]
        )

    async def show(self, request: web.Request) -> web.Response:
        """Return one token's record, active or not, while it is kept; else 404."""
        found = await self._find(request)
        return _unknown() if found is None else json_reply(200, view_of(found[1]))

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke one token; 204 even if it had ended before, 404 if it is unknown."""
        found = await self._find(request)
        if found is None:
            return _unknown()
        services = self._services
        if await services.tokens.end(found[0], services.system.now()) is not None:
            services.report.admin_action("revoked", found[1])
        return web.Response(status=204)

    async def _find(self, request: web.Request) -> tuple[str, Session] | None:
        found = await self._services.tokens.find(named(request))
        return None if found is None or found[1].token_name is None else found


def _name(document: Any) -> str:
    if not isinstance(document, dict):
        raise Refused("not an object")
    for member in _OF_SIGN_INS:
        if document.get(member) is not None:
            raise Refused(f"{member}: an access token has none")
    name = document.get("name")
    if not isinstance(name, str):
        raise Refused("name: not text")
    return name


def _lifetime(document: dict[str, Any]) -> float:
    seconds = document.get("expires_in")
    if seconds is None:
        return float(_DEFAULT)
    if (
        not isinstance(seconds, int)
        or isinstance(seconds, bool)
        or not 0 < seconds <= _LONGEST
    ):
        raise Refused(f"expires_in: not a number of seconds from 1 to {_LONGEST}")
    return float(seconds)


def _unknown() -> web.Response:
    return problem(404, Reason.UNKNOWN_SESSION, "there is no access token with this id")
