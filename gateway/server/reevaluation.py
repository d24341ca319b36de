"""Evaluates open streams again after a reload, and when their session changed.

A stream was allowed by the configuration of its start. It ends if the new one would
not allow it. The request and the age of the sign-in count as they were then; the
session counts as it is now.

| change | the stream ends with | a WebSocket closes with |
| --- | --- | --- |
| its route was removed | `no_route`, `misdirected`, `method_not_allowed` | 1008 |
| its route requires more, or the session has less | the reason of the denial | 1008 |
| its session is no longer a member of its tenant | `not_a_member` | 1008 |
| its upstream lost a target, or its route has another upstream | `upstream_changed` | 1012 |

`upstream_changed` ends WebSockets and event streams, whose clients reconnect. Any
other response continues to its end.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.oidc.membership import due_at
from gateway.reasons import Reason
from gateway.server.admitted import Admitted
from gateway.server.context import Services
from gateway.server.runtime import Runtime
from gateway.server.streams import DueChecks, OpenStream, Rechecks
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
    authenticate_token,
)
from gateway.sessions.provider_token import EVERY_TOKEN, KEY_PREFIX, ProviderToken
from gateway.sessions.store import Found, NotSeen
from gateway.spine.credential import token_of
from gateway.spine.reconsider import reconsider

_AT_ONCE: Final = 100
"""Streams whose sessions are looked up in one round trip."""
_CHECK_EVERY: Final = 20.0
"""Seconds between checks for lost notifications: a stream may outlive its session."""


class StreamChecks:
    """Ends the open streams of one process when they must not go on.

    `runtime` returns the active configuration.
    """

    def __init__(self, runtime: Callable[[], Runtime], services: Services) -> None:
        self._runtime = runtime
        self._services = services
        self._sessions = Rechecks(services.streams, self.why_ended, every=_CHECK_EVERY)
        self._tokens = DueChecks(services.streams, self.why_ended)

    def session_ended(self, key: str, _reason: str) -> None:
        """End the streams of a session, after a push from the store."""
        if key != EVERY_TOKEN:
            self._services.streams.end(key, Reason.SESSION_REVOKED)
            return
        streams = self._services.streams
        streams.note_token_ends(self._services.system.ticks())
        self._tokens.soon(
            each for each in streams.sessions() if each.startswith(KEY_PREFIX)
        )

    def session_changed(self, key: str) -> None:
        """Evaluate the streams of a session again, after a push from the store."""
        streams = self._services.streams
        streams.note_change(key)
        if streams.of(key):
            self.evaluate_session(key)

    def evaluate_session(self, key: str) -> None:
        """Look up a session, and end the streams that it does not allow any more.

        Tokens of a provider end by one notification for all: theirs wait for each other.
        """
        if key.startswith(KEY_PREFIX):
            self._tokens.soon((key,))
            return
        self._services.run_in_background(self._evaluate(key))

    async def _evaluate(self, key: str) -> None:
        try:
            reason = await self.why_ended(key)
        except StoreUnavailable:
            self.check_sessions_soon()
            return
        if reason is not None:
            self._services.streams.end(key, reason)

    def check_sessions_soon(self) -> None:
        """Look up the sessions of all streams at once: a push may have been lost."""
        self._sessions.soon()

    async def why_ended(self, key: str) -> Reason | None:
        """Return why a session has ended; None if it is active or was not looked up.

        If it has changed, its streams are evaluated again.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        now = self._services.system.now()
        try:
            found = await _authenticate(key, now, self._services, self._runtime())
        except NotSeen:  # another look-up would have the same result
            return None
        if isinstance(found, Anonymous):
            return found.reason
        self._renew_membership(found, now)
        for stream in self._services.streams.of(key):
            _follow(stream, found, self._runtime())
        return None

    def _renew_membership(self, who: Authenticated, now: float) -> None:
        """Begin a renewal that is due: a stream makes no requests that would."""
        runtime, services = self._runtime(), self._services
        intervals = runtime.rules.refresh
        due = due_at(who.session, intervals, now) if intervals else inf
        if due <= now and services.renewer is not None:
            services.renewer.start(who.key, runtime)

    async def reevaluate(self) -> None:
        """End the streams that the active configuration would not let in."""
        await reevaluate_open_streams(self._runtime(), self._services)

    async def check_sessions(self) -> None:
        """Look up the sessions of all streams every 20 s, until cancelled."""
        await self._sessions.always()

    async def check_tokens(self) -> None:
        """Look up the tokens of providers that may have ended, until cancelled."""
        await self._tokens.always()

    async def reevaluate_periodically(self) -> None:
        """Evaluate again every 20 s, until cancelled.

        The store may have been away when an earlier configuration was replaced.
        """
        while True:
            await asyncio.sleep(_CHECK_EVERY)
            await self.reevaluate()


async def reevaluate_open_streams(runtime: Runtime, services: Services) -> None:
    """End the streams that `runtime` would not allow.

    While the store is unavailable a stream stays open; the next run evaluates it.
    """
    stale = [
        each for each in services.streams.all() if each.evaluated_by is not runtime
    ]
    for first in range(0, len(stale), _AT_ONCE):
        some = stale[first : first + _AT_ONCE]
        keys = {stream.key for stream in some if stream.key is not None}
        found = await asyncio.gather(*(_who(key, runtime, services) for key in keys))
        known: dict[str | None, Authentication | None]
        known = {None: Anonymous(reason=Reason.NO_SESSION)}
        known.update(zip(keys, found, strict=True))
        for stream in some:
            _judge(stream, known[stream.key], runtime)


def _follow(stream: OpenStream, who: Authenticated, runtime: Runtime) -> None:
    version = who.session.version
    if stream.version != version and stream.version is not None:
        _judge(stream, who, runtime)
    stream.version = version


def _judge(stream: OpenStream, who: Authentication | None, runtime: Runtime) -> None:
    if who is None or stream.closed or not isinstance(stream.admitted, Admitted):
        return
    reason = refusal_reason(stream.admitted, who, runtime)
    if reason is None:
        stream.evaluated_by = runtime
    else:
        stream.end(reason)


def refusal_reason(
    admitted: Admitted, who: Authentication, runtime: Runtime
) -> Reason | None:
    """Return why `runtime` would deny the request, or None if it is allowed; pure."""
    context = admitted.context
    head, tenant_id = context.received_head, context.principal.tenant_id
    if head is None or context.route is None:
        return None
    if isinstance(who, Authenticated) and tenant_id is not None:
        # The stream acts for the tenant that the request had, whichever is active now.
        if tenant_id not in who.session.tenants:
            return Reason.NOT_A_MEMBER
        session = replace(who.session, active_tenant_id=tenant_id)
        who = Authenticated(session=session, key=who.key)
    found = reconsider(head, runtime.rules, who, now=context.now)
    if isinstance(found, Reason):
        return found
    before = context.runtime.applications.get(context.route.upstream or "")
    after = runtime.applications.get(found.route.upstream or "")
    if after is None or before is None:
        return Reason.UPSTREAM_CHANGED
    if admitted.reconnects and not before.targets <= after.targets:
        return Reason.UPSTREAM_CHANGED
    return None


async def _who(key: str, runtime: Runtime, services: Services) -> Authentication | None:
    now = services.system.now()
    try:
        return await _authenticate(key, now, services, runtime)
    except StoreUnavailable:
        return None


async def _authenticate(
    key: str, now: float, services: Services, runtime: Runtime
) -> Authentication:
    """Look up the session of open streams again; errors as `_refresh`."""
    policy = runtime.rules.lifetimes
    if not key.startswith(KEY_PREFIX):
        record = await _refresh(key, now, services)
        return authenticate(record, key=key, now=now, policy=policy)
    # Nothing of it is stored: it is read again from the request of a stream.
    held = _provider_token(services.streams.of(key), runtime)
    if held is None or services.provider_tokens is None:
        return Anonymous(reason=Reason.TOKEN_INVALID)
    found = await services.provider_tokens.look_up(held, now, runtime.providers, "")
    return authenticate_token(found, token=held, now=now, policy=policy)


def _provider_token(
    streams: Sequence[OpenStream], runtime: Runtime
) -> ProviderToken | None:
    for stream in streams:
        if isinstance(stream.admitted, Admitted):
            head = stream.admitted.context.received_head
            held = None if head is None else token_of(head, runtime.rules)
            if isinstance(held, ProviderToken):
                return held
    return None


async def _refresh(key: str, now: float, services: Services) -> Found:
    """Look up a session or an access token again, by its key.

    Raises:
        NotSeen: the session of an application was not looked up here, and no access
            token has this key.
        StoreUnavailable: the store does not respond.
    """
    try:
        return await services.store.refresh(key, now)
    except NotSeen:
        token = None
        if services.own_tokens is not None:
            token = await services.own_tokens.refresh(key, now)
        if token is None:
            raise
        return token
