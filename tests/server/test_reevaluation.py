"""Which of the streams that were let in another configuration would let in, too."""

from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.routes.table import Match
from gateway.server.admitted import Admitted
from gateway.server.reevaluation import reevaluate_open_streams, refusal_reason
from gateway.server.runtime import Runtime
from gateway.server.streams import OpenStream
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import a_context, a_runtime, signed_in, some_services
from tests.sessions.samples import NOW, a_session

API = {"match": "/api/**", "rule": "protected", "upstream": "api"}
MOVED = {"url": "http://127.0.0.1:2"}
BOTH = {"url": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
ADA = Authenticated(session=a_session(), key="k")
BEA = Authenticated(session=a_session(active_tenant_id=None, tenants={}), key="k")
NOBODY = Anonymous(reason=Reason.NO_SESSION)
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
        pytest.param([API | {"rule": "public"}], {}, NOBODY, None, id="opened"),
        pytest.param([], {}, ADA, Reason.NO_ROUTE, id="removed"),
        pytest.param([API | {"match": {"path": "/api/**", "host": "a.test"}}], {}, ADA, Reason.NO_ROUTE, id="another host"),
        pytest.param([API | {"match": {"path": "/api/**", "methods": ["POST"]}}], {}, ADA, Reason.METHOD_NOT_ALLOWED, id="another method"),
        pytest.param([API | {"rule": "admin-only"}], {}, ADA, None, id="for administrators, and it is one"),
        pytest.param([API | {"require": {"roles": ["editor"]}}], {}, ADA, Reason.ROLE_MISSING, id="a role"),
        pytest.param([API | {"require": {"tenant": True}}], {}, BEA, Reason.TENANT_MISSING, id="a tenant"),
        pytest.param([API | {"require": {"aal": "aal2"}}], {}, ADA, Reason.AAL_TOO_LOW, id="a level"),
        pytest.param([API | {"rule": "auth-redirect"}], {}, ADA, Reason.ALREADY_SIGNED_IN, id="for guests"),
        pytest.param([API], {}, NOBODY, Reason.NO_SESSION, id="protected, and nobody signed in"),
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


async def test_a_stream_that_opens_after_the_reload_is_told_of() -> None:
    services, told = some_services(), []
    services.streams.active, services.streams.on_stale = "now", lambda: told.append(1)

    services.streams.add(OpenStream(key=None, end=print, evaluated_by="now"))
    services.streams.add(OpenStream(key=None, end=print, evaluated_by="before"))

    assert told == [1]


@pytest.mark.parametrize("reconnects", [True, False])
async def test_a_stream_ends_at_a_route_that_only_decides(reconnects: bool) -> None:
    listeners = {"authz": "127.0.0.1:9091", "trusted_proxies": ["127.0.0.1"]}
    after = a_runtime(
        server={"public_url": "https://app.example", **listeners},
        routes=[API | {"upstream": None}],
    )
    found = refusal_reason(admitted(runtime(API), reconnects=reconnects), ADA, after)

    assert found is Reason.UPSTREAM_CHANGED
