"""Renders local responses: problem+json for API clients, HTML for browsers.

Of the request a body contains only its id, and the sign-in URL of the caller.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import quote

import orjson
from markupsafe import escape

from gateway.http.challenge import session_challenge
from gateway.pages.description import PHRASES, Description, describe
from gateway.pages.reply import Headers, Reply
from gateway.pages.templates import Templates, content_security_policy
from gateway.reasons import RETRY_AFTER, ROWS, Action, Reason
from gateway.spine.answers import Answer, Problem, Redirect

_COMMON: Final[Headers] = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    # Not "no-referrer": a form would then be posted with "Origin: null" (Fetch,
    # "append a request Origin header"), which looks like another site.
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")
_JSON: Final[Headers] = (
    ("Content-Type", "application/problem+json"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
# Private-use characters, which no template, URL or request id contains.
_ID_MARK: Final = "\ue000id\ue001"
_LOGIN_MARK: Final = "/\ue000login\ue001"
_MARKS: Final = re.compile(f"({_ID_MARK}|{_LOGIN_MARK})".encode())
_SAMPLE_ID: Final = "5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61"
_SAMPLE_LOGIN: Final = "/auth/login?return_to=%2Fdashboard&reason=no_session"
_URL_SAFE: Final = "%/:?#[]@!$&'()*+,;=~-._"


# Headers, and the pieces of a page; None if it must be rendered each time.
_Prepared = tuple[Headers, tuple[bytes, ...] | None]


class Pages:
    """Renders every local response.

    `realm` is the public host, for WWW-Authenticate; `home` is the target of the
    home link; `folder` contains custom templates.

    Raises:
        ConfigError: a custom template is invalid; with file and line.
    """

    def __init__(
        self, folder: Path | None = None, *, realm: str = "gateway", home: str = "/"
    ) -> None:
        self._templates = Templates(folder)
        self._home = _link(home) or "/"
        self._challenge: Headers = (session_challenge(realm),)
        self._cache: dict[tuple[int, Reason, bool], _Prepared] = {}
        self._templates.try_out("error.html", self._samples())

    def render(self, answer: Answer, request_id: str) -> Reply:
        """Return the response for an answer of the spine."""
        match answer:
            case Problem():
                return self.problem(
                    answer.status,
                    answer.reason,
                    html=answer.html,
                    request_id=request_id,
                    login_url=answer.login_url,
                    detail=answer.detail,
                    extra_headers=answer.headers,
                )
            case Redirect():
                return self.redirect(answer.status, answer.location)
            case _ as never:
                assert_never(never)

    def problem(
        self,
        status: int,
        reason: Reason,
        *,
        html: bool,
        request_id: str,
        login_url: str | None = None,
        detail: str | None = None,
        extra_headers: Headers = (),
    ) -> Reply:
        """Return an error response: a page if `html`, else problem+json (RFC 9457).

        A 401 gets WWW-Authenticate, a 429 or 503 Retry-After, unless `extra_headers`
        has them; the caller passes Allow for a 405. `detail` is shown, so it must not
        quote the request.
        """
        login = None if login_url is None else _link(login_url)
        headers = self._added(status, extra_headers)
        if html:
            page, body = self._page(status, reason, request_id, login, detail)
            return Reply(status=status, headers=page + headers, body=body)
        if detail is None:
            description = _described(status, reason)
        else:
            description = describe(status, reason, detail)
        body = _problem_json(description, request_id, login)
        return Reply(status=status, headers=_JSON + _COMMON + headers, body=body)

    def redirect(
        self, status: int, location: str, extra_headers: Headers = ()
    ) -> Reply:
        """Return a redirect with an empty body."""
        if not location.isascii() or not location.isprintable() or " " in location:
            location = quote(location, safe=_URL_SAFE, errors="replace")
        headers = (("Location", location), ("Cache-Control", "no-store"))
        return Reply(status=status, headers=headers + extra_headers)

    def page(
        self,
        template: str,
        variables: Mapping[str, object],
        *,
        status: int = 200,
        extra_headers: Headers = (),
    ) -> Reply:
        """Return a page rendered from `template`."""
        text = self._templates.render(template, {"home": self._home, **variables})
        headers = (
            _HTML,
            ("Content-Security-Policy", content_security_policy(text)),
            *_COMMON,
        )
        body = text.encode("utf-8", "replace")
        return Reply(status=status, headers=headers + extra_headers, body=body)

    def _added(self, status: int, extra: Headers) -> Headers:
        if status == 401:
            return _with_default(extra, self._challenge)
        if status in {429, 503}:
            return _with_default(extra, (("Retry-After", str(RETRY_AFTER)),))
        return extra

    def _page(
        self,
        status: int,
        reason: Reason,
        request_id: str,
        login: str | None,
        detail: str | None,
    ) -> tuple[Headers, bytes]:
        if detail is not None:
            return self._rendered(describe(status, reason, detail), request_id, login)
        key = (status, reason, login is not None)
        cached = self._cache.get(key)
        if cached is None:
            cached = self._cache[key] = self._prepared(*key)
        headers, pieces = cached
        if pieces is None:
            return self._rendered(_described(status, reason), request_id, login)
        return headers, _spliced(pieces, request_id, login)

    def _prepared(self, status: int, reason: Reason, login: bool) -> _Prepared:
        """Render a page once, with marks instead of request id and login URL.

        A custom template may process the two. If marks and real values give different
        pages, the page is rendered for each response.
        """
        description = describe(status, reason)
        headers, marked = self._rendered(
            description, _ID_MARK, _LOGIN_MARK if login else None
        )
        sample_login = _SAMPLE_LOGIN if login else None
        _, plain = self._rendered(description, _SAMPLE_ID, sample_login)
        pieces = _cut(marked)
        same = _spliced(pieces, _SAMPLE_ID, sample_login) == plain
        return headers, pieces if same else None

    def _rendered(
        self, description: Description, request_id: str, login: str | None
    ) -> tuple[Headers, bytes]:
        variables = self._variables(description, request_id, login)
        text = self._templates.render("error.html", variables)
        headers = (
            _HTML,
            ("Content-Security-Policy", content_security_policy(text)),
            *_COMMON,
        )
        return headers, text.encode("utf-8", "replace")

    def _variables(
        self, description: Description, request_id: str, login: str | None
    ) -> dict[str, object]:
        return {
            "status": description.status,
            "title": description.title,
            "reason": description.reason.value,
            "heading": description.heading,
            "sentence": description.sentence,
            "hint": description.hint,
            "action": description.action.value,
            "login_url": login,
            "home": self._home,
            "request_id": request_id,
        }

    def _samples(self) -> list[dict[str, object]]:
        """Return variables for every reason and status, with and without a login URL."""
        pairs = [(row.status, reason) for reason, row in ROWS.items()]
        pairs += [(status, Reason.INTERNAL) for status in PHRASES]
        return [
            self._variables(describe(*pair), _SAMPLE_ID, login)
            for pair in pairs
            for login in (None, _SAMPLE_LOGIN)
        ]


@cache
def _described(status: int, reason: Reason) -> Description:
    return describe(status, reason)


def _problem_json(
    description: Description, request_id: str, login: str | None
) -> bytes:
    """Return problem+json; RFC 9457, section 4.2.1: "about:blank" adds nothing to the status."""
    members: dict[str, object] = {
        "type": "about:blank",
        "title": description.title,
        "status": description.status,
        "reason": description.reason.value,
        "detail": description.sentence,
    }
    if login is not None and description.action in _LOGIN_HELPS:
        members["login_url"] = login
    members["request_id"] = request_id
    try:
        return orjson.dumps(members)
    except TypeError:  # a lone surrogate is not UTF-8
        members["detail"] = description.sentence.encode("utf-8", "replace").decode()
        members["request_id"] = request_id.encode("ascii", "replace").decode()
        return orjson.dumps(members)


_LOGIN_HELPS: Final = frozenset({Action.SIGN_IN, Action.CHOOSE_TENANT, Action.HOME})


def _cut(page: bytes) -> tuple[bytes, ...]:
    """Split a page at the marks; each mark is a piece."""
    return tuple(_MARKS.split(page))


def _spliced(pieces: tuple[bytes, ...], request_id: str, login: str | None) -> bytes:
    values = {
        _ID_MARK.encode(): escape(request_id).encode("utf-8", "replace"),
        _LOGIN_MARK.encode(): escape(login or "").encode(),
    }
    return b"".join([values.get(piece, piece) for piece in pieces])


def _link(url: str) -> str | None:
    """Return a URL that is safe as an href: a path or an http(s) URL in ASCII; else None."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    if url.startswith(("http://", "https://")):
        return url
    return url if url.startswith("/") and not url.startswith("//") else None


def _with_default(extra: Headers, default: Headers) -> Headers:
    name = default[0][0].lower()
    return extra if any(key.lower() == name for key, _ in extra) else default + extra
