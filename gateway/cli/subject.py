"""Sender of the request in `gateway explain`: an example, or a session from Redis."""

import asyncio
from hashlib import sha256
from typing import Final

from gateway.build.rules import build_lifetimes
from gateway.cli.stores import redis_address
from gateway.config.load import LoadedConfig
from gateway.errors import GatewayError, StoreUnavailable
from gateway.http.authorization import CredentialKind
from gateway.reasons import Reason
from gateway.sessions.access_token import RANDOM_BYTES, new_access_token
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import TOKEN_BYTES, new_token
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.credential import is_public_id
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import Identity, Session, Tenant
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.service import new_session, new_token_session
from gateway.sessions.store import Found, SessionCredential

_ANONYMOUS: Final = "anonymous"
_EXAMPLES: Final = ("admin", "member")
_LONGEST_ID: Final = 36
"""Of a UUID."""
_LIFETIME: Final = 90 * 86_400.0
# The same each time, as the output is.
_SESSION_ID: Final = "00000000-0000-4000-8000-000000000000"
# Placeholder for the cookie of a session, which only its user has.
_CREDENTIAL: Final = new_token(bytes(TOKEN_BYTES))
PLACEHOLDER: Final = new_access_token(bytes(RANDOM_BYTES))
"""Stands for the access token of a program, which only the program has."""


class Subject:
    """The value of `--as`."""

    def __init__(
        self,
        loaded: LoadedConfig,
        external: Profile | None,
        who: str,
        now: float,
        program: CredentialKind | None = None,
        redis_url: str | None = None,
    ) -> None:
        """Store the arguments; does no I/O.

        Args:
            loaded: the configuration.
            external: session format; None if the gateway writes the sessions.
            who: admin, member, anonymous, or the id of a session.
            now: seconds since the epoch.
            program: how a program sends its access token; None: a browser sends a
                cookie.
            redis_url: where a session is looked up; None: redis.url.
        """
        self.program = program
        self._redis_url = redis_url
        self._loaded = loaded
        self._external = external
        self._who = who
        self._now = now

    def credential(self) -> SessionCredential | Anonymous | None:
        """Return the credential that the session cookie of the request would give.

        None: it is an access token, which is in the request.
        """
        if self.program is not None:
            return None
        if self._who == _ANONYMOUS:
            return Anonymous(reason=Reason.NO_SESSION)
        return _CREDENTIAL

    def record(self) -> Found:
        """Return the session record.

        Raises:
            GatewayError: no such session, or Redis is unavailable.
            ClickException: the Redis URL is invalid, or redis.url is embedded.
        """
        if self._who in _EXAMPLES:
            return self._example()
        try:
            found = asyncio.run(self._find(self._who))
        except StoreUnavailable as error:
            address = redis_address(self._loaded.config, self._redis_url)
            raise GatewayError(f"Redis at {address} is unavailable: {error}") from error
        if found is None:
            raise GatewayError(f"no session with the ID {self.name}")
        if isinstance(found, Session):
            self._refuse_other_kind(found)
        return found

    def _refuse_other_kind(self, found: Session) -> None:
        """Raise GatewayError if no such request could carry this session."""
        if self.program is None and found.token_name is not None:
            raise GatewayError(
                f"{self.name} is an access token; add --bearer or --basic"
            )
        if self.program is not None and found.token_name is None:
            raise GatewayError(
                f"{self.name} is the session of a browser; leave out --{self.program}"
            )

    @property
    def name(self) -> str:
        """Printable name; a hash of what could be a secret.

        Of an app's session the ID is one. Otherwise a session token may have been
        given by mistake: it is longer than a public ID.
        """
        public = is_public_id(self._who) or (
            self._external is None and len(self._who) <= _LONGEST_ID
        )
        if self._who in (*_EXAMPLES, _ANONYMOUS) or public:
            return self._who
        return f"session {sha256(self._who.encode()).hexdigest()[:12]}…"

    def _example(self) -> Session:
        config = self._loaded.config
        admin = self._who == "admin"
        tenant = Tenant(id="t_example", name="Example", role="owner")
        identity = Identity(
            id=f"u_{self._who}",
            traits={"email": f"{self._who}@example.com", "name": self._who.title()},
            roles=config.roles.admin[:1] if admin else ("member",),
        )
        if self.program is not None:
            return new_token_session(
                name="example",
                identity=identity,
                tenants={tenant.id: tenant},
                active_tenant=tenant.id,
                now=self._now,
                lifetime=_LIFETIME,
                session_id=_SESSION_ID,
            )
        return new_session(
            identity=identity,
            tenants={tenant.id: tenant},
            active_tenant=tenant.id,
            methods=("password",),
            aal="aal1",
            persistent=True,
            device=None,
            now=self._now,
            policy=build_lifetimes(config),
            session_id=_SESSION_ID,
        )

    async def _find(self, session_id: str) -> Found:
        redis = self._loaded.config.redis
        address = redis_address(self._loaded.config, self._redis_url)
        if self._external is None or self.program is not None:
            gateway_managed = RedisStore(address, timeout=redis.timeout)
            try:
                found = await gateway_managed.find(session_id)
                return None if found is None else found[1]
            finally:
                await gateway_managed.close()
        app_managed = ExternalStore(address, timeout=redis.timeout, remember=0)
        try:
            credential = await app_managed.search(self._external, session_id)
            if credential is None:
                return None
            return await app_managed.look_up(credential, self._now)
        finally:
            await app_managed.close()
