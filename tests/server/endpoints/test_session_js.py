"""The script, and the light question that it asks."""

from typing import Any

import orjson
import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints.session_js import session, session_js
from gateway.sessions.record import Session
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import (
    Rendered,
    call,
    cookie,
    signed_in,
    some_services,
    stored,
    the_runtime,
)
from tests.sessions.samples import NOW, a_session

RUNTIME = the_runtime()


async def script(*fields: tuple[str, str]) -> Rendered:
    answer, _ = await call(session_js, head(*fields))
    return answer


async def asked(
    *fields: tuple[str, str], services: Services
) -> tuple[Rendered, RequestContext]:
    return await call(session, head(*fields), services=services)


async def test_it_is_small_and_needs_no_eval() -> None:
    answer = await script()

    assert len(answer.reply.body) < 4_000
    for word in (b"eval(", b"Function(", b"innerHTML", b"import ", b"document.cookie"):
        assert word not in answer.reply.body


async def test_it_may_be_cached_and_is_distinguished_by_its_tag() -> None:
    headers = dict((await script()).reply.headers)

    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == "public, max-age=3600"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked_for", "status"),
    [
        pytest.param('"another"', 200, id="another"),
        pytest.param("TAG", 200, id="unquoted"),
        pytest.param('"TAG"', 304, id="the same"),
        pytest.param('W/"TAG"', 304, id="weak"),
        pytest.param('"x", "TAG"', 304, id="among others"),
        pytest.param("*", 304, id="any"),
    ],
)
async def test_a_client_that_has_it_gets_a_304(asked_for: str, status: int) -> None:
    tag = dict((await script()).reply.headers)["ETag"]

    answer = await script(("If-None-Match", asked_for.replace("TAG", tag.strip('"'))))

    assert answer.reply.status == status
    assert dict(answer.reply.headers)["ETag"] == tag
    assert bool(answer.reply.body) is (status == 200)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        pytest.param(None, Reason.UNKNOWN_SESSION, id="unknown"),
        pytest.param(a_session(active=False), Reason.SESSION_REVOKED, id="revoked"),
        pytest.param(a_session(expires_at=NOW), Reason.SESSION_EXPIRED, id="expired"),
    ],
)
async def test_it_gets_the_reason_without_a_session_and_keeps_the_cookie(
    stored: Session | None, reason: Reason
) -> None:
    services = some_services()
    held = cookie("A" * 43)
    if stored is not None:
        held = cookie(await signed_in(services, stored))

    answer, context = await asked(held, services=services)

    assert (answer.reply.status, context.reason) == (401, reason)
    assert orjson.loads(answer.reply.body)["reason"] == reason.value
    assert answer.cookies == ()


async def test_an_unauthenticated_request_is_reported_as_signed_out() -> None:
    answer, _ = await asked(services=some_services())

    assert orjson.loads(answer.reply.body)["reason"] == "no_session"
    assert "WWW-Authenticate" in dict(answer.reply.headers)


async def test_it_is_whoami_without_devices_and_is_no_use_of_it() -> None:
    services = some_services()
    old = a_session(last_seen_at=NOW - 3600)
    token = await signed_in(services, old)

    answer, context = await asked(cookie(token), services=services)

    assert answer.reply.status == 200
    reported = orjson.loads(answer.reply.body)
    assert set(reported) == {
        "session_id",
        "tenant_id",
        "expires_at",
        "expires_in",
        "id",
        "active",
        "issued_at",
        "authenticated_at",
        "authenticator_assurance_level",
        "authentication_methods",
        "identity",
    }
    assert reported["expires_in"] == 86_400
    assert reported["identity"]["metadata_public"]["admin"] is True
    assert (reported["session_id"], reported["tenant_id"]) == (old.id, "t_acme")
    assert reported["expires_at"].endswith("Z")
    assert dict(answer.reply.headers)["Cache-Control"] == "no-store"
    assert await stored(services, token.key) == old
    assert context.principal.identity_id == "u_ada"


class Away(MemoryStore):
    async def load(self, _key: str) -> Any:
        raise StoreUnavailable


async def test_what_cannot_be_found_out_is_no_end() -> None:
    with pytest.raises(StoreUnavailable):
        await asked(cookie("A" * 43), services=some_services(Away()))
