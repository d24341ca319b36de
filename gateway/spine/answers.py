"""Chooses the response to a refused request; pure.

A page navigation is redirected to sign in or to choose a tenant, or gets a page. An API
client gets problem+json. A WebSocket handshake is never
redirected, since no client follows it (RFC 6455, section 4.1, leaves it open).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from gateway.decision import Challenge, Deny
from gateway.http.authorization import CredentialKind
from gateway.http.challenge import (
    basic_challenge,
    bearer_challenge,
    session_challenge,
)
from gateway.http.head import BadRequest, RequestHead
from gateway.http.navigation import is_navigation
from gateway.http.prefix import canonical_origin
from gateway.http.return_to import login_location, safe_return_to
from gateway.http.value import value
from gateway.reasons import ROWS, Reason
from gateway.routes.model import Route, Unauthenticated

Headers: TypeAlias = tuple[tuple[str, str], ...]


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
class SignInPages:
    """Where users are redirected, from the configuration."""

    url: str
    return_to: str
    home: str
    no_tenant: str | None
    step_up: str
    public_origin: str
    allowed_return_urls: tuple[str, ...]
    """Origins, `https://*.example.com` for one label before a domain."""
    route_origins: tuple[str, ...] = ()
    """The origins of the hosts that routes name, in the same form."""


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

    def to_bad_request(self, refusal: BadRequest) -> Problem:
        """Return the answer to a request that is not valid; it echoes nothing of it."""
        headers = refusal.headers
        if refusal.status == 405:
            methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            headers = (*headers, ("Allow", methods))
        return Problem(
            status=refusal.status, reason=refusal.reason, html=False, headers=headers
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
            detail = _OF_TOKENS.get(reason)
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
            login_url=self.login_location(head, reason),
        )

    def redirect(self, head: RequestHead, location: str) -> Redirect:
        """Return a redirect with the status that fits the method."""
        # RFC 9110, section 15.4.4: 303 turns any method into a GET of the other.
        status = 302 if head.method in {"GET", "HEAD"} else 303
        return Redirect(status=status, location=location)

    def login_location(self, head: RequestHead, reason: Reason) -> str:
        """Return the page that resolves `reason`, with the address to return to."""
        page = self.sign_in
        url = page.step_up if reason in _STRONGER else page.url
        return self.page_location(url, head, reason)

    def page_location(
        self, url: str, head: RequestHead, reason: Reason, *, target: str | None = None
    ) -> str:
        """Return a page with the address to return to: a path, or a URL for another host.

        Args:
            url: the page, a path or absolute.
            head: the request.
            reason: the reason, for the page.
            target: where to return to; default: the target of the request.
        """
        return login_location(
            url,
            self.sign_in.return_to,
            head.target.raw if target is None else target,
            reason,
            origin="" if _is_here(url, head) else self._origin_of(head),
        )

    def _origin_of(self, head: RequestHead) -> str:
        """Return the origin of a request, if it is one that is returned to."""
        public = self.sign_in.public_origin
        # Behind a proxy that ends TLS and reports no scheme, that of the public URL.
        for scheme in (head.scheme, public.partition("://")[0]):
            origin = f"{scheme}://{head.authority}"
            if self.safe_return_to(f"{origin}/") is not None:
                return origin
        return public

    def after_sign_in(self, head: RequestHead) -> str:
        """Return the page for a user who is signed in: the one asked for, or home."""
        wanted = query_value(head.target.query, self.sign_in.return_to)
        if wanted is not None:
            safe = self.safe_return_to(wanted, head)
            if safe is not None:
                return safe
        return self.sign_in.home

    def absolute(self, location: str, head: RequestHead) -> str:
        """Return a validated address so that it means the same on the public host."""
        if not location.startswith("/"):
            return location
        origin = self._origin_of(head)
        return location if origin == self.sign_in.public_origin else origin + location

    def safe_return_to(self, value: str, head: RequestHead | None = None) -> str | None:
        """Return a validated address to return to; None if it leads elsewhere.

        Allowed are the origins of the public URL, of the hosts of routes, of
        `allowed_return_urls`, and that of the request `head` itself.
        """
        page = self.sign_in
        here: tuple[str, ...] = ()
        if head is not None and head.authority:
            here = (f"{head.scheme}://{head.authority}",)
        return safe_return_to(
            value,
            public_origin=page.public_origin,
            allowed=(*here, *page.route_origins, *page.allowed_return_urls),
        )

    def _challenge(self, reason: Reason, route: Route, head: RequestHead) -> Answer:
        location = self.login_location(head, reason)
        if _redirects(route, head) and _leads_on(head, location):
            return self.redirect(head, location)
        # RFC 9470, section 3.
        error = "insufficient_user_authentication" if reason in _STRONGER else None
        headers: Headers = (session_challenge(self.realm, error=error),)
        if route.takes_tokens and reason not in _STRONGER:
            headers = self._challenges(route, head)
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
        detail = _OF_TOKENS.get(reason)
        error = None
        if reason is Reason.TWO_CREDENTIALS:
            error = "invalid_request"
        elif sent is CredentialKind.BEARER and detail is not None:
            error = "invalid_token"
        headers = self._challenges(route, head, error=error, description=detail)
        return self.problem(401, reason, head, headers=headers, detail=detail)

    def _challenges(
        self,
        route: Route,
        head: RequestHead,
        *,
        error: str | None = None,
        description: str | None = None,
    ) -> Headers:
        """Return a challenge for each way that the route takes a credential.

        A browser opens its own password dialog for Basic, also above a page that only
        fetched something: a request of a script is not offered it if there is another.
        """
        kinds, realm = route.credentials, self.realm
        headers: Headers = ()
        if CredentialKind.BEARER in kinds:
            headers += (bearer_challenge(realm, error=error, description=description),)
        alone = kinds == _BASIC_ALONE
        if CredentialKind.BASIC in kinds and (alone or not _is_script(head)):
            headers += (basic_challenge(realm),)
        if route.takes_cookie:
            headers += (session_challenge(realm),)
        return headers

    def _deny(
        self, reason: Reason, route: Route, head: RequestHead, *, by_program: bool
    ) -> Answer:
        browser = is_navigation(head) and head.websocket is None and not by_program
        if reason is Reason.ALREADY_SIGNED_IN and browser:
            return self.redirect(head, self.after_sign_in(head))
        choose = self.sign_in.no_tenant
        if reason is Reason.TENANT_MISSING and browser and choose:
            location = self.page_location(choose, head, reason)
            if _leads_on(head, location):
                return self.redirect(head, location)
        if route.forbidden == "404":
            # As if there were no such page: not even the reason is given.
            return self.no_route(head)
        elsewhere = route.forbidden.startswith("/") and browser
        if elsewhere and _leads_on(head, route.forbidden):
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


def _is_script(head: RequestHead) -> bool:
    """Return whether a page's script sent the request; programs have none of these."""
    return (
        head.sec_fetch_mode is not None
        or head.sec_fetch_site is not None
        or head.requested_with is not None
    )


_BASIC_ALONE: Final = frozenset((CredentialKind.BASIC,))
_OF_TOKENS: Final[Mapping[Reason, str]] = {
    Reason.NO_SESSION: "Send an access token.",
    Reason.MALFORMED: "This is not an access token of this site, or not all of one.",
    Reason.UNKNOWN_SESSION: "This access token is unknown.",
    Reason.SESSION_UNREADABLE: "This access token could not be read.",
    Reason.SESSION_EXPIRED: "This access token has expired.",
    Reason.SESSION_REVOKED: "This access token was revoked.",
}
"""The sentence for a program, instead of that about a session."""

_STRONGER: Final = frozenset({Reason.STEP_UP, Reason.AAL_TOO_LOW})


def _leads_on(head: RequestHead, location: str) -> bool:
    """Return whether a redirect leads to another page than the one requested.

    A sign-in page that itself requires a session would redirect in circles, its
    address growing by each turn, until the browser gives up. A page is shown instead.
    """
    address = location.partition("?")[0].partition("#")[0]
    if not address.startswith("/"):
        if not _is_here(address, head):
            return True
        address = "/" + address.partition("://")[2].partition("/")[2]
    return address != head.target.path


def _is_here(url: str, head: RequestHead) -> bool:
    """Return whether a page is on the host of the request."""
    if url.startswith("/"):
        return True
    scheme, _, rest = url.partition("://")
    end = min((at for sign in "/?#" if (at := rest.find(sign)) >= 0), default=len(rest))
    page = canonical_origin(scheme, rest[:end])
    # The scheme may differ behind a proxy that ends TLS.
    return page == canonical_origin(scheme, head.authority)


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


def query_value(query: str | None, name: str) -> str | None:
    """Return the value of a query field; None if it is absent or repeated."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - only on this rare path

    if not query:
        return None
    found = [v for n, v in parse_qsl(query, keep_blank_values=True) if n == name]
    return found[0] if len(found) == 1 else None
