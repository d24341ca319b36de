"""The session API of the admin listener: create, show, extend, revoke."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aiohttp import web

from gateway.errors import NotPermitted, StoreUnavailable
from gateway.reasons import Reason
from gateway.server.admin.named import named
from gateway.server.admin.problem import bad_request, json_reply, problem, view_of
from gateway.server.context import Services
from gateway.server.session_changes import new_session_id, session_of, take_back
from gateway.server.sign_in_headers import InvalidSignIn, sign_in_of
from gateway.sessions.cookie import new_token
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.credential import is_public_id
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.members import Refused, parse_json
from gateway.sessions.record import Session
from gateway.sessions.store import SessionStore, in_browsers
from gateway.spine.ruleset import Ruleset

_TRIES: Final = 64
"""Compare-and-set attempts before 503; each failure is another writer's success."""


class SessionApi:
    """Sessions by public id; the token is returned only at creation."""

    def __init__(self, services: Services, rules: Callable[[], Ruleset]) -> None:
        self._services = services
        self._rules = rules

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths of this API."""
        router.add_post("/admin/sessions", self.create)
        # A plain {id} would not match braces.
        router.add_get("/admin/sessions/{id:[^/]+}", self.show)
        router.add_delete("/admin/sessions/{id:[^/]+}", self.end)
        router.add_patch("/admin/sessions/{id:[^/]+}/extend", self.extend)
        router.add_get("/admin/identities/{id:[^/]+}/sessions", self.list)
        router.add_delete("/admin/identities/{id:[^/]+}/sessions", self.end_all)

    async def create(self, request: web.Request) -> web.Response:
        """Create a session from an object with the format of X-Gateway-Sign-In.

        Returns 201 with the record, the token and a Set-Cookie value; 400 with the
        error in the object; 409 if an application manages the sessions.
        """
        store = self._services.gateway_managed
        if store is None:
            return _read_only()
        try:
            document = parse_json(await request.read())
        except Refused as refused:
            return bad_request(f"the body: {refused}")
        wanted = sign_in_of(document)
        if isinstance(wanted, InvalidSignIn):
            return bad_request(wanted.why)
        services, rules = self._services, self._rules()
        now = services.system.now()
        token = new_token(services.system.secret(32))
        try:
            session = session_of(
                wanted, None, rules, new_session_id(services.system), now
            )
        except ValueError as error:
            return bad_request(str(error))
        await store.create(token.key, session, now)
        services.report.admin_action("created", session)
        if wanted.everywhere:
            try:
                await self._follow(session.identity.id, wanted.change, store, now)
            except (StoreUnavailable, ValueError) as error:
                # Its token is not sent.
                services.run_in_background(take_back(token.key, store, now))
                if isinstance(error, StoreUnavailable):
                    raise
                return bad_request(str(error))
        age = session.expires_at - now if session.persistent else None
        return json_reply(
            201,
            {
                "session": view_of(session),
                "session_token": token.value,
                "set_cookie": rules.cookie.set_cookie(token, age),
            },
        )

    async def show(self, request: web.Request) -> web.Response:
        """Return one session, active or not, while its record is kept; else 404.

        Of an application's sessions only those used recently are known.
        """
        session_id = named(request)
        found = await self._services.store.find(session_id)
        if found is None:
            return _unknown()
        app_managed = self._services.app_managed
        if app_managed is None:
            return json_reply(200, view_of(found[1]))
        session = await app_managed.refresh(session_id, self._services.system.now())
        return (
            json_reply(200, view_of(session))
            if isinstance(session, Session)
            else _unknown()
        )

    async def end(self, request: web.Request) -> web.Response:
        """Revoke one session; 204 even if it had ended before, 404 if it is unknown.

        A session of an application need not be known: its id is revoked in any case.
        """
        app_managed = self._services.app_managed
        if app_managed is not None:
            return await self._end_by_hash(app_managed, named(request))
        found = await self._services.store.find(named(request))
        if found is None:
            return _unknown()
        if (
            await self._services.store.end(found[0], self._services.system.now())
            is not None
        ):
            self._services.report.admin_action("revoked", found[1])
        return web.Response(status=204)

    async def extend(self, request: web.Request) -> web.Response:
        """Extend a session by its lifespan from now; 409 if it has ended."""
        store = self._services.gateway_managed
        if store is None:
            return _read_only()
        for _ in range(_TRIES):
            found = await self._services.store.find(named(request))
            if found is None:
                return _unknown()
            key, session = found
            extended = self._extended(session)
            if isinstance(extended, web.Response):
                return extended
            # Another writer was faster: read the session again.
            if await store.replace(key, session, extended):
                return json_reply(200, view_of(extended))
        raise StoreUnavailable("the session kept changing while it was extended")

    def _extended(self, session: Session) -> Session | web.Response:
        now = self._services.system.now()
        if not session.active or session.expires_at <= now:
            ended = Reason.SESSION_EXPIRED if session.active else Reason.SESSION_REVOKED
            return problem(409, ended, "the session has ended")
        if session.token_name is not None:
            detail = "an access token is not extended; create another one"
            return problem(409, Reason.BAD_REQUEST, detail)
        lifetimes = self._rules().lifetimes
        if lifetimes.extend_within is None:
            # The lifespan counts from the sign-in, so a later end would have no effect.
            detail = "sessions.extend_within is null, so no session is extended"
            return problem(409, Reason.BAD_REQUEST, detail)
        return replace(session, expires_at=now + lifetimes.lifespan)

    async def list(self, request: web.Request) -> web.Response:
        """Return the active sessions of an identity; 409 if an application manages them."""
        if self._services.gateway_managed is None:
            return _read_only()
        found = await self._services.store.list_for(
            named(request), self._services.system.now()
        )
        return json_reply(200, [view_of(session) for _, session in in_browsers(found)])

    async def end_all(self, request: web.Request) -> web.Response:
        """Revoke every session and access token of an identity; return their number."""
        identity, now = named(request), self._services.system.now()
        count = 0
        for store in filter(None, (self._services.store, self._services.own_tokens)):
            try:
                found = await store.list_for(identity, now)
            except NotPermitted:
                if store is self._services.store or self._rules().takes_tokens:
                    raise
                continue  # who may not read tokens takes none
            count += await store.end_all(identity, now, None)
            for _, session in found:
                self._services.report.admin_action("revoked", session)
        return json_reply(200, {"count": count})

    async def _follow(
        self, identity_id: str, change: IdentityChange, store: SessionStore, now: float
    ) -> None:
        count = ChangeCount()
        await change_sessions(store, identity_id, change, now=now, count=count)
        self._services.report.identity_changed(
            identity_id, change.members, count.changed
        )

    async def _end_by_hash(
        self, app_managed: ExternalStore, session_id: str
    ) -> web.Response:
        if not is_public_id(session_id):
            return _unknown()
        ended = await app_managed.end(session_id, self._services.system.now())
        if ended is not None:
            self._services.report.admin_action("revoked", ended)
        return web.Response(status=204)


def _read_only() -> web.Response:
    return problem(
        409,
        Reason.SESSION_READ_ONLY,
        "an app keeps the sessions (sessions.format): here they are looked up and"
        " ended, not made, changed or listed",
    )


def _unknown() -> web.Response:
    return problem(404, Reason.UNKNOWN_SESSION, "there is no session with this id")
