"""Which of the streams that were let in another configuration would let in, too."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.routes.table import Match
from gateway.server.admitted import Admitted
from gateway.server.reevaluation import (
    StreamChecks,
    reevaluate_open_streams,
    refusal_reason,
)
from gateway.server.runtime import Runtime
from gateway.server.streams import OpenStream
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.provider_token import EVERY_TOKEN
from gateway.spine.principal import Principal
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import a_context, a_runtime, signed_in, some_services
from tests.sessions.samples import NOW, a_session, the_session

API = {"match": "/api/**", "rule": "protected", "upstream": "api"}
MOVED = {"url": "http://127.0.0.1:2"}
BOTH = {"url": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
ADA = Authenticated(session=a_session(), key="k")
BEA = Authenticated(session=a_session(active_tenant_id=None, tenants={}), key="k")
UNAUTHENTICATED = Anonymous(reason=Reason.NO_SESSION)
REVOKED = Anonymous(reason=Reason.SESSION_REVOKED, ended=True)


def runtime(*routes: dict[str, Any], **upstream: Any) -> Runtime:
    web = {"url": "http://127.0.0.1:1"}
    return a_runtime(
        routes=[{"match": "/web", "rule": "public", "upstream": "web"}, *routes],
        upstreams={"web": web, "api": upstream or {"url": "http://127.0.0.1:1"}},
    )


def admitted(by: Runtime, request: RequestHead | None = None, **how: bool) -> Admitted:
    request = request or head(target="/api/x")
    matched = by.rules.routes.match(request.method, request.host, "/api/x", None)
    assert isinstance(matched, Match)
    context = a_context(request, runtime=by)
    context.route = matched.route
    return Admitted(context=context, **{"reconnects": True, **how})


@pytest.mark.parametrize(
    ("routes", "upstream", "who", "reason"),
    [
        pytest.param([API], {}, ADA, None, id="nothing changed"),
        pytest.param([API | {"rule": "public"}], {}, UNAUTHENTICATED, None, id="opened"),
        pytest.param([], {}, ADA, Reason.NO_ROUTE, id="removed"),
        pytest.param([API | {"match": {"path": "/api/**", "host": "a.test"}}], {}, ADA, Reason.NO_ROUTE, id="another host"),
        pytest.param([API | {"match": {"path": "/api/**", "methods": ["POST"]}}], {}, ADA, Reason.METHOD_NOT_ALLOWED, id="another method"),
        pytest.param([API | {"rule": "admin-only"}], {}, ADA, None, id="for administrators, and it is one"),
        pytest.param([API | {"require": {"roles": ["editor"]}}], {}, ADA, Reason.ROLE_MISSING, id="a role"),
        pytest.param([API | {"require": {"tenant": True}}], {}, BEA, Reason.TENANT_MISSING, id="a tenant"),
        pytest.param([API | {"require": {"aal": "aal2"}}], {}, ADA, Reason.AAL_TOO_LOW, id="a level"),
        pytest.param([API | {"rule": "auth-redirect"}], {}, ADA, Reason.ALREADY_SIGNED_IN, id="for guests"),
        pytest.param([API], {}, UNAUTHENTICATED, Reason.NO_SESSION, id="protected, and nobody signed in"),
        pytest.param([API], {}, REVOKED, Reason.SESSION_REVOKED, id="the session ended"),
        pytest.param([API | {"session": "ignore", "rule": "public"}], {}, REVOKED, None, id="open and ignoring sessions"),
        pytest.param([API | {"require": {"authenticated_within": "1m"}}], {}, ADA, None, id="recent when it was let in"),
        pytest.param([API], MOVED, ADA, Reason.UPSTREAM_CHANGED, id="another target"),
        pytest.param([API | {"upstream": "web"}], MOVED, ADA, None, id="another upstream at the same place"),
        pytest.param([API], BOTH, ADA, None, id="one more target"),
        pytest.param([API | {"rule": "admin-only"}], MOVED, BEA, Reason.UPSTREAM_CHANGED, id="allowed, and moved"),
    ],
)  # fmt: skip
async def test_a_stream_ends_when_it_would_not_be_let_in(
    routes: list[dict[str, Any]],
    upstream: dict[str, Any],
    who: Authentication,
    reason: Reason | None,
) -> None:
    before = runtime(API)

    assert refusal_reason(admitted(before), who, runtime(*routes, **upstream)) is reason


async def test_a_target_that_is_taken_away_ends_what_connects_again() -> None:
    before, after = runtime(API, **BOTH), runtime(API)

    assert refusal_reason(admitted(before), ADA, after) is Reason.UPSTREAM_CHANGED
    assert refusal_reason(admitted(before, reconnects=False), ADA, after) is None


async def test_a_sign_in_counts_as_old_as_it_was() -> None:
    strict = runtime(API | {"require": {"authenticated_within": "1m"}})
    request = admitted(runtime(API))
    old = Authenticated(session=a_session(authenticated_at=NOW - 61), key="k")

    assert refusal_reason(request, old, strict) is Reason.STEP_UP


class Away(MemoryStore):
    away = False

    async def load(self, key: str) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return await super().load(key)


async def test_what_cannot_be_judged_stays_and_is_judged_later() -> None:
    store = Away()
    services = some_services(store)
    token = await signed_in(services)
    before, after = runtime(API), runtime(API | {"require": {"roles": ["editor"]}})
    ended: list[Reason] = []
    stream = OpenStream(
        key=token.key, end=ended.append, admitted=admitted(before), evaluated_by=before
    )
    services.streams.add(stream)

    store.away = True
    await reevaluate_open_streams(after, services)
    assert ended == []
    store.away = False
    await reevaluate_open_streams(after, services)
    assert ended == [Reason.ROLE_MISSING]


async def test_what_was_judged_is_not_judged_again() -> None:
    services, before, after = some_services(), runtime(API), runtime(API)
    request = admitted(before)
    stream = OpenStream(key=None, end=print, admitted=request, evaluated_by=before)
    opened = OpenStream(key=None, end=print)
    services.streams.add(stream)
    services.streams.add(opened)
    request.context.route = None  # passes

    await reevaluate_open_streams(after, services)

    assert stream.evaluated_by is after
    assert opened.evaluated_by is None


async def test_a_stream_that_opens_after_the_reload_is_checked() -> None:
    services, reported = some_services(), []
    services.streams.active, services.streams.on_stale = (
        "now",
        lambda: reported.append(1),
    )

    services.streams.add(OpenStream(key=None, end=print, evaluated_by="now"))
    services.streams.add(OpenStream(key=None, end=print, evaluated_by="before"))

    assert reported == [1]


@pytest.mark.parametrize("reconnects", [True, False])
async def test_a_stream_ends_at_a_route_that_only_decides(reconnects: bool) -> None:
    listeners = {"authz": "127.0.0.1:9091", "trusted_proxies": ["127.0.0.1"]}
    after = a_runtime(
        server={"public_url": "https://app.example", **listeners},
        routes=[API | {"upstream": None}],
    )
    found = refusal_reason(admitted(runtime(API), reconnects=reconnects), ADA, after)

    assert found is Reason.UPSTREAM_CHANGED


EDITORS = API | {"require": {"roles": ["admin"]}}
OWNERS = API | {"require": {"tenant_roles": ["owner"]}}


def of_tenant(by: Runtime, tenant_id: str) -> Admitted:
    request = admitted(by)
    request.context.principal = Principal(tenant_id=tenant_id)
    return request


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        pytest.param(BEA, Reason.NOT_A_MEMBER, id="no membership any more"),
        pytest.param(ADA, None, id="the active tenant"),
        pytest.param(
            Authenticated(session=a_session(active_tenant_id="t_beta"), key="k"),
            None,
            id="another one is active now",
        ),
    ],
)
async def test_a_stream_acts_for_the_tenant_that_it_began_with(
    who: Authentication, reason: Reason | None
) -> None:
    by = runtime(OWNERS)

    assert refusal_reason(of_tenant(by, "t_acme"), who, by) is reason


class Opened:
    """A stream of a session, and the checks that a process makes."""

    def __init__(self, store: MemoryStore, key: str, by: Runtime) -> None:
        self.services, self.ended = some_services(store), list[Reason]()
        self.checks = StreamChecks(lambda: by, self.services)
        self.services.streams.on_changed = self.checks.evaluate_session
        self.stream = OpenStream(
            key=key,
            end=self.ended.append,
            admitted=admitted(by),
            evaluated_by=by,
            version=a_session().version,
        )

    async def open(self) -> None:
        self.services.streams.add(self.stream)
        await self.services.finish()


async def with_role_removed(store: MemoryStore, key: str) -> None:
    session = the_session(await store.load(key))
    identity = replace(session.identity, roles=())
    assert await store.amend(key, session, replace(session, identity=identity))


@pytest.mark.parametrize("push", ["before it opens", "after", "lost"])
async def test_a_stream_ends_when_its_session_loses_the_role(push: str) -> None:
    store = MemoryStore()
    token = await signed_in(some_services(store))
    each = Opened(store, token.key, runtime(EDITORS))
    if push == "before it opens":
        await with_role_removed(store, token.key)
        each.checks.session_changed(token.key)
        await each.open()
    else:
        await each.open()
        assert each.ended == []
        await with_role_removed(store, token.key)
        if push == "lost":
            assert await each.checks.why_ended(token.key) is None
        else:
            each.checks.session_changed(token.key)
            await each.services.finish()

    assert each.ended == [Reason.ROLE_MISSING]


async def test_a_change_that_takes_nothing_away_leaves_the_stream() -> None:
    store = MemoryStore()
    token = await signed_in(some_services(store))
    each = Opened(store, token.key, runtime(OWNERS))
    await each.open()

    await with_role_removed(store, token.key)
    each.checks.session_changed(token.key)
    await each.services.finish()

    assert each.ended == []
    assert each.stream.version == the_session(await store.load(token.key)).version


async def test_a_change_while_the_store_is_away_is_judged_when_it_is_back() -> None:
    store = Away()
    token = await signed_in(some_services(store))
    each = Opened(store, token.key, runtime(EDITORS))
    await each.open()
    await with_role_removed(store, token.key)
    store.away = True

    each.checks.session_changed(token.key)
    await each.services.finish()
    assert each.ended == []
    store.away = False
    assert each.checks._sessions._wanted.is_set()
    assert await each.checks.why_ended(token.key) is None

    assert each.ended == [Reason.ROLE_MISSING]


async def test_a_stream_of_unknown_version_is_not_judged_for_it() -> None:
    """The response that signs a user in belongs to a session that it did not come with."""
    store = MemoryStore()
    token = await signed_in(some_services(store))
    each = Opened(store, token.key, runtime(API | {"rule": "auth-redirect"}))
    each.stream.version = None
    await each.open()

    assert await each.checks.why_ended(token.key) is None

    assert each.ended == []
    assert each.stream.version == a_session().version


async def test_the_end_of_some_token_looks_up_a_hundred_tokens_at_a_time() -> None:
    """Everybody else's look-ups wait at the same store."""
    services, by = some_services(), runtime(API)
    checks = StreamChecks(lambda: by, services)
    keys = [f"jwt:{number}" for number in range(1_000)]
    for key in (*keys, "session"):
        services.streams.add(OpenStream(key=key, end=print))
    looked_up: list[str] = []
    waiting = most = 0
    done = asyncio.Event()

    async def why_ended(key: str) -> Reason | None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0)
        waiting -= 1
        looked_up.append(key)
        if len(looked_up) == len(keys):
            done.set()
        return None

    checks._tokens._ended = why_ended
    task = asyncio.ensure_future(checks.check_tokens())
    checks.session_ended(EVERY_TOKEN, "revoked")
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert most == 100
    assert sorted(looked_up) == sorted(keys)
