"""The sample API: verifies the gateway's token; PostgreSQL enforces access.

`GET /notes` and `POST /notes`. Neither names a tenant: each request runs in a
transaction with the token's role and claims, as PostgREST would set them, and the
policies of row-level security see to the rest.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import jinja2
import psycopg
from aiohttp import web
from psycopg.rows import dict_row

from gateway.demo.app import TEMPLATES
from gateway.demo.bearer import BadToken, GatewayKeys, verify

_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
_AS = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"
_LONGEST_NOTE = 200
_LIST = "select id, tenant_id, author, body from notes order by id"
_ADD = "insert into notes (body) values (%s)"


class NotesApi:
    """The API's handlers, with the database and the keys they use.

    Without a database (`dsn` is None) every answer is a 503 that says `unavailable`.
    """

    def __init__(
        self, *, dsn: str | None, keys: GatewayKeys, unavailable: str = ""
    ) -> None:
        self._dsn = dsn
        self._keys = keys
        self._unavailable = unavailable

    def app(self) -> web.Application:
        """Build the web app."""
        app = web.Application()
        app.add_routes([web.get("/notes", self._list), web.post("/notes", self._add)])
        return app

    async def _list(self, request: web.Request) -> web.Response:
        try:
            claims = await self._claims(request)
            notes = await self._run(claims, _LIST)
        except _Refused as no:
            return _refusal(request, no)
        if _wants_page(request):
            return _page(notes=notes, problem="")
        return web.json_response(notes)

    async def _add(self, request: web.Request) -> web.Response:
        try:
            body = await _note(request)
            claims = await self._claims(request)
            await self._run(claims, _ADD, (body,))
        except _Refused as no:
            return _refusal(request, no)
        if _wants_page(request):
            return web.Response(status=303, headers={"Location": "notes"})
        return web.json_response({"body": body}, status=201)

    async def _claims(self, request: web.Request) -> dict[str, Any]:
        if self._dsn is None:
            raise _Refused(503, self._unavailable)
        try:
            given = request.headers.getall("Authorization", [])
            # Two tokens are two callers: neither counts.
            one = given[0] if len(given) == 1 else ""
            return await verify(one, self._keys, time.time())
        except BadToken as error:
            raise _Refused(401, str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Refused(503, "the gateway's keys cannot be fetched") from error

    async def _run(
        self, claims: Mapping[str, Any], query: str, values: Sequence[object] = ()
    ) -> list[dict[str, Any]]:
        """Run one query as the token's role, with the token's claims in sight."""
        role = claims.get("role", "anon")
        try:
            async with await psycopg.AsyncConnection.connect(
                self._dsn or "", row_factory=dict_row
            ) as connection:
                await connection.execute(_AS, (str(role), json.dumps(claims)))
                cursor = await connection.execute(query.encode(), values)
                return await cursor.fetchall() if cursor.description else []
        except (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.InvalidParameterValue,
            psycopg.errors.CheckViolation,
            psycopg.errors.NotNullViolation,
        ) as error:
            raise _Refused(403, "the database does not allow this") from error
        except psycopg.OperationalError as error:
            raise _Refused(503, "the database cannot be reached") from error


class _Refused(Exception):  # noqa: N818 - a refusal
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _note(request: web.Request) -> str:
    if request.content_type == "application/json":
        try:
            sent: object = await request.json()
        except ValueError as error:
            raise _Refused(400, "the body is not JSON") from error
        body = sent.get("body") if isinstance(sent, dict) else None
    else:
        body = (await request.post()).get("body")
    if not isinstance(body, str) or not 0 < len(body.strip()) <= _LONGEST_NOTE:
        raise _Refused(400, f"body: 1 to {_LONGEST_NOTE} characters are needed")
    if "\0" in body:
        raise _Refused(400, "body: NUL cannot be stored")
    return body.strip()


def _refusal(request: web.Request, no: _Refused) -> web.Response:
    headers = {}
    if no.status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if _wants_page(request):
        return _page(status=no.status, headers=headers, notes=[], problem=str(no))
    return web.json_response({"message": str(no)}, status=no.status, headers=headers)


def _wants_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _page(
    *, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
) -> web.Response:
    policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    return web.Response(
        status=status,
        text=_PAGES.get_template("notes.html").render(**values),
        content_type="text/html",
        headers={"Content-Security-Policy": policy, **(headers or {})},
    )
