"""Chooses the response to a refused request; pure.

A page navigation is redirected to sign in or to choose a tenant, or gets a page. An API
client gets problem+json. A WebSocket handshake is never
redirected, since no client follows it (RFC 6455, section 4.1, leaves it open).
"""

from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from gateway.decision import Challenge, Deny
from gateway.http.authorization import CredentialKind
from gateway.http.challenge import (
    bearer_challenge,
    session_challenge,
)
from gateway.http.head import BadRequest, RequestHead
from gateway.http.navigation import is_navigation
from gateway.http.value import value
from gateway.reasons import ROWS, Reason
from gateway.routes.model import Route, Unauthenticated
from gateway.spine.challenges import TOKEN_SENTENCES, Headers, challenges_of
from gateway.spine.sign_in_pages import STRONGER, SignInPages, leads_on


@value
class Problem:
    """A refusal or a failure: problem+json (RFC 9457), or a page if `html`.

    login_url  where to sign in and come back
    headers    fields in addition to those that the status requires
    detail     replaces the reason's sentence; the gateway's own words
    """

    status: int
    reason: Reason
    html: bool
    login_url: str | None = None
    headers: Headers = ()
    detail: str | None = None


@value
class Redirect:
    """Another page; `status` is 302 or 303."""

    status: int
    location: str


Answer: TypeAlias = Problem | Redirect


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Builds every response of the gateway except those of endpoints."""

    sign_in: SignInPages
    realm: str = field(default="gateway")

    def to_decision(
        self,
        decision: Challenge | Deny,
        route: Route,
        head: RequestHead,
        *,
        sent: CredentialKind | None = None,
    ) -> Answer:
        """Return the answer to a request that is not allowed.

        `sent`: how its credential was sent, if in the Authorization field; a program
        is not redirected.
        """
        if isinstance(decision, Challenge):
            if sent is not None or not route.takes_cookie:
                return self._challenge_program(decision.reason, route, head, sent)
            return self._challenge(decision.reason, route, head)
        return self._deny(decision.reason, route, head, by_program=sent is not None)

    def to_bad_request(self, refusal: BadRequest, *, html: bool = False) -> Problem:
        """Return the answer to a request that is not valid; it echoes nothing of it.

        `html`: the request is a page navigation.
        """
        headers = refusal.headers
        if refusal.status == 405:
            methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            headers = (*headers, ("Allow", methods))
        return Problem(
            status=refusal.status, reason=refusal.reason, html=html, headers=headers
        )

    def to_failure(self, reason: Reason, head: RequestHead) -> Problem:
        """Return the answer to a failure, with the status of the reason's row."""
        row = ROWS[reason]
        wait = row.retry_after
        headers = () if wait is None else (("Retry-After", str(wait)),)
        return self.problem(row.status, reason, head, headers=headers)

    def no_route(self, head: RequestHead) -> Problem:
        """Return a 404."""
        return self.problem(404, Reason.NO_ROUTE, head)

    def method_not_allowed(
        self, head: RequestHead, allowed: tuple[str, ...]
    ) -> Problem:
        """Return a 405 with Allow, which it MUST have (RFC 9110, section 15.5.6)."""
        allow = ("Allow", ", ".join(allowed))
        return self.problem(405, Reason.METHOD_NOT_ALLOWED, head, headers=(allow,))

    def problem(
        self,
        status: int,
        reason: Reason,
        head: RequestHead,
        *,
        headers: Headers = (),
        login_url: str | None = None,
        detail: str | None = None,
    ) -> Problem:
        """Return a problem in the form that the caller reads."""
        return Problem(
            status=status,
            reason=reason,
            html=is_navigation(head),
            login_url=login_url,
            headers=headers,
            detail=detail,
        )

    def unauthenticated(
        self, reason: Reason, head: RequestHead, sent: CredentialKind | None = None
    ) -> Problem:
        """Return a 401 for one of the gateway's own paths; `sent` as above."""
        if sent is not None:
            detail = TOKEN_SENTENCES.get(reason)
            two = reason is Reason.TWO_CREDENTIALS
            challenge = bearer_challenge(
                self.realm,
                error="invalid_request" if two else "invalid_token",
                description=detail,
            )
            headers = (challenge, session_challenge(self.realm))
            return self.problem(401, reason, head, headers=headers, detail=detail)
        return self.problem(
            401,
            reason,
            head,
            headers=(session_challenge(self.realm),),
            login_url=self.sign_in.login_location(head, reason),
        )

    def redirect(self, head: RequestHead, location: str) -> Redirect:
        """Return a redirect with the status that fits the method."""
        # RFC 9110, section 15.4.4: 303 turns any method into a GET of the other.
        status = 302 if head.method in {"GET", "HEAD"} else 303
        return Redirect(status=status, location=location)

    def _challenge(self, reason: Reason, route: Route, head: RequestHead) -> Answer:
        location = self.sign_in.login_location(head, reason)
        if _redirects(route, head) and leads_on(head, location):
            return self.redirect(head, location)
        # RFC 9470, section 3.
        error = "insufficient_user_authentication" if reason in STRONGER else None
        headers: Headers = (session_challenge(self.realm, error=error),)
        if route.takes_tokens and reason not in STRONGER:
            headers = challenges_of(route, head, self.realm)
        if _is_server_action(head):
            headers += (("X-Action-Redirect", f"{location};push"),)
        return self.problem(401, reason, head, headers=headers, login_url=location)

    def _challenge_program(
        self,
        reason: Reason,
        route: Route,
        head: RequestHead,
        sent: CredentialKind | None,
    ) -> Problem:
        """Return a 401 and never a redirect: a program has no page to sign in at."""
        detail = TOKEN_SENTENCES.get(reason)
        error = None
        if reason is Reason.TWO_CREDENTIALS:
            error = "invalid_request"
        elif sent is CredentialKind.BEARER and detail is not None:
            error = "invalid_token"
        headers = challenges_of(
            route, head, self.realm, error=error, description=detail
        )
        return self.problem(401, reason, head, headers=headers, detail=detail)

    def _deny(
        self, reason: Reason, route: Route, head: RequestHead, *, by_program: bool
    ) -> Answer:
        browser = is_navigation(head) and head.websocket is None and not by_program
        if reason is Reason.ALREADY_SIGNED_IN and browser:
            return self.redirect(head, self.sign_in.after_sign_in(head))
        choose = self.sign_in.no_tenant
        if reason is Reason.TENANT_MISSING and browser and choose:
            location = self.sign_in.page_location(choose, head, reason)
            if leads_on(head, location):
                return self.redirect(head, location)
        if route.forbidden == "404":
            # As if there were no such page: not even the reason is given.
            return self.no_route(head)
        elsewhere = route.forbidden.startswith("/") and browser
        if elsewhere and leads_on(head, route.forbidden):
            return self.redirect(head, route.forbidden)
        return self.problem(403, reason, head)


def _is_server_action(head: RequestHead) -> bool:
    """Return whether Next.js posts a server action.

    Its client takes a 401 for a failed action, and leaves the user on the page. It
    follows X-Action-Redirect, the field in which an action's own redirect is sent.
    """
    return head.method == "POST" and any(
        name.lower() == b"next-action" for name, _ in head.headers
    )


def _redirects(route: Route, head: RequestHead) -> bool:
    if head.websocket is not None:
        return False
    match route.unauthenticated:
        case Unauthenticated.AUTO:
            return is_navigation(head)
        case Unauthenticated.REDIRECT:
            return True
        case Unauthenticated.STATUS:
            return False
        case _ as never:
            assert_never(never)
