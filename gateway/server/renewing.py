"""Renews the membership of running sessions at their providers, in the background.

A request that finds its session due begins a renewal and does not wait for it. One
process at a time renews a session: its turn is a key in Redis, which expires. The
new refresh token is stored first, then the session, by compare-and-set.

| the provider | the session |
| --- | --- |
| describes the user | has the roles, traits and tenants of now |
| does not accept the refresh token, or the user may not sign in any more | ends |
| does not answer, or not as it should | stays as it is; it is tried again |
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import EndedAtRenewal, MembershipChanged
from gateway.oidc.access_token import keeps_access_token, with_access_token
from gateway.oidc.failure import SignInFailed
from gateway.oidc.membership import (
    FACTS,
    change_between,
    due_at,
    provider_of,
    renewed_session,
)
from gateway.oidc.oauth_response import GrantRefused
from gateway.oidc.person import Person
from gateway.oidc.provider import Provider
from gateway.oidc.renewal import NotTheUser, open_renewal
from gateway.oidc.token import Tokens
from gateway.oidc.vault import NONCE_BYTES, NotOpened, Vault
from gateway.reasons import Reason
from gateway.server.context import Services
from gateway.server.refresh_tokens import RefreshTokens
from gateway.server.runtime import Runtime
from gateway.sessions.record import Session
from gateway.sessions.renewals import RenewalStore
from gateway.sessions.store import SessionStore

_AT_ONCE: Final = 64
"""Renewals of one provider at a time; further ones begin with a later request."""
_CALLS: Final = 6
"""Time-outs of the provider that a turn lasts: more than a renewal has calls."""
_MARGIN: Final = 10.0
_BUSY: Final = 2.0
"""Seconds until it is tried again while it is another process's turn."""
_DOWN: Final = 5.0
"""Seconds without a call to a provider that did not answer."""
_PATIENCE: Final = 5.0
"""Seconds that a request waits whose upstream needs an access token that has expired."""
_REMEMBERED: Final = 10_000
_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class _Newer:
    """What a renewal brought."""

    person: Person | None
    tokens: Tokens = field(repr=False)
    vault: Vault


class Renewer:
    """Renews the sessions of one process."""

    def __init__(
        self, services: Services, store: SessionStore, renewals: RenewalStore
    ) -> None:
        self._services = services
        self._store = store
        self._renewals = renewals
        self._running: dict[str, asyncio.Event] = {}
        self._calling: Counter[str] = Counter()
        self._owner = services.system.secret(16).hex()
        self._refresh_tokens = RefreshTokens(renewals, services.system)
        self._later: dict[str, float] = {}
        self._down: dict[str, float] = {}

    def start(self, key: str, runtime: Runtime) -> None:
        """Begin to renew a session, unless that runs or has just failed; never waits.

        Whose it is, its record says. So there is room for one more than the providers:
        those that hang hold up no other one.
        """
        most = _AT_ONCE * (len(runtime.providers) + 1)
        if key in self._running or len(self._running) >= most:
            return
        if self._services.draining or self._later.get(key, -inf) > self._ticks():
            return
        self._running[key] = asyncio.Event()
        self._services.run_in_background(self._run(key, runtime))

    async def _run(self, key: str, runtime: Runtime) -> None:
        try:
            await self._renew(key, runtime)
        except StoreUnavailable:
            self._not_before(key, _BUSY)
        except Exception as error:  # noqa: BLE001 - no caller awaits it
            self._not_before(key, _DOWN)
            self._services.report.log_unhandled_exception(error)
        finally:
            self._running.pop(key).set()

    async def renewed(self, key: str, runtime: Runtime) -> None:
        """Wait until a renewal has ended, within the time of one call."""
        self.start(key, runtime)
        running = self._running.get(key)
        if running is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await running.wait()

    async def _renew(self, key: str, runtime: Runtime) -> None:
        session, vault = await self._store.load(key), runtime.vault
        if not isinstance(session, Session) or not session.active or vault is None:
            self._refresh_tokens.forget(key)
            return
        if self._refresh_tokens.is_unstored(key):
            await self._refresh_tokens.store_late(key)
            await self._renewals.end_turn(key, self._owner)
        name = provider_of(session) or ""
        provider = runtime.providers.get(name)
        if provider is None or self._down.get(name, -inf) > self._ticks():
            return
        if self._calling[name] >= _AT_ONCE:
            return
        self._calling[name] += 1
        try:
            await self._take_turn(key, provider, vault, runtime)
        finally:
            self._calling[name] -= 1

    async def _take_turn(
        self, key: str, provider: Provider, vault: Vault, runtime: Runtime
    ) -> None:
        """Renew one session, unless another process does."""
        lease = _CALLS * provider.settings.timeout + _MARGIN
        if not await self._renewals.take_turn(key, self._owner, lease):
            self._not_before(key, _BUSY)
            return
        try:
            async with asyncio.timeout(lease - _MARGIN / 2):
                done = await self._turn(key, provider, vault, runtime)
        except TimeoutError:
            done = False
        if done:
            await self._renewals.end_turn(key, self._owner)
        else:
            # The turn stays taken, so that no other process tries again at once.
            unstored = self._refresh_tokens.is_unstored(key)
            self._not_before(key, _BUSY if unstored else lease)

    async def _turn(
        self, key: str, provider: Provider, vault: Vault, runtime: Runtime
    ) -> bool:
        """Renew one session; return False if it is to be tried again later."""
        session, now = await self._store.load(key), self._services.system.now()
        if not isinstance(session, Session) or not session.active:
            return True
        settings = provider.settings
        due = due_at(session, runtime.rules.refresh, now)
        lacks = settings.keeps_access and due < inf and not keeps_access_token(session)
        if due > now and not lacks:
            return True  # another process did it
        sealed = await self._renewals.load(key)
        try:
            renewal = open_renewal(sealed or b"", vault, settings, key)
        except NotOpened as error:
            failure = SignInFailed(Reason.SESSION_UNREADABLE, f"renewal: {error}")
            return await self._not_renewed(
                key, provider, failure, final=not error.unknown_key
            )
        assert sealed is not None  # noqa: S101 - b"" does not open
        try:
            tokens = await provider.refresh(renewal, now)
            if not await self._refresh_tokens.keep(
                key, session, sealed, renewal, tokens, settings, vault
            ):
                return True
            person = await provider.renewed(renewal, tokens, now)
            newer = _Newer(person, tokens, vault)
            await self._apply(key, provider, newer, now)
        except GrantRefused as refused:
            # Unless another process has a newer one: its turn began after this one expired.
            if await self._renewals.load(key) != sealed:
                return True
            return await self._not_renewed(key, provider, refused, final=True)
        except SignInFailed as failed:
            final = isinstance(failed, NotTheUser)
            return await self._not_renewed(key, provider, failed, final=final)
        return True

    async def _apply(
        self, key: str, provider: Provider, newer: "_Newer", now: float
    ) -> None:
        """Write the membership into the session, unless it has ended.

        Raises:
            NotTheUser: the identity would be another one, or too large for a record.
            StoreUnavailable: the session could not be written.
        """
        person = newer.person
        for _ in range(_ROUNDS):
            old = await self._store.load(key)
            if not isinstance(old, Session) or not old.active:
                return
            if person is not None and person.identity.id != old.identity.id:
                raise NotTheUser(
                    Reason.ACCOUNT_NOT_ALLOWED,
                    "identity.id is that of another identity",
                )
            new = renewed_session(old, person, now)
            if provider.settings.keeps_access:
                new = self._with_access(new, key, provider, newer, now)
            # The push of an amended session has its streams evaluated again, everywhere.
            same = change_between(old, new).nothing
            write = self._store.replace if same else self._store.amend
            try:
                written = await write(key, old, new)
            except ValueError as error:
                raise NotTheUser(Reason.CLAIM_MISSING, f"claims: {error}") from error
            if written:
                self._report_change(provider, old, new)
                return
        raise StoreUnavailable("the session kept changing while it was to be renewed")

    def _with_access(
        self,
        session: Session,
        key: str,
        provider: Provider,
        newer: "_Newer",
        now: float,
    ) -> Session:
        facts = with_access_token(
            session.extra[FACTS],
            newer.tokens,
            newer.vault,
            provider.settings,
            key,
            self._services.system.secret(NONCE_BYTES),
            now,
        )
        return replace(session, extra={**session.extra, FACTS: facts})

    def _report_change(self, provider: Provider, old: Session, new: Session) -> None:
        change, report = change_between(old, new), self._services.report
        name = provider.settings.name
        report.renewed(name, "unchanged" if change.nothing else "changed")
        if change.nothing:
            return
        report.session_event(MembershipChanged(provider=name, change=change), new)

    async def _not_renewed(
        self, key: str, provider: Provider, failure: SignInFailed, *, final: bool
    ) -> bool:
        """Report a failure, and end the session if it is `final`; return `final`."""
        name, report = provider.settings.name, self._services.report
        report.renewal_failed(name, failure, ended=final)
        if not final:
            if failure.reason is Reason.PROVIDER_UNAVAILABLE:
                self._down[name] = self._ticks() + _DOWN
            return False
        now = self._services.system.now()
        ended = await self._store.end(key, now, "provider_refused")
        if ended is not None:
            event = EndedAtRenewal(provider=name, reason=failure.reason)
            report.session_event(event, ended)
        return True

    def _not_before(self, key: str, seconds: float) -> None:
        self._later.pop(key, None)
        self._later[key] = self._ticks() + seconds
        if len(self._later) > _REMEMBERED:
            del self._later[next(iter(self._later))]

    def _ticks(self) -> float:
        return self._services.system.ticks()
