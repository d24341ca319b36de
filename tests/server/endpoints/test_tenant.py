"""Another membership becomes the active tenant, and nothing else does."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import TenantSwitched
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints.tenant import tenant
from gateway.sessions.record import Session
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import (
    Notes,
    Rendered,
    call,
    cookie,
    signed_in,
    some_services,
    stored,
    the_runtime,
)
from tests.sessions.samples import NOW, a_session

HTML = ("Accept", "text/html")
RUNTIME = the_runtime()


async def chosen(
    *fields: tuple[str, str], form: str, services: Services | None = None
) -> tuple[Rendered, RequestContext]:
    request = head(*fields, ("Transfer-Encoding", "chunked"), method="POST")
    return await call(tenant, request, form.encode(), services=services)


async def active(services: Services, key: str) -> str | None:
    session = await stored(services, key)
    assert isinstance(session, Session)
    return session.active_tenant_id


@pytest.mark.parametrize(
    ("form", "fields", "status", "reason"),
    [
        pytest.param("tenant_id=t_other", [], 403, Reason.NOT_A_MEMBER, id="a stranger"),
        pytest.param("", [], 403, Reason.NOT_A_MEMBER, id="none"),
        pytest.param("tenant_id=t_beta&tenant_id=t_acme", [], 403, Reason.NOT_A_MEMBER, id="two"),
        pytest.param("tenant_id=t_beta&return_to=//evil.test", [], 400, Reason.BAD_RETURN_TO, id="leads elsewhere"),
        pytest.param("tenant_id=t_beta", [("Origin", "https://evil.test")], 403, Reason.CROSS_SITE, id="another site"),
        pytest.param("tenant_id=t_beta", [("Sec-Fetch-Site", "cross-site")], 403, Reason.CROSS_SITE, id="another site's fetch"),
        pytest.param("tenant_id=t_beta", [("Sec-Fetch-Site", "same-site")], 403, Reason.CROSS_SITE, id="a sibling's fetch"),
    ],
)  # fmt: skip
async def test_what_is_not_ones_own_is_not_chosen(
    form: str, fields: list[tuple[str, str]], status: int, reason: Reason
) -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await chosen(
        HTML, cookie(token), *fields, form=form, services=services
    )

    assert (answer.reply.status, context.reason) == (status, reason)
    assert await active(services, token.key) == "t_acme"
    assert isinstance(services.report, Notes)
    assert services.report.audits == []


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        pytest.param(None, Reason.UNKNOWN_SESSION, id="unknown"),
        pytest.param(a_session(active=False), Reason.SESSION_REVOKED, id="revoked"),
        pytest.param(a_session(expires_at=NOW), Reason.SESSION_EXPIRED, id="expired"),
    ],
)
async def test_a_session_that_is_over_chooses_nothing(
    session: Session | None, reason: Reason
) -> None:
    services = some_services()
    token = cookie("A" * 43)
    if session is not None:
        token = cookie(await signed_in(services, session))

    answer, context = await chosen(
        HTML, token, form="tenant_id=t_beta", services=services
    )

    assert (answer.reply.status, context.verdict, context.reason) == (
        401,
        Verdict.CHALLENGE,
        reason,
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param([], Reason.NO_SESSION, id="no cookie"),
        pytest.param([cookie("short")], Reason.MALFORMED, id="malformed"),
        pytest.param([cookie("A" * 43), cookie("A" * 43)], Reason.MALFORMED, id="two"),
    ],
)
async def test_an_unauthenticated_user_is_sent_to_sign_in(
    fields: list[tuple[str, str]], reason: Reason
) -> None:
    answer, context = await chosen(*fields, form="tenant_id=t_beta")

    assert (answer.reply.status, context.reason) == (401, reason)
    assert "WWW-Authenticate" in dict(answer.reply.headers)


@pytest.mark.parametrize(
    ("fields", "form", "status", "to"),
    [
        pytest.param([HTML], "tenant_id=t_beta", 303, "/dashboard", id="a form"),
        pytest.param([HTML], "tenant_id=t_beta&return_to=/x", 303, "/x", id="with a way back"),
        pytest.param([("Sec-Fetch-Mode", "cors")], "tenant_id=t_beta", 204, None, id="a script"),
    ],
)  # fmt: skip
async def test_a_membership_becomes_the_active_tenant(
    fields: list[tuple[str, str]], form: str, status: int, to: str | None
) -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await chosen(*fields, cookie(token), form=form, services=services)

    assert answer.reply.status == status
    assert dict(answer.reply.headers).get("Location") == to
    assert await active(services, token.key) == "t_beta"
    assert (context.principal.identity_id, context.principal.tenant_id) == (
        "u_ada",
        "t_beta",
    )
    assert isinstance(services.report, Notes)
    assert services.report.audits == [TenantSwitched(before="t_acme", after="t_beta")]


class Busy(MemoryStore):
    """Another request writes first, `losses` times."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self._losses = losses

    async def replace(self, key: str, old: Session, new: Session) -> bool:
        if self._losses:
            self._losses -= 1
            await super().replace(
                key, old, replace(old, last_seen_at=old.last_seen_at + 1)
            )
        return await super().replace(key, old, new)


@pytest.mark.parametrize(
    ("losses", "status", "now_active"),
    [
        pytest.param(2, 303, "t_beta", id="tried again"),
        pytest.param(20, 303, "t_beta", id="and again"),
    ],
)
async def test_a_note_of_another_request_in_between_is_not_overwritten(
    losses: int, status: int, now_active: str
) -> None:
    services = some_services(store=Busy(losses))
    token = await signed_in(services)

    answer, _ = await chosen(
        HTML, cookie(token), form="tenant_id=t_beta", services=services
    )

    assert answer.reply.status == status
    assert await active(services, token.key) == now_active
    assert (await stored(services, token.key)).last_seen_at == NOW + losses


async def test_a_session_that_changes_at_every_try_is_no_sign_out() -> None:
    services = some_services(store=Busy(1_000))
    token = await signed_in(services)

    with pytest.raises(StoreUnavailable):
        await chosen(HTML, cookie(token), form="tenant_id=t_beta", services=services)

    assert await active(services, token.key) == "t_acme"


class Ending(MemoryStore):
    """The session is revoked between the look and the write."""

    async def replace(self, key: str, old: Session, new: Session) -> bool:
        await self.end(key, NOW)
        return await super().replace(key, old, new)


async def test_a_session_that_ends_meanwhile_stays_ended() -> None:
    services = some_services(store=Ending())
    token = await signed_in(services)

    answer, context = await chosen(
        HTML, cookie(token), form="tenant_id=t_beta", services=services
    )

    assert (answer.reply.status, context.reason) == (401, Reason.SESSION_REVOKED)
    assert not (await stored(services, token.key)).active


class Away(MemoryStore):
    async def load(self, _key: str) -> Any:
        raise StoreUnavailable


async def test_without_the_store_nothing_is_reported_to_have_changed() -> None:
    with pytest.raises(StoreUnavailable):
        await chosen(
            HTML, cookie("A" * 43), form="tenant_id=t", services=some_services(Away())
        )
