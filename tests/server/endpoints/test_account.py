"""The account page shows one's own, and ends nobody else's."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import AuditEvent, SessionRevoked, SessionsRevoked
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints.account import NOTICES, account, end, end_others
from gateway.sessions.record import Device, Identity, Session, Tenant
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
SECOND = a_session(id="s_second", last_seen_at=NOW - 7200)
STRANGER = a_session(id="s_stranger", identity=Identity(id="u_eve"))


async def shown(
    *fields: tuple[str, str], services: Services, target: str = "/.gateway/account"
) -> tuple[Rendered, RequestContext]:
    return await call(account, head(*fields, target=target), services=services)


async def asked(
    endpoint: Any, *fields: tuple[str, str], services: Services, form: str = ""
) -> tuple[Rendered, RequestContext]:
    request = head(
        *fields,
        ("Transfer-Encoding", "chunked"),
        method="POST",
        target="/.gateway/account/end",
    )
    return await call(endpoint, request, form.encode(), services=services)


async def lives(services: Services, key: str) -> bool:
    session = await stored(services, key)
    assert isinstance(session, Session)
    return session.active


def audits(services: Services) -> list[AuditEvent]:
    assert isinstance(services.report, Notes)
    return services.report.audits


def to(answer: Rendered) -> str | None:
    return dict(answer.reply.headers).get("Location")


# The page


async def test_what_people_call_themselves_is_text() -> None:
    evil = "<script>alert(1)</script>"
    services = some_services()
    token = await signed_in(
        services,
        a_session(
            identity=Identity(
                id="u", traits={"name": evil, "email": evil + "@x"}, roles=(evil,)
            ),
            tenants={"t": Tenant(id="t", name=evil, role=evil)},
            devices=(Device(ip_address=evil, user_agent=evil),),
        ),
    )

    answer, _ = await shown(HTML, cookie(token), services=services)

    assert answer.reply.status == 200
    assert b"<script" not in answer.reply.body
    assert answer.reply.body.count(b"&lt;script&gt;") == 7


async def test_it_may_load_and_run_nothing() -> None:
    services = some_services()
    token = await signed_in(services)

    answer, _ = await shown(HTML, cookie(token), services=services)

    headers = dict(answer.reply.headers)
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        pytest.param({}, "u_ada", id="nothing"),
        pytest.param({"name": 7, "email": ["x"]}, "u_ada", id="no text"),
        pytest.param({"email": "a@example.com"}, "a@example.com", id="an e-mail"),
        pytest.param({"name": {"first": "A", "last": "L"}}, "A L", id="parts"),
        pytest.param({"name": {"first": 1}}, "u_ada", id="wrong parts"),
    ],
)
async def test_a_name_is_found_in_any_traits(traits: dict[str, Any], name: str) -> None:
    services = some_services()
    token = await signed_in(
        services, a_session(identity=Identity(id="u_ada", traits=traits))
    )

    answer, _ = await shown(HTML, cookie(token), services=services)

    assert f"<h1>{name}</h1>".encode() in answer.reply.body


async def test_only_ones_own_live_sessions_are_listed() -> None:
    services = some_services()
    token = await signed_in(services)
    await signed_in(services, SECOND, 2)
    await signed_in(services, STRANGER, 3)
    await signed_in(services, a_session(id="s_over", active=False), 4)

    answer, context = await shown(HTML, cookie(token), services=services)

    page = answer.reply.body.decode()
    assert page.count('name="session_id"') == 1
    assert 'value="s_second"' in page
    assert "2 hours ago" in page
    assert (context.principal.identity_id, context.reason) == ("u_ada", Reason.GATEWAY)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("notice=<b>hi</b>", "", id="markup"),
        pytest.param("notice=Call+0800", "", id="words of others"),
        pytest.param("x=ended", "", id="another name"),
        *(
            pytest.param(f"notice={word}", stated, id=word)
            for word, stated in NOTICES.items()
            if word != "switched"
        ),
        pytest.param("notice=switched", "Switched to Acme.", id="switched"),
    ],
)
async def test_a_notice_is_one_of_ours(query: str, expected: str) -> None:
    services = some_services()
    token = await signed_in(services)
    target = "/.gateway/account?" + query.replace("<", "%3C").replace(">", "%3E")

    answer, _ = await shown(HTML, cookie(token), services=services, target=target)

    page = answer.reply.body.decode()
    assert ('role="status"' in page) is bool(expected)
    assert expected in page


# Without a session


@pytest.mark.parametrize(
    ("session", "reason", "cleared"),
    [
        pytest.param(None, Reason.UNKNOWN_SESSION, True, id="unknown"),
        pytest.param(
            a_session(active=False), Reason.SESSION_REVOKED, True, id="revoked"
        ),
        pytest.param(
            a_session(expires_at=NOW), Reason.SESSION_EXPIRED, True, id="expired"
        ),
    ],
)
@pytest.mark.parametrize("endpoint", [account, end, end_others])
async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back_to_the_page(
    endpoint: Any, session: Session | None, reason: Reason, cleared: bool
) -> None:
    services = some_services()
    held = cookie("A" * 43)
    if session is not None:
        held = cookie(await signed_in(services, session))

    answer, context = await asked(endpoint, HTML, held, services=services)

    assert answer.reply.status == 303
    assert to(answer) == (
        f"/auth/login?return_to=/.gateway/account&reason={reason.value}"
    )
    assert bool(answer.cookies) is cleared
    assert (context.verdict, context.reason) == (Verdict.CHALLENGE, reason)


async def test_a_page_asked_for_without_a_cookie_redirects_with_302() -> None:
    answer, _ = await shown(HTML, services=some_services())

    assert answer.reply.status == 302
    assert answer.cookies == ()


async def test_a_program_gets_a_401() -> None:
    answer, _ = await shown(("Accept", "application/json"), services=some_services())

    assert answer.reply.status == 401
    assert "WWW-Authenticate" in dict(answer.reply.headers)


class Away(MemoryStore):
    async def load(self, _key: str) -> Any:
        raise StoreUnavailable


@pytest.mark.parametrize("endpoint", [account, end, end_others])
async def test_without_the_store_no_user_is_sent_to_sign_in(endpoint: Any) -> None:
    with pytest.raises(StoreUnavailable):
        await asked(endpoint, HTML, cookie("A" * 43), services=some_services(Away()))


# Ending


@pytest.mark.parametrize("endpoint", [end, end_others])
@pytest.mark.parametrize(
    "field",
    [
        pytest.param(("Origin", "https://evil.test"), id="origin"),
        pytest.param(("Origin", "null"), id="null"),
        pytest.param(("Sec-Fetch-Site", "cross-site"), id="fetch"),
        pytest.param(("Sec-Fetch-Site", "same-site"), id="sibling"),
    ],
)
async def test_another_site_ends_nothing(endpoint: Any, field: tuple[str, str]) -> None:
    services = some_services()
    token, other = await signed_in(services), await signed_in(services, SECOND, 2)

    answer, context = await asked(
        endpoint,
        HTML,
        cookie(token),
        field,
        services=services,
        form="session_id=s_second",
    )

    assert (answer.reply.status, context.reason) == (403, Reason.CROSS_SITE)
    assert await lives(services, other.key)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("", id="none"),
        pytest.param("session_id=", id="empty"),
        pytest.param("session_id=s_nobody", id="unknown"),
        pytest.param("session_id=s_stranger", id="a stranger's"),
        pytest.param("session_id=s_over", id="over"),
        pytest.param("session_id=s_second&session_id=s_second", id="twice"),
    ],
)
async def test_what_is_not_a_live_session_of_ones_own_is_not_ended(form: str) -> None:
    services = some_services()
    tokens = [
        await signed_in(services),
        await signed_in(services, SECOND, 2),
        await signed_in(services, STRANGER, 3),
    ]
    await signed_in(services, replace(SECOND, id="s_over", expires_at=NOW - 1), 4)

    answer, _ = await asked(end, HTML, cookie(tokens[0]), services=services, form=form)

    assert (answer.reply.status, to(answer)) == (303, "/.gateway/account?notice=gone")
    assert [await lives(services, token.key) for token in tokens] == [True] * 3
    assert audits(services) == []


async def test_the_session_in_use_is_not_ended() -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await asked(
        end, HTML, cookie(token), services=services, form=f"session_id={a_session().id}"
    )

    assert (answer.reply.status, context.verdict) == (400, Verdict.REFUSE)
    assert b"Sign out instead" in answer.reply.body
    assert await lives(services, token.key)


async def test_another_session_of_ones_own_is_ended_and_audited() -> None:
    services = some_services()
    token, other = await signed_in(services), await signed_in(services, SECOND, 2)

    answer, _ = await asked(
        end, HTML, cookie(token), services=services, form="session_id=s_second"
    )

    assert (answer.reply.status, to(answer)) == (303, "/.gateway/account?notice=ended")
    assert not await lives(services, other.key)
    assert await lives(services, token.key)
    assert audits(services) == [SessionRevoked(session_id="s_second")]


async def test_all_others_are_ended_and_none_of_other_users() -> None:
    services = some_services()
    token = await signed_in(services)
    others = [
        await signed_in(services, replace(SECOND, id=f"s_{n}"), n) for n in range(2, 5)
    ]
    stranger = await signed_in(services, STRANGER, 9)

    answer, _ = await asked(end_others, HTML, cookie(token), services=services)

    assert to(answer) == "/.gateway/account?notice=ended-others"
    assert not any([await lives(services, other.key) for other in others])
    assert await lives(services, token.key)
    assert await lives(services, stranger.key)
    assert audits(services) == [SessionsRevoked(count=3)]


class Racing(MemoryStore):
    """The session ends between the look and the end."""

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        await super().end(key, now, "signed_out")
        return await super().end(key, now, reason)


async def test_what_ended_meanwhile_is_not_audited_twice() -> None:
    services = some_services(Racing())
    token = await signed_in(services)
    await signed_in(services, SECOND, 2)

    answer, _ = await asked(
        end, HTML, cookie(token), services=services, form="session_id=s_second"
    )

    assert to(answer) == "/.gateway/account?notice=gone"
    assert audits(services) == []


# Access tokens

A_TOKEN = a_session(id="t_ci", token_name="<b>ci</b>", expires_at=NOW + 90 * 86_400)


async def with_tokens(*sessions: Session) -> tuple[Services, Any]:
    services = some_services()
    token = await signed_in(services)
    for number, session in enumerate(sessions, 2):
        await signed_in(services, session, number)
    return services, token


async def test_the_tokens_of_the_identity_are_listed_apart_from_its_devices() -> None:
    used = replace(A_TOKEN, id="t_used", last_seen_at=NOW - 7200, issued_at=NOW - 9000)
    others = replace(A_TOKEN, id="t_eve", identity=Identity(id="u_eve"))
    over = replace(A_TOKEN, id="t_over", expires_at=NOW - 1)
    services, token = await with_tokens(A_TOKEN, used, others, over)

    answer, _ = await shown(HTML, cookie(token), services=services)

    page = answer.reply.body.decode()
    devices, _, tokens = page.partition('id="access-tokens"')
    assert "t_ci" not in devices
    assert "&lt;b&gt;ci&lt;/b&gt;" in tokens
    assert "Never used" in tokens
    assert "Last used 2 hours ago" in tokens
    assert "Expires 15 Apr 2027" in tokens
    assert tokens.count("Revoke") == 4  # each button twice: text and label
    assert "t_eve" not in page
    assert "t_over" not in page


async def test_without_tokens_there_is_no_list() -> None:
    services, token = await with_tokens()

    answer, _ = await shown(HTML, cookie(token), services=services)

    assert b"Access tokens" not in answer.reply.body


async def test_a_token_is_revoked_by_its_owner() -> None:
    services, token = await with_tokens(A_TOKEN)

    answer, _ = await asked(
        end, cookie(token), services=services, form="session_id=t_ci"
    )

    assert to(answer) == "/.gateway/account?notice=revoked"
    assert await services.tokens.list_tokens(NOW) == []
    assert audits(services) == [
        SessionRevoked(session_id="t_ci", token_name="<b>ci</b>")
    ]


async def test_other_devices_go_and_tokens_stay() -> None:
    services, token = await with_tokens(SECOND, A_TOKEN)

    await asked(end_others, cookie(token), services=services)

    left = await services.store.list_for("u_ada", NOW)
    assert {session.id for _, session in left} == {a_session().id, "t_ci"}
    assert audits(services) == [SessionsRevoked(count=1)]
