"""Pagination of sessions, compatible with Kratos; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from gateway.http import base64url
from gateway.sessions.record import Session

DEFAULT_SIZE: Final = 250
LARGEST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of sessions, and its Link header (RFC 8288)."""

    sessions: tuple[Session, ...]
    link: str


@dataclass(frozen=True, slots=True)
class BadPage:
    """Invalid parameters; `why` does not quote them."""

    why: str


def page_of(sessions: Sequence[Session], query: str, address: str) -> Page | BadPage:
    """Return the requested page of `sessions`, newest first, or BadPage.

    A page starts after the session of `page_token`, which may have ended meanwhile, so
    none is skipped or repeated. `per_page` is an alias of `page_size`, and `page` counts
    from 1, as in older versions of Kratos.
    """
    parameters = dict(parse_qsl(query))
    size = _count(
        parameters.get("page_size") or parameters.get("per_page"), DEFAULT_SIZE
    )
    number = _count(parameters.get("page"), 1)
    if size is None or number is None:
        return BadPage("page sizes and pages are whole numbers from 1")
    size = min(size, LARGEST)
    ordered = sorted(sessions, key=_place, reverse=True)
    if token := parameters.get("page_token"):
        last = _read_token(token)
        if last is None:
            return BadPage("page_token is none that was given out here")
        ordered = [session for session in ordered if _place(session) < last]
    else:
        ordered = ordered[(number - 1) * size :]
    shown = tuple(ordered[:size])
    links = [_link(address, "first", {"page_size": str(size)})]
    if len(ordered) > size:
        following = {"page_size": str(size), "page_token": _write_token(shown[-1])}
        links.append(_link(address, "next", following))
    return Page(sessions=shown, link=",".join(links))


def _place(session: Session) -> tuple[float, str]:
    return session.authenticated_at, session.id


def _write_token(session: Session) -> str:
    text = f"{session.authenticated_at!r} {session.id}"
    return base64url.encode(text.encode())


def _read_token(token: str) -> tuple[float, str] | None:
    try:
        text = base64url.decode(token).decode()
        moment, space, session_id = text.partition(" ")
        return (float(moment), session_id) if space else None
    except ValueError:
        return None


def _link(address: str, relation: str, query: dict[str, str]) -> str:
    return f'<{address}?{urlencode(query)}>; rel="{relation}"'


def _count(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) or None
