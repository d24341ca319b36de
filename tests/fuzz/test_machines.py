"""Sessions and routes as state machines: any order of what may happen to them.

Hypothesis chooses the steps, a model says what must hold, and real parts answer: two
stores on one Valkey, a gateway on sockets with an upstream that records, route tables.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.errors import ConfigError, StoreUnavailable
from gateway.http.target import segment_key
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, MethodNotAllowed, NoRoute, RouteTable
from gateway.sessions.authenticate import LifetimePolicy, touch
from gateway.sessions.record import Corrupt, Identity, Session, Tenant
from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url
from tests.servers import PATIENCE, Server, valkey_server
from tests.sessions.samples import NOW, a_session
from tests.walk import harness
from tests.walk.harness import (
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    answer_ok,
    ask,
    base_config,
    running_gateway,
    sign_in_header,
)

pytestmark = pytest.mark.walk

PEOPLE = ("u_ada", "u_bob", "u_eve")
TENANTS = ("t_acme", "t_blue")


def few(steps: int) -> settings:
    """A tenth of the examples of other properties: each is many steps."""
    usual = settings.default
    assert usual
    return settings(
        max_examples=max(usual.max_examples // 10, 5),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("machines")) as running:
        yield running


class InLoop(RuleBasedStateMachine):
    """A machine whose steps are coroutines, in an event loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    def run(self, step: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(step, PATIENCE))

    def until_done(self, step: Any) -> None:
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            with suppress(StoreUnavailable):
                self.run(step())
                return
        raise AssertionError("the store stays away")

    def teardown(self) -> None:
        self.loop.close()


# --- the store


class StoreMachine(InLoop):
    """Two stores, as of two processes, on one server, against a dictionary."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        server.command_line("FLUSHALL")
        address = parse_redis_url(server.url)
        self.now = NOW
        self.made = 0
        self.model: dict[str, Session | None] = {}
        """None: bytes that are no session."""

        async def opened() -> list[RedisStore]:
            return [
                RedisStore(address, timeout=30, max_per_identity=3) for _ in range(2)
            ]

        self.stores = self.run(opened())

    def teardown(self) -> None:
        for store in self.stores:
            self.run(store.close())
        super().teardown()

    async def loaded(self, store: RedisStore, key: str) -> Session | Corrupt | None:
        return await store.load(key)

    def live(self, person: str) -> list[str]:
        found = [
            (session.authenticated_at, key)
            for key, session in self.model.items()
            if session is not None
            and session.active
            and session.expires_at > self.now
            and session.identity.id == person
        ]
        return [key for _, key in sorted(found, reverse=True)]

    @rule(
        at=st.integers(0, 1),
        person=st.sampled_from(PEOPLE),
        life=st.sampled_from([600, 86_400]),
    )
    def create(self, at: int, person: str, life: int) -> None:
        self.made += 1
        key = f"{self.made:064x}"
        session = a_session(
            id=f"s{self.made}",
            identity=Identity(id=person),
            authenticated_at=self.now,
            expires_at=self.now + life,
            last_seen_at=self.now,
        )
        ended = self.run(self.stores[at].create(key, session, self.now))
        self.model[key] = session
        surplus = [one for one in self.live(person) if one != key][2:]
        assert sorted(ended) == sorted(surplus)
        for one in surplus:
            self.gone(one)

    def gone(self, key: str) -> None:
        session = self.model[key]
        assert session is not None
        self.model[key] = replace(session, active=False)

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 1), data=st.data())
    def end(self, at: int, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        before = self.model[key]
        ended = self.run(self.stores[at].end(key, self.now))
        assert (ended is not None) == (before is not None and before.active)
        if before is not None:
            self.gone(key)

    @rule(at=st.integers(0, 1), person=st.sampled_from(PEOPLE), data=st.data())
    def end_all(self, at: int, person: str, data: st.DataObject) -> None:
        live = self.live(person)
        but = data.draw(st.sampled_from([None, *live]))
        ended = self.run(self.stores[at].end_all(person, self.now, but))
        assert ended == len(live) - (but is not None)
        for key in live:
            if key != but:
                self.gone(key)
        for key, session in self.model.items():
            # By another clock it may live: what has expired may be ended as well.
            over = session is not None and session.expires_at <= self.now
            if over and session is not None and session.identity.id == person:
                found = self.run(self.loaded(self.stores[at], key))
                assert isinstance(found, Session)
                assert session.active or not found.active
                self.model[key] = replace(session, active=found.active)

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 1), data=st.data())
    def use_and_extend(self, at: int, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        found = self.run(self.loaded(self.stores[at], key))
        if not isinstance(found, Session):
            return
        policy = LifetimePolicy(lifespan=86_400, extend_within=3600)
        touched = touch(found, self.now, policy)
        if touched is not None and found.active:
            assert self.run(self.stores[at].replace(key, found, touched))
            self.model[key] = touched

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 1), data=st.data(), tenant=st.sampled_from(TENANTS))
    def a_late_write_changes_nothing_that_ended(
        self, at: int, data: st.DataObject, tenant: str
    ) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        seen = self.run(self.loaded(self.stores[at], key))
        if not isinstance(seen, Session):
            return
        self.end_by_the_other(at, key)
        late = replace(seen, active_tenant_id=tenant, last_seen_at=self.now + 1)
        done = self.run(self.stores[at].replace(key, seen, late))
        assert done is (not seen.active), "an ended record may be written as it is"
        if done:
            self.model[key] = late

    def end_by_the_other(self, at: int, key: str) -> None:
        self.run(self.stores[1 - at].end(key, self.now))
        self.gone(key)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), raw=st.binary(max_size=20))
    def another_program_writes_garbage(self, data: st.DataObject, raw: bytes) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.run(self.stores[0]._client.call("SET", record_key(key), b"\0" + raw))
        self.model[key] = None

    @rule(seconds=st.sampled_from([1.0, 61.0, 3000.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_server_drops_every_connection(self) -> None:
        self.server.command_line("CLIENT", "KILL", "TYPE", "normal")
        for store in self.stores:
            self.until_done(store.ping)

    @invariant()
    def both_stores_say_what_the_model_says(self) -> None:
        for store in self.stores:
            for key, expected in self.model.items():
                found = self.run(self.loaded(store, key))
                if expected is None:
                    assert isinstance(found, Corrupt)
                    continue
                assert isinstance(found, Session)
                assert found.active is expected.active
                assert found.active_tenant_id == expected.active_tenant_id
                assert found.expires_at == expected.expires_at
            for person in PEOPLE:
                listed = self.run(store.list_for(person, self.now))
                assert [key for key, _ in listed] == self.live(person)


def test_a_store_keeps_its_promises_in_any_order_of_steps(server: Server) -> None:
    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(server)

    run_state_machine_as_test(Machine, settings=few(25))


# --- the gateway


@dataclass
class Known:
    """What the model knows of a session."""

    person: str
    admin: bool
    tenant: str | None
    live: bool = True


class GatewayMachine(InLoop):
    """Requests through sockets; nobody is let in but by a session that lives."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__()
        self.server = server
        server.command_line("FLUSHALL")
        self.known: dict[str, Known] = {}
        self.upstream = RecordingUpstream()
        self.run(self.upstream.start())
        self.config = base_config(self.upstream.port)
        self.config["server"]["guessing"] = None
        self.running = running_gateway(self.config, folder, server.url)
        self.gateway: Gateway = self.run(self.running.__aenter__())

    def teardown(self) -> None:
        self.run(self.running.__aexit__(None, None, None))
        self.run(self.upstream.stop())
        super().teardown()

    def ask(self, *args: Any, **more: Any) -> Reply:
        """Ask until it is not a 503: an outage ends nothing and lets nobody in."""
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            before = len(self.upstream.seen)
            reply: Reply = self.run(ask(self.gateway.port, *args, **more))
            if reply.status != 503:
                return reply
            assert not reply.all("Set-Cookie"), "an outage clears no cookie"
            assert len(self.upstream.seen) == before
        raise AssertionError(f"nothing but 503: {args} {more}")

    @initialize()
    def nobody_is_signed_in(self) -> None:
        assert self.ask(target="/dashboard", headers=PROGRAM).status == 401

    @rule(person=st.sampled_from(PEOPLE), admin=st.booleans())
    def the_app_signs_somebody_in(self, person: str, admin: bool) -> None:
        document = {
            "identity": {"id": person, "roles": ["admin"] if admin else ["member"]},
            "tenants": {each: {"name": each, "role": "owner"} for each in TENANTS},
            "active_tenant_id": TENANTS[0],
        }

        async def signs_in(_seen: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nX-Gateway-Sign-In: "
                + sign_in_header(document).encode()
                + b"\r\nContent-Length: 0\r\n\r\n"
            )
            await writer.drain()

        self.upstream.answer = signs_in
        reply = self.run(ask(self.gateway.port, "POST", "/auth/login", PROGRAM))
        self.upstream.answer = answer_ok
        if reply.status == 503:
            return  # then nobody has the cookie of it
        (line,) = reply.all("Set-Cookie")
        self.known[line.partition(";")[0]] = Known(person, admin, TENANTS[0])

    @rule(person=st.sampled_from(PEOPLE))
    def a_session_has_expired(self, person: str) -> None:
        session = harness.a_session(
            time.time() - 90_000,
            identity=Identity(id=person),
            tenants={"t_acme": Tenant(id="t_acme", name="Acme", role="owner")},
        )
        cookie = self.run(self.gateway.sign_in(session))
        self.known[cookie] = Known(person, False, "t_acme", live=False)

    def some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.known)))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def somebody_signs_out(self, data: st.DataObject) -> None:
        cookie = self.some(data)
        same = {"Cookie": cookie, "Origin": "http://gw.test"}
        reply = self.ask("POST", "/.gateway/logout", PROGRAM | same)
        assert reply.status in {200, 204, 302, 303}
        self.known[cookie].live = False

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def an_administrator_ends_one(self, data: st.DataObject) -> None:
        cookie = self.some(data)
        self.until_done(
            lambda: self.gateway.app.store.end(Gateway.key_of(cookie), time.time())
        )
        self.known[cookie].live = False

    @rule(person=st.sampled_from(PEOPLE))
    def an_administrator_ends_all_of_one_person(self, person: str) -> None:
        self.until_done(
            lambda: self.gateway.app.store.end_all(person, time.time(), None)
        )
        for each in self.known.values():
            if each.person == person:
                each.live = False

    @precondition(lambda self: self.known)
    @rule(data=st.data(), tenant=st.sampled_from([*TENANTS, "t_else"]))
    def somebody_switches_the_tenant(self, data: st.DataObject, tenant: str) -> None:
        cookie = self.some(data)
        fields = PROGRAM | {
            "Cookie": cookie,
            "Origin": "http://gw.test",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = f"tenant_id={tenant}".encode()
        reply = self.ask("POST", "/.gateway/tenant", fields, body)
        known = self.known[cookie]
        if not known.live:
            assert reply.status == 401
        elif tenant not in TENANTS:
            assert reply.status == 403
        else:
            assert reply.status in {204, 302, 303}, reply.status
            known.tenant = tenant

    @rule(access=st.booleans())
    def the_configuration_is_reloaded(self, access: bool) -> None:
        self.config["log"] = {"access": access}
        self.gateway.path.write_text(yaml.safe_dump(self.config))
        assert self.run(self.gateway.app.reload())

    @rule(text=st.sampled_from(["", "version: 2", "routes: [", "a: &a [*a]"]))
    def a_bad_configuration_changes_nothing(self, text: str) -> None:
        self.gateway.path.write_text(text)
        assert not self.run(self.gateway.app.reload())

    @rule()
    def redis_drops_every_connection(self) -> None:
        self.server.command_line("CLIENT", "KILL", "TYPE", "normal")
        self.server.command_line("CLIENT", "KILL", "TYPE", "pubsub")

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(),
        where=st.sampled_from(["/", "/dashboard", "/admin/x", "/api/x", "/auth/login"]),
    )
    def somebody_asks(self, data: st.DataObject, where: str) -> None:
        cookie = self.some(data)
        known = self.known[cookie]
        before = len(self.upstream.seen)
        reply = self.ask(target=where, headers=PROGRAM | {"Cookie": cookie})
        closed = where not in {"/", "/auth/login"}
        allowed = known.live and (where != "/admin/x" or known.admin)
        if where == "/auth/login":
            allowed = not known.live
        if where == "/":
            allowed = True
        assert (reply.status == 200) is allowed, (where, known, reply.status)
        assert len(self.upstream.seen) == before + allowed
        if allowed:
            seen = self.upstream.last
            person = known.person if known.live and where != "/auth/login" else None
            assert seen.one("X-Auth-User-Id") == person
            assert seen.one("X-Auth-Tenant-Id") == (
                known.tenant if person is not None else None
            )
            assert seen.all("Cookie") == []
        elif closed and not known.live:
            assert reply.status == 401


def test_a_gateway_admits_no_request_in_any_order_of_steps(
    server: Server, tmp_path: Path
) -> None:
    class Machine(GatewayMachine):
        def __init__(self) -> None:
            super().__init__(server, tmp_path)

    run_state_machine_as_test(Machine, settings=few(20))


# --- routes

SEGMENTS = ("a", "b", "{x}", "%40")
HOSTS = (None, "a.example", "*.example", "{t}.example")
METHODS = (None, frozenset({"GET"}), frozenset({"POST", "DELETE"}))


class RouteMachine(RuleBasedStateMachine):
    """A table that grows and shrinks, against a reading of the rules by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: list[Route] = []

    @rule(
        path=st.lists(st.sampled_from(SEGMENTS), max_size=3),
        rest=st.booleans(),
        host=st.sampled_from(HOSTS),
        methods=st.sampled_from(METHODS),
    )
    def add(
        self, path: list[str], rest: bool, host: str | None, methods: frozenset[str]
    ) -> None:
        names = iter("xyz")
        parts = [f"{{{next(names)}}}" if part == "{x}" else part for part in path]
        text = "/" + "/".join([*parts, *(["**"] if rest else [])])
        new = Route(
            id=f"{host} {text} {sorted(methods or ())}",
            host=host,
            path=text,
            methods=methods,
            rule=Rule.PROTECTED,
            upstream="web",
        )
        try:
            RouteTable([*self.routes, new])
        except ConfigError:
            return  # a tie, which the table refuses; tests/routes says which are
        self.routes.append(new)

    @precondition(lambda self: self.routes)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.routes.remove(data.draw(st.sampled_from(self.routes)))

    @precondition(lambda self: self.routes)
    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        self.routes = data.draw(st.permutations(self.routes))

    @precondition(lambda self: self.routes)
    @rule(
        path=st.lists(st.sampled_from(["a", "b", "c", "%40", "@", ""]), max_size=4),
        host=st.sampled_from(["a.example", "b.example", "example", "a.b.example"]),
        method=st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    )
    def match(self, path: list[str], host: str, method: str) -> None:
        requested = "/" + "/".join(path)
        if "//" in requested:
            return  # no target has an empty segment
        found = RouteTable(self.routes).match(method, host, requested)
        here = [one for one in self.routes if covers(one, host, requested)]
        if not here:
            assert isinstance(found, NoRoute)
            return
        nearest = min(place(one) for one in here)
        here = [one for one in here if place(one) == nearest]
        wanted = "GET" if method == "HEAD" else method
        named = [one for one in here if one.methods and wanted in one.methods]
        open_ = [one for one in here if one.methods is None]
        if not (named or open_):
            assert isinstance(found, MethodNotAllowed)
            return
        assert isinstance(found, Match)
        assert found.route in (named or open_)


def covers(route: Route, host: str, path: str) -> bool:
    if route.host is not None:
        _, _, tail = route.host.partition(".")
        first, _, rest = host.partition(".")
        wild = route.host.startswith(("*", "{"))
        if (wild and not (first and rest == tail)) or (not wild and host != route.host):
            return False
    wanted, requested = route.path.split("/")[1:], path.split("/")[1:]
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        if len(requested) < len(wanted):
            return False
        requested = requested[: len(wanted)]
    return len(requested) == len(wanted) and all(
        (pattern.startswith("{") and bool(text))
        or segment_key(pattern) == segment_key(text)
        for pattern, text in zip(wanted, requested, strict=True)
    )


def place(route: Route) -> tuple[Any, ...]:
    """How specific a route is; the smaller wins."""
    host = 2 if route.host is None else 1 if route.host[0] in "*{" else 0
    shape = [
        2 if part == "**" else 1 if part.startswith("{") else 0
        for part in route.path.split("/")[1:]
    ]
    return host, shape


def test_a_table_means_the_same_in_any_order_and_as_its_page_says() -> None:
    run_state_machine_as_test(RouteMachine, settings=few(50))
