"""Responses of the admin API: JSON, and problem documents (RFC 9457) for errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from gateway.oidc.access_token import without_access_token
from gateway.reasons import ROWS, Reason
from gateway.sessions.record import Session
from gateway.sessions.record_json import serialise

OF_STATUS: Final[Mapping[int, Reason]] = {
    404: Reason.NO_ROUTE,
    405: Reason.METHOD_NOT_ALLOWED,
    413: Reason.BODY_TOO_LARGE,
    503: Reason.STORE_UNAVAILABLE,
}
"""The reason for a status that aiohttp sets; any other status is `bad_request`."""


def problem(
    status: int, reason: Reason, detail: str = "", **headers: str
) -> web.Response:
    """Return a problem document; the default detail is the sentence of the reason."""
    return web.Response(
        status=status,
        body=orjson.dumps(
            {
                "status": status,
                "title": HTTPStatus(status).phrase,
                "reason": reason,
                "detail": detail or ROWS[reason].sentence,
            }
        ),
        content_type="application/problem+json",
        headers={name.replace("_", "-"): text for name, text in headers.items()}
        | {"Cache-Control": "no-store"},
    )


def json_reply(status: int, document: object) -> web.Response:
    """Return a JSON document that must not be cached."""
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def bad_request(detail: str) -> web.Response:
    """Return a 400; `detail` names what is wrong."""
    return problem(400, Reason.BAD_REQUEST, detail)


def view_of(session: Session) -> object:
    """Return the record of a session as JSON values, without a token of its provider."""
    return orjson.loads(serialise(without_access_token(session)))
