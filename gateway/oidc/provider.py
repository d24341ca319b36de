"""One provider at work: the steps of a sign-in, of its renewal, and of its end."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from gateway.oidc.attempt import Attempt
from gateway.oidc.authorization import (
    Answer,
    acr_values,
    authorization_parameters,
    authorization_url,
    check_issuer,
    read_pushed,
    refusal_of,
)
from gateway.oidc.client import HttpAnswer, ProviderClient
from gateway.oidc.client_authentication import authenticated
from gateway.oidc.discovery import (
    Metadata,
)
from gateway.oidc.failure import SignInFailed
from gateway.oidc.id_token import Expected, read_auth_time
from gateway.oidc.logout_token import LONGEST
from gateway.oidc.person import (
    Person,
    allowed_person,
    claims_wanted,
    missing_claims,
)
from gateway.oidc.renewal import (
    NotTheUser,
    Renewal,
    check_subject,
    renewal_form,
)
from gateway.oidc.settings import ProviderSettings
from gateway.oidc.sign_out import end_session_url
from gateway.oidc.signed_in import SignedIn, check_step, methods_of
from gateway.oidc.token import Tokens, code_form, read_tokens
from gateway.oidc.userinfo import with_userinfo
from gateway.oidc.verifier import TokenVerifier
from gateway.reasons import Reason

_MOST_PUSHED: Final = 16
"""Pushed requests at one time: visitors cause them, and must not delay sign-ins that end."""


class Provider:
    """One provider of the configuration."""

    def __init__(
        self,
        settings: ProviderSettings,
        client: ProviderClient,
        ticks: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.client = client
        self.verifier = TokenVerifier(settings, client, ticks)
        self._pushing = asyncio.Semaphore(_MOST_PUSHED)
        self._wanted = claims_wanted(settings.person, settings.allow)

    async def begin(
        self,
        attempt: Attempt,
        *,
        choose_account: bool = False,
        levels: Sequence[str] = ("aal2", "aal3"),
        login_hint: str = "",
    ) -> str:
        """Return the address at the provider where an attempt goes on.

        `levels` are the assurance levels that a step-up may reach, the wanted one first.

        Raises:
            SignInFailed: as TokenVerifier.metadata; `step_up_failed` if no `acr` value of the
                configuration has one of the levels.
        """
        if attempt.step == "aal" and not acr_values(self.settings, levels):
            raise SignInFailed(
                Reason.STEP_UP_FAILED, f"step-up: no acr value for {levels[0]}"
            )
        prompt = "select_account" if choose_account else None
        parameters = authorization_parameters(
            self.settings, attempt, prompt=prompt, levels=levels
        )
        if login_hint:
            parameters["login_hint"] = login_hint
        return await self.authorization(parameters, attempt.began)

    async def authorization(self, parameters: dict[str, str], now: float) -> str:
        """Return the address of an authorization request, pushed if that is possible.

        Raises:
            SignInFailed: as TokenVerifier.metadata, or the pushed request is refused.
        """
        settings, metadata = self.settings, await self.verifier.metadata()
        if metadata.pushed is None or settings.pushes is False:
            if settings.pushes:
                raise SignInFailed(
                    Reason.PROVIDER_BAD_ANSWER,
                    "discovery: no address for pushed requests",
                )
            return authorization_url(metadata, parameters)
        async with self._turn_to_push():
            found = await self.call(metadata.pushed, parameters, now)
        sent = self.secrets(parameters["state"], parameters["nonce"])
        uri = read_pushed(found.status, found.body, sent=sent)
        pushed = {"client_id": settings.client_id, "request_uri": uri}
        return authorization_url(metadata, pushed)

    @asynccontextmanager
    async def _turn_to_push(self) -> AsyncIterator[None]:
        """Wait for a turn, as long as one call may take: the queue has no other bound.

        Raises:
            SignInFailed: there was none in that time.
        """
        try:
            async with asyncio.timeout(self.settings.timeout):
                await self._pushing.acquire()
        except TimeoutError:
            raise SignInFailed(
                Reason.PROVIDER_UNAVAILABLE, "pushed request: too many at one time"
            ) from None
        try:
            yield
        finally:
            self._pushing.release()

    async def call(self, url: str, form: Mapping[str, str], now: float) -> HttpAnswer:
        """Return the answer to a request of the client, authenticated as configured.

        Raises:
            SignInFailed: as TokenVerifier.metadata, or there is no answer in time.
        """
        jti = os.urandom(16).hex()
        metadata = await self.verifier.metadata()
        wanted = authenticated(self.settings, metadata, form, now=now, jti=jti)
        return await self.client.post(url, wanted.form, wanted.headers)

    async def sign_out_url(
        self,
        *,
        state: str = "",
        id_token: str | None = None,
        logout_hint: str | None = None,
    ) -> str | None:
        """Return the address that ends the provider's session; None if it is not to end.

        A provider that does not answer, or cannot sign users out, is not an error: the
        session here has ended.
        """
        if not self.settings.sign_out_there:
            return None
        try:
            metadata = await self.verifier.metadata()
        except SignInFailed:
            return None
        if metadata.end_session is None:
            return None
        return end_session_url(
            self.settings,
            metadata.end_session,
            state=state,
            id_token=id_token,
            logout_hint=logout_hint,
        )

    async def finish(self, attempt: Attempt, answer: Answer, now: float) -> SignedIn:
        """Return who signed in.

        Raises:
            SignInFailed: the sign-in fails, for its reason.
        """
        metadata = await self.verifier.metadata()
        check_issuer(answer, self.settings.issuer, required=metadata.names_issuer)
        if answer.code is None:
            raise refusal_of(answer)
        tokens = await self._redeem(metadata, attempt, answer.code, now)
        expected = self._expected(metadata, tokens, attempt.nonce)
        claims = await self.verifier.read_id_token(tokens.id_token or "", expected, now)
        if missing_claims(self._wanted, claims) and metadata.userinfo is not None:
            claims = await with_userinfo(self.client, metadata.userinfo, tokens, claims)
        settings = self.settings
        auth_time = read_auth_time(claims, now)
        level = settings.levels.get(str(claims.get("acr")), "aal1")
        check_step(attempt, auth_time, level)
        person = allowed_person(settings, claims)
        provider = {
            "name": settings.name,
            "issuer": settings.issuer,
            "subject": str(claims["sub"]),
            # As the provider's clock shows it: a logout is of the same clock.
            "issued_at": claims["iat"],
        }
        sid = claims.get("sid")
        if isinstance(sid, str) and 0 < len(sid) <= LONGEST:
            provider["session_id"] = sid
        return SignedIn(
            person=person,
            methods=("oidc", *methods_of(claims.get("amr"))),
            aal=level,
            authenticated_at=auth_time or 0.0,
            provider=provider,
            renewal=self._renewal_of(tokens, claims),
            tokens=tokens if settings.keeps_access else None,
            id_token=(tokens.id_token or "") if settings.sign_out_there else "",
        )

    async def refresh(self, renewal: Renewal, now: float) -> Tokens:
        """Return new tokens for a refresh token.

        If the answer is lost the request is sent once more, at once: the provider may
        have replaced the refresh token, and some accept the old one for seconds.

        Raises:
            GrantRefused: the provider does not accept the refresh token any more.
            SignInFailed: it does not answer, or not as it should.
        """
        metadata = await self.verifier.metadata()
        form = renewal_form(renewal)
        try:
            found = await self.call(metadata.token, form, now)
        except SignInFailed as failure:
            if failure.reason is not Reason.PROVIDER_UNAVAILABLE:
                raise
            found = await self.call(metadata.token, form, now)
        return read_tokens(
            found.status,
            found.body,
            sent=self.secrets(renewal.refresh_token),
            at_refresh=True,
        )

    async def renewed(
        self, renewal: Renewal, tokens: Tokens, now: float
    ) -> Person | None:
        """Return the user as the provider describes them now; None: not described.

        Raises:
            NotTheUser: it is another user, or may not sign in any more.
            SignInFailed: the tokens are not valid, or the provider does not answer.
        """
        settings, metadata = self.settings, await self.verifier.metadata()
        claims: Mapping[str, Any] = {"sub": renewal.subject, "iss": settings.issuer}
        if tokens.id_token is not None:
            expected = self._expected(metadata, tokens, renewal.nonce, renewed=True)
            claims = await self.verifier.read_id_token(tokens.id_token, expected, now)
            check_subject(claims["sub"], renewal)
        elif metadata.userinfo is None:
            return None
        if missing_claims(self._wanted, claims) and metadata.userinfo is not None:
            claims = await with_userinfo(
                self.client, metadata.userinfo, tokens, claims, required=True
            )
        try:
            return allowed_person(settings, claims)
        except SignInFailed as failure:
            if tokens.id_token is None and failure.reason is Reason.CLAIM_MISSING:
                raise  # it may be one that the UserInfo endpoint does not have
            raise NotTheUser(
                failure.reason, failure.detail, account=failure.account
            ) from failure

    def _renewal_of(self, tokens: Tokens, claims: Mapping[str, Any]) -> Renewal | None:
        if self.settings.refresh is None or tokens.refresh_token is None:
            return None
        return Renewal(
            refresh_token=tokens.refresh_token,
            subject=str(claims["sub"]),
            nonce=str(claims["nonce"]),
        )

    async def _redeem(
        self, metadata: Metadata, attempt: Attempt, code: str, now: float
    ) -> Tokens:
        form = code_form(self.settings, attempt, code)
        found = await self.call(metadata.token, form, now)
        sent = self.secrets(code, attempt.verifier)
        return read_tokens(found.status, found.body, sent=sent)

    def secrets(self, *of_request: str) -> tuple[str, ...]:
        """Return what no message may quote of a request."""
        return (*of_request, self.settings.client_secret or "")

    def _expected(
        self, metadata: Metadata, tokens: Tokens, nonce: str, *, renewed: bool = False
    ) -> Expected:
        return Expected(
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            algorithms=metadata.algorithms,
            nonce=nonce,
            access_token=tokens.access_token,
            renewed=renewed,
        )
