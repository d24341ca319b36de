"""Probes that a front proxy is sent, and what its responses show. Pure.

All are unauthenticated requests for a page that requires a session: a correct front
proxy refuses each of them. What the app receives cannot be seen from outside.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page that is requested, and one that is open to everyone.

    origin  scheme and host with port, as the browser has them
    path    of the page, canonical
    public  a path that requires no session; None if there is none
    headers the names that only the gateway sets
    cookie  the name of the session cookie
    """

    origin: str
    path: str
    public: str | None
    headers: Sequence[str]
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; status 0: nothing in time, for the reason in `failure`."""

    status: int
    location: str | None = None
    body: bytes = b""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request; `finding` returns what is wrong with its answer, or None."""

    name: str
    target: str
    finding: Callable[[Answer], str | None]
    method: str = "GET"
    headers: Pairs = ()
    body: bytes = field(default=b"", repr=False)


def probes_for(page: Page) -> Sequence[Probe]:
    """Return the probes, in the order of the report."""
    asked = f"{page.path}?probe=a%20b"
    return (
        *_unauthenticated(page, asked),
        *_descriptions(page, asked),
        *_detours(page),
        Probe(
            name="a WebSocket handshake gets a 401",
            target=page.path,
            headers=_HANDSHAKE,
            finding=_handshake,
        ),
        Probe(
            name="two session cookies do not sign it in",
            target=asked,
            # The values have not the form of a token, so they cannot be a user's.
            headers=(
                *_PROGRAM,
                ("Cookie", f"{page.cookie}=self-test-1"),
                ("Cookie", f"{page.cookie}=self-test-2"),
            ),
            finding=_challenged,
        ),
        Probe(
            name="/.gateway/ leads to the gateway",
            target="/.gateway/jwks.json",
            headers=_PROGRAM,
            finding=_own_paths,
        ),
    )


def _unauthenticated(page: Page, asked: str) -> Sequence[Probe]:
    """Return probes without a session, of each kind of request."""
    spoofed = [(name, "gateway-self-test") for name in page.headers if name != "Cookie"]
    return (
        Probe(
            name="an API client gets a 401",
            target=asked,
            headers=_PROGRAM,
            finding=_challenged,
        ),
        Probe(
            name="a browser is redirected to sign in, and back to this page",
            target=asked,
            headers=_BROWSER,
            finding=lambda answer: _redirected(answer, page, asked),
        ),
        Probe(
            name="a request with a body is decided",
            method="POST",
            target=asked,
            headers=(*_PROGRAM, ("Content-Type", "text/plain")),
            body=b"x" * 4096,
            finding=_challenged,
        ),
        Probe(
            name="a HEAD request is decided",
            method="HEAD",
            target=asked,
            headers=_PROGRAM,
            finding=_challenged,
        ),
        Probe(
            name="identity headers of a client do not sign it in",
            target=asked,
            headers=(*_PROGRAM, *spoofed),
            finding=_challenged,
        ),
    )


def _descriptions(page: Page, asked: str) -> Sequence[Probe]:
    """Return probes that describe another request than theirs, once and twice."""
    public = page.public or "/"
    spoofed = (
        ("X-Original-URL", page.origin + public),
        ("X-Original-URI", public),
        ("X-Original-Method", "OPTIONS"),
        ("X-Forwarded-Uri", public),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "self-test.invalid"),
        ("X-Forwarded-Proto", "https"),
    )
    return tuple(
        Probe(
            name=f"a client cannot send {name}{how}",
            target=asked,
            headers=(*_PROGRAM, *((name, text),) * times),
            finding=_refused,
        )
        for name, text in spoofed
        for times, how in ((1, ""), (2, " twice"))
    )


def _detours(page: Page) -> Sequence[Probe]:
    """Return probes that reach the page by way of a public path."""
    if page.public is None:
        return ()
    base, rest = page.public.rstrip("/"), page.path.lstrip("/")
    up = page.public.rstrip("/").count("/")
    return tuple(
        Probe(
            name=f"no way around by {dots.format(step)}",
            target=base + dots.format("/".join([step] * up)) + rest,
            headers=_PROGRAM,
            finding=_refused,
        )
        for dots, step in (
            ("/{}/", ".."),
            ("/{}/", "%2e%2e"),
            ("%2f{}%2f", ".."),
            ("/{};/", ".."),
            ("/{}%5c", ".."),
        )
    )


def _challenged(answer: Answer) -> str | None:
    return None if answer.status == 401 else _describe(answer)


def _refused(answer: Answer) -> str | None:
    # A request that is not valid, or that contradicts itself, may be a 400 or 403.
    return None if answer.status in {400, 401, 403, 404, 421} else _describe(answer)


def _handshake(answer: Answer) -> str | None:
    if answer.status in {302, 303}:
        return "redirected: send Sec-WebSocket-Key and Sec-WebSocket-Version to the gateway"
    return _challenged(answer)


def _redirected(answer: Answer, page: Page, asked: str) -> str | None:
    if answer.status == 401:
        return (
            "401: send Accept and Sec-Fetch-Mode to the gateway; nginx: error_page 401"
            " with the Location of the decision"
        )
    if answer.status not in {302, 303}:
        return _describe(answer)
    location = answer.location or ""
    if not urlsplit(location).netloc:
        return f"Location is not absolute: {location or 'missing'}"
    if quote(asked, safe="/") not in location:
        return f"Location does not lead back to {asked}: the gateway was asked about another path"
    if _is_local(location) and not _is_local(page.origin):
        return (
            f"Location is an address of the gateway: {location}; Traefik: "
            "preserveLocationHeader: true, others: send the Host of the client"
        )
    return None


def _own_paths(answer: Answer) -> str | None:
    if answer.status == 200 and b'"keys"' in answer.body:
        return None
    return (
        f"{answer.status}: forward /.gateway/ to server.listen, without asking for a"
        " decision"
    )


def _describe(answer: Answer) -> str:
    status = answer.status
    if not status:
        return f"no response: {answer.failure}"
    if status < 300:
        return f"{status}: FORWARDED TO THE APP without a session"
    if status in {500, 502, 503, 504}:
        return (
            f"{status}: the front proxy got no decision; check server.authz and"
            " server.trusted_proxies, and warnings in the log of the gateway"
        )
    if status in {302, 303}:
        return f"{status}: send the client's Accept to the gateway"
    return f"{status}: expected 401; the log of the gateway has the reason"


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


_PROGRAM: Final = (("Accept", "application/json"),)
_BROWSER: Final = (("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"))
_HANDSHAKE: Final = (
    ("Accept", "text/html"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
