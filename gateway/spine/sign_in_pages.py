"""The pages for signing in, and the addresses that lead to them and back; pure."""

from dataclasses import dataclass
from typing import Final

from gateway.http.head import RequestHead
from gateway.http.prefix import canonical_origin
from gateway.http.query import query_value
from gateway.http.return_to import login_location, safe_return_to
from gateway.reasons import Reason

STRONGER: Final = (Reason.STEP_UP, Reason.AAL_TOO_LOW)
"""Reasons that another sign-in resolves, at the page for step-up."""


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

    def login_location(self, head: RequestHead, reason: Reason) -> str:
        """Return the page that resolves `reason`, with the address to return to."""
        url = self.step_up if reason in STRONGER else self.url
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
            self.return_to,
            head.target.raw if target is None else target,
            reason,
            origin="" if is_here(url, head) else self._origin_of(head),
        )

    def _origin_of(self, head: RequestHead) -> str:
        """Return the origin of a request, if it is one that is returned to."""
        public = self.public_origin
        # Behind a proxy that ends TLS and reports no scheme, that of the public URL.
        for scheme in (head.scheme, public.partition("://")[0]):
            origin = f"{scheme}://{head.authority}"
            if self.safe_return_to(f"{origin}/") is not None:
                return origin
        return public

    def after_sign_in(self, head: RequestHead) -> str:
        """Return the page for a user who is signed in: the one asked for, or home."""
        wanted = query_value(head.target.query, self.return_to)
        if wanted is not None:
            safe = self.safe_return_to(wanted, head)
            if safe is not None:
                return safe
        return self.home

    def absolute(self, location: str, head: RequestHead) -> str:
        """Return a validated address so that it means the same on the public host."""
        if not location.startswith("/"):
            return location
        origin = self._origin_of(head)
        return location if origin == self.public_origin else origin + location

    def safe_return_to(self, value: str, head: RequestHead | None = None) -> str | None:
        """Return a validated address to return to; None if it leads elsewhere.

        Allowed are the origins of the public URL, of the hosts of routes, of
        `allowed_return_urls`, and that of the request `head` itself.
        """
        here: tuple[str, ...] = ()
        if head is not None and head.authority:
            here = (f"{head.scheme}://{head.authority}",)
        return safe_return_to(
            value,
            public_origin=self.public_origin,
            allowed=(*here, *self.route_origins, *self.allowed_return_urls),
        )


def leads_on(head: RequestHead, location: str) -> bool:
    """Return whether a redirect leads to another page than the one requested.

    A sign-in page that itself requires a session would redirect in circles, its
    address growing by each turn, until the browser gives up. A page is shown instead.
    """
    address = location.partition("?")[0].partition("#")[0]
    if not address.startswith("/"):
        if not is_here(address, head):
            return True
        address = "/" + address.partition("://")[2].partition("/")[2]
    return address != head.target.path


def is_here(url: str, head: RequestHead) -> bool:
    """Return whether a page is on the host of the request."""
    if url.startswith("/"):
        return True
    scheme, _, rest = url.partition("://")
    end = min((at for sign in "/?#" if (at := rest.find(sign)) >= 0), default=len(rest))
    page = canonical_origin(scheme, rest[:end])
    # The scheme may differ behind a proxy that ends TLS.
    return page == canonical_origin(scheme, head.authority)
