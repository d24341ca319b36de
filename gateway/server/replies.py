"""From a refusal to the reply that the caller understands; pure.

A browser that navigates is shown the way: to sign in, to its tenants, to a page.
A program is told with problem+json and a status. A WebSocket handshake is never
redirected, since no client follows it (RFC 6455, section 4.1, leaves it open).
"""

from dataclasses import dataclass
from typing import Final, assert_never

from gateway.decision import Challenge, Deny
from gateway.http.head import BadRequest, RequestHead
from gateway.http.navigation import is_navigation
from gateway.http.return_to import login_location, safe_return_to
from gateway.pages.pages import Pages
from gateway.pages.reply import Reply
from gateway.reasons import Reason
from gateway.routes.model import Route, Unauthenticated

_RETRY_AFTER: Final = ("Retry-After", "2")

FAILURES: Final[dict[Reason, int]] = {
    Reason.STORE_UNAVAILABLE: 503,
    Reason.UPSTREAM_UNREACHABLE: 502,
    Reason.UPSTREAM_BAD_ANSWER: 502,
    Reason.UPSTREAM_TIMEOUT: 504,
    Reason.UPSTREAM_BUSY: 503,
    Reason.DRAINING: 503,
    Reason.UPSTREAM_CHANGED: 503,
    Reason.INTERNAL: 500,
    Reason.BODY_TOO_LARGE: 413,
    Reason.HEADERS_TOO_LARGE: 431,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BAD_FRAMING: 400,
    Reason.BAD_TARGET: 400,
}
"""What could not be found out or reached, and its status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPages:
    """Where people are sent, from the configuration."""

    url: str
    return_to: str
    home: str
    no_tenant: str | None
    step_up: str
    public_origin: str
    allowed_return_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Writes every refusal that the gateway gives."""

    pages: Pages
    sign_in: SignInPages
    realm: str

    def to_decision(
        self, decision: Challenge | Deny, route: Route, head: RequestHead
    ) -> Reply:
        """Answer a request that may not pass."""
        if isinstance(decision, Challenge):
            return self._challenge(decision.reason, route, head)
        return self._deny(decision.reason, route, head)

    def to_bad_request(self, refusal: BadRequest, *, request_id: str) -> Reply:
        """Answer what broke a law; echoes nothing of it."""
        extra = refusal.headers
        if refusal.status == 405:
            extra = (*extra, ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
        return self.pages.problem(
            refusal.status,
            refusal.reason,
            html=False,
            request_id=request_id,
            extra_headers=extra,
        )

    def to_failure(self, reason: Reason, head: RequestHead) -> Reply:
        """Answer what could not be found out or reached (FAILURES has the status)."""
        status = FAILURES[reason]
        return self.problem(
            status, reason, head, extra=(_RETRY_AFTER,) if status == 503 else ()
        )

    def no_route(self, head: RequestHead) -> Reply:
        """Answer a request that no route takes."""
        return self.problem(404, Reason.NO_ROUTE, head)

    def method_not_allowed(self, head: RequestHead, allowed: tuple[str, ...]) -> Reply:
        """Answer a method that no route at this address takes."""
        # RFC 9110, section 15.5.6: the answer MUST have Allow.
        return self.problem(
            405,
            Reason.METHOD_NOT_ALLOWED,
            head,
            extra=(("Allow", ", ".join(allowed)),),
        )

    def problem(
        self,
        status: int,
        reason: Reason,
        head: RequestHead,
        *,
        extra: tuple[tuple[str, str], ...] = (),
        login_url: str | None = None,
    ) -> Reply:
        """Answer with a page or problem+json, as the caller reads."""
        return self.pages.problem(
            status,
            reason,
            html=is_navigation(head),
            request_id=head.request_id,
            login_url=login_url,
            extra_headers=extra,
        )

    def unauthenticated(self, reason: Reason, head: RequestHead) -> Reply:
        """Answer 401 on one of our own paths."""
        scheme = f'Session realm="{self.realm}"'
        return self.problem(
            401,
            reason,
            head,
            extra=(("WWW-Authenticate", scheme),),
            login_url=self.login_location(head, reason),
        )

    def redirect(self, head: RequestHead, location: str) -> Reply:
        """Send the caller to another page with the method that fits."""
        # RFC 9110, section 15.4.4: 303 turns any method into a GET of the other.
        status = 302 if head.method in {"GET", "HEAD"} else 303
        return self.pages.redirect(status, location)

    def login_location(self, head: RequestHead, reason: Reason) -> str:
        """Name the page where `reason` can be mended, with the way back."""
        page = self.sign_in
        url = page.step_up if reason in _STRONGER else page.url
        return login_location(url, page.return_to, head.target.raw, reason)

    def after_sign_in(self, head: RequestHead) -> str:
        """Name the page for who is signed in already: the way back, or home."""
        wanted = _query_value(head.target.query, self.sign_in.return_to)
        if wanted is not None:
            safe = self.safe_return_to(wanted)
            if safe is not None:
                return safe
        return self.sign_in.home

    def safe_return_to(self, value: str) -> str | None:
        """Check an address to return to; None when it leads elsewhere."""
        return safe_return_to(
            value,
            public_origin=self.sign_in.public_origin,
            allowed=self.sign_in.allowed_return_urls,
        )

    def _challenge(self, reason: Reason, route: Route, head: RequestHead) -> Reply:
        location = self.login_location(head, reason)
        if _redirects(route, head) and _leads_on(head, location):
            return self.redirect(head, location)
        # RFC 9110, section 15.5.2: a 401 MUST say how to authenticate.
        scheme = f'Session realm="{self.realm}"'
        if reason in _STRONGER:
            # RFC 9470, section 3.
            scheme += ', error="insufficient_user_authentication"'
        return self.problem(
            401,
            reason,
            head,
            extra=(("WWW-Authenticate", scheme),),
            login_url=location,
        )

    def _deny(self, reason: Reason, route: Route, head: RequestHead) -> Reply:
        browser = is_navigation(head) and head.websocket is None
        if reason is Reason.ALREADY_SIGNED_IN and browser:
            return self.redirect(head, self.after_sign_in(head))
        choose = self.sign_in.no_tenant
        if reason is Reason.TENANT_MISSING and browser and choose:
            location = login_location(
                choose, self.sign_in.return_to, head.target.raw, reason
            )
            if _leads_on(head, location):
                return self.redirect(head, location)
        if route.forbidden == "404":
            # As if there were no such page: not even the reason tells.
            return self.no_route(head)
        elsewhere = route.forbidden.startswith("/") and browser
        if elsewhere and _leads_on(head, route.forbidden):
            return self.redirect(head, route.forbidden)
        return self.problem(403, reason, head)


_STRONGER: Final = frozenset({Reason.STEP_UP, Reason.AAL_TOO_LOW})


def _leads_on(head: RequestHead, location: str) -> bool:
    """Tell whether a redirect leads to another page than the one asked for.

    A sign-in page that is itself behind a session would send in circles: its own
    address grows by each turn, until the browser gives up. The person is told instead.
    """
    return location.partition("?")[0].partition("#")[0] != head.target.path


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


def _query_value(query: str | None, name: str) -> str | None:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - only on this rare path

    if not query:
        return None
    found = [v for n, v in parse_qsl(query, keep_blank_values=True) if n == name]
    return found[0] if len(found) == 1 else None
