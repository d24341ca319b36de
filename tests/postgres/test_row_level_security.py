"""Tenants kept apart by PostgreSQL, on nothing but the gateway's tokens.

The gateway's minter makes the tokens, its key set verifies them, and the policies
that a user starts from decide.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization as ser

from gateway.sessions.record import Tenant
from gateway.tokens.claims import compile_claims
from gateway.tokens.key_files import KeyRing, embedded_ring
from gateway.tokens.minter import Minter, TokenProfile
from tests.docs.snippets import block_of
from tests.postgres.postgrest_like import Refused, run, verify
from tests.tokens.subjects import (
    ACME,
    DATABASE,
    GLOBEX,
    NOW,
    make_session,
    minted,
    numbered,
)

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.postgres]

RING = embedded_ring("ES256", now=NOW - 10)
FORGER = embedded_ring("ES256", now=NOW - 10)
BODIES = "select body from notes order by id"

Connection = psycopg.Connection


def mint(
    tenant: Tenant | None,
    *,
    ring: KeyRing = RING,
    audience: str = "postgrest",
    claims: dict[str, Any] | None = None,
    identity: str = "u_ann",
    tenants: tuple[Tenant, ...] | None = None,
) -> str | None:
    profile = TokenProfile(
        name="database",
        audience=audience,
        header="Authorization",
        cookie=None,
        claims=compile_claims(DATABASE if claims is None else claims),
    )
    minter = Minter(
        ring=ring, profiles={"database": profile}, issuer="https://gw", lifetime=60
    )
    belongs = tenants if tenants is not None else (tenant,) if tenant else ()
    session = make_session(identity=identity, tenants=belongs)
    return minted(minter, "database", session, tenant, NOW, numbered())


def token_for(tenant: Tenant, **changes: Any) -> str:
    token = mint(tenant, **changes)
    assert token is not None
    return token


def believed(token: str, *, now: float = NOW) -> dict[str, Any]:
    return verify(token, jwks=RING.jwks(), audience="postgrest", now=now)


def ask(
    database: Connection, token: str, query: str = BODIES, *values: object
) -> list[tuple[Any, ...]]:
    return run(database, believed(token), query, values)


# Not believed


def _alg_none(token: str) -> str:
    _, payload, _ = token.split(".")
    return f"{_b64({'alg': 'none', 'typ': 'JWT'})}.{payload}."


def _alg_none_with_kid(token: str) -> str:
    _, payload, _ = token.split(".")
    return f"{_b64({'alg': 'none', 'kid': RING.keys[0].kid})}.{payload}."


def _hmac_with_public_key(token: str) -> str:
    """CVE-2022-29217: the published key taken for a secret."""
    private = RING.keys[0].private
    assert not isinstance(private, bytes)
    secret = private.public_key().public_bytes(
        ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo
    )
    payload = token.split(".")[1]
    signed = f"{_b64({'alg': 'HS256', 'kid': RING.keys[0].kid})}.{payload}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _other_tenant_in_the_payload(token: str) -> str:
    header, _, signature = token.split(".")
    options: Any = {"verify_signature": False}
    claims = jwt.decode(token, options=options)
    return f"{header}.{_b64({**claims, 'tenant_id': 't_globex'})}.{signature}"


def _own_key_in_the_header(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    forger = FORGER.keys[0]
    assert not isinstance(forger.private, bytes)
    return jwt.encode(
        claims,
        forger.private,
        "ES256",
        {"kid": RING.keys[0].kid, "jwk": forger.public_jwk},
    )


def _b64(value: dict[str, Any]) -> str:
    raw = json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda _: token_for(ACME, ring=FORGER), id="signed by another"),
        pytest.param(_own_key_in_the_header, id="signed by another, under our kid"),
        pytest.param(lambda _: token_for(ACME, audience="web"), id="another audience"),
        pytest.param(_alg_none, id="alg none"),
        pytest.param(_alg_none_with_kid, id="alg none under our kid"),
        pytest.param(_hmac_with_public_key, id="HS256 with the public key"),
        pytest.param(_other_tenant_in_the_payload, id="payload changed"),
        pytest.param(lambda token: token[:-2], id="signature cut"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "a.b.c", id="no JWT"),
    ],
)
def test_what_the_gateway_did_not_sign_for_this_api_is_refused(
    forge: Callable[[str], str],
) -> None:
    with pytest.raises(Refused):
        believed(forge(token_for(ACME)))


@pytest.mark.parametrize(
    ("after", "ok"), [(-31, False), (-30, True), (0, True), (90, True), (91.5, False)]
)
def test_a_token_is_believed_in_its_time_and_half_a_minute_around(
    after: float, ok: bool
) -> None:
    token = token_for(ACME)
    now = int(NOW) + after

    if ok:
        assert believed(token, now=now)["tenant_id"] == "t_acme"
    else:
        with pytest.raises(Refused):
            believed(token, now=now)


def test_who_is_in_no_tenant_gets_no_token() -> None:
    assert mint(None) is None
    assert mint(GLOBEX, tenants=(ACME,)) is None


# Believed, and yet


def test_without_a_token_there_is_nothing(database: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(database, None, BODIES)


def test_without_a_token_there_are_no_rows_even_where_someone_granted_them(
    database: Connection, superuser: Connection
) -> None:
    superuser.execute("grant select on notes to anon")
    try:
        assert run(database, None, BODIES) == []
    finally:
        superuser.execute("revoke select on notes from anon")


def test_one_who_connects_without_a_request_sees_nothing(database: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute(BODIES.encode())


def test_the_owner_of_the_table_sees_nothing_either(superuser: Connection) -> None:
    with superuser.transaction():
        superuser.execute("set local role app_owner")
        assert superuser.execute(BODIES.encode()).fetchall() == []


@pytest.mark.parametrize("role", ["postgres", "app_owner", "nobody", "", "none"])
def test_a_role_that_was_not_granted_is_refused(
    database: Connection, role: str
) -> None:
    claims = {**DATABASE, "role": role}
    with pytest.raises(psycopg.Error):
        ask(database, token_for(ACME, claims=claims))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"role": "authenticated"}, id="no tenant claim"),
        pytest.param({"role": "authenticated", "tenant_id": ""}, id="empty tenant"),
        pytest.param({"role": "authenticated", "tenant_id": None}, id="null tenant"),
        pytest.param({"role": "authenticated", "tenant_id": "%"}, id="pattern"),
        pytest.param({"role": "authenticated", "tenant_id": ["t_acme"]}, id="list"),
        pytest.param({"role": "authenticated", "tenantid": "t_acme"}, id="misspelt"),
    ],
)
def test_a_token_that_names_no_tenant_sees_no_row(
    database: Connection, claims: dict[str, Any]
) -> None:
    assert ask(database, token_for(ACME, claims=claims)) == []


def test_each_tenant_sees_its_own_rows_and_no_other(database: Connection) -> None:
    acme, globex = token_for(ACME), token_for(GLOBEX)

    assert ask(database, acme) == [("acme one",), ("acme two",)]
    assert ask(database, globex) == [("globex one",)]
    assert ask(database, acme, "select count(*) from notes") == [(2,)]
    where = "select body from notes where tenant_id = %s or true"
    assert ask(database, globex, where, "t_acme") == [("globex one",)]


def test_one_who_is_in_two_tenants_sees_one_at_a_time(database: Connection) -> None:
    both = (ACME, GLOBEX)

    assert ask(database, token_for(ACME, tenants=both)) == [
        ("acme one",),
        ("acme two",),
    ]
    assert ask(database, token_for(GLOBEX, tenants=both)) == [("globex one",)]


def test_nothing_is_left_on_the_connection(database: Connection) -> None:
    ask(database, token_for(ACME))

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute(BODIES.encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(database, None, BODIES)
    bare = {"role": "authenticated"}
    assert run(database, bare, BODIES) == []


def test_a_name_that_looks_like_json_or_sql_stays_a_name(database: Connection) -> None:
    hostile = """x","tenant_id":"t_globex"}'; drop table notes; --"""
    claims = {**DATABASE, "name": "{identity.id}"}
    token = token_for(ACME, identity=hostile, claims=claims)

    assert ask(database, token) == [("acme one",), ("acme two",)]
    assert ask(database, token, "select auth.user_id()") == [(hostile,)]


# Writing

ADD = "insert into notes (body) values (%s) returning tenant_id, author"


def test_a_new_row_is_the_tenants_and_the_authors(database: Connection) -> None:
    assert ask(database, token_for(GLOBEX), ADD, "new") == [("t_globex", "u_ann")]
    assert ask(database, token_for(ACME)) == [("acme one",), ("acme two",)]


VIEWER = Tenant(id="t_acme", name="Acme", role="viewer")
MEMBER = Tenant(id="t_acme", name="Acme", role="member")


@pytest.mark.parametrize(
    ("tenant", "query"),
    [
        pytest.param(
            ACME,
            "insert into notes (tenant_id, body) values ('t_globex', 'x')",
            id="insert for another tenant",
        ),
        pytest.param(
            ACME,
            "insert into notes (author, body) values ('u_bob', 'x')",
            id="insert for another author",
        ),
        pytest.param(
            ACME, "update notes set tenant_id = 't_globex'", id="move to another tenant"
        ),
        pytest.param(VIEWER, "insert into notes (body) values ('x')", id="role"),
        pytest.param(ACME, "truncate notes", id="truncate"),
        pytest.param(ACME, "alter table notes disable row level security", id="alter"),
        pytest.param(ACME, "create table public.mine ()", id="create"),
        pytest.param(ACME, "set local role app_owner", id="become the owner"),
        pytest.param(ACME, "set local session authorization postgres", id="superuser"),
    ],
)
def test_what_a_request_may_not_do_is_refused(
    database: Connection, superuser: Connection, tenant: Tenant, query: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(database, token_for(tenant), query)

    count = superuser.execute("select count(*) from notes").fetchone()
    assert count == (3,)


def test_the_check_refuses_even_where_the_column_may_be_written(
    database: Connection, superuser: Connection
) -> None:
    superuser.execute("grant update (tenant_id) on notes to authenticated")
    move = "update notes set tenant_id = 't_globex' where body = 'acme one'"
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
            ask(database, token_for(ACME), move)
    finally:
        superuser.execute("revoke update (tenant_id) on notes from authenticated")


def test_a_policy_that_someone_adds_does_not_open_the_other_tenants(
    database: Connection, superuser: Connection
) -> None:
    superuser.execute("create policy oops on notes to authenticated using (true)")
    try:
        assert ask(database, token_for(GLOBEX)) == [("globex one",)]
    finally:
        superuser.execute("drop policy oops on notes")


@pytest.mark.parametrize(
    ("tenant", "identity", "query", "touched"),
    [
        (ACME, "u_ann", "update notes set body = 'x'", 2),
        (MEMBER, "u_ann", "update notes set body = 'x'", 1),
        (MEMBER, "u_eve", "update notes set body = 'x'", 0),
        (GLOBEX, "u_gil", "update notes set body = 'x'", 1),
        (ACME, "u_ann", "delete from notes", 2),
        (MEMBER, "u_ann", "delete from notes", 0),
    ],
)
def test_others_rows_are_not_there_to_be_changed(
    database: Connection, tenant: Tenant, identity: str, query: str, touched: int
) -> None:
    token = token_for(tenant, identity=identity)

    assert len(ask(database, token, f"{query} returning id")) == touched


def test_the_files_may_be_run_again(superuser: Connection) -> None:
    from tests.postgres_server import DEPLOY

    for path in sorted(DEPLOY.glob("*.sql")):
        superuser.execute(path.read_bytes())

    assert superuser.execute("select count(*) from notes").fetchone() == (3,)


def test_the_table_in_the_docs_keeps_tenants_apart(
    database: Connection, superuser: Connection
) -> None:
    from tests.postgres_server import DEPLOY

    text = (DEPLOY.parent.parent / "docs" / "postgres.md").read_text()
    start = text.index("create table invoices")
    superuser.execute(text[start : text.index("```", start)].encode())
    bill = "insert into invoices (total) values (7)"
    try:
        ask(database, token_for(ACME), bill)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(database, token_for(GLOBEX), bill)
        seen = "select tenant_id, total::int from invoices"

        assert ask(database, token_for(ACME), seen) == [("t_acme", 7)]
        assert ask(database, token_for(GLOBEX), seen) == []
    finally:
        superuser.execute("drop table invoices")


UUIDS = [f"0b9f0000-0000-4000-8000-00000000000{digit}" for digit in "ab"]


def test_tenants_as_uuid_are_kept_apart_as_the_docs_show_it(
    database: Connection, superuser: Connection
) -> None:
    first, second = (Tenant(id=each, name="", role="owner") for each in UUIDS)
    superuser.execute(block_of("docs/postgres.md", "Tenants as uuid", "sql").encode())
    pay = "insert into payments (total) values (7)"
    seen = "select tenant_id::text, total::int from payments"
    odd = [f"{{{UUIDS[0]}}}", UUIDS[0].upper(), UUIDS[0].replace("-", ""), "t_acme"]
    try:
        ask(database, token_for(first), pay)

        assert ask(database, token_for(first), seen) == [(UUIDS[0], 7)]
        assert ask(database, token_for(second), seen) == []
        for spelling in odd:
            tenant = Tenant(id=spelling, name="", role="owner")
            assert ask(database, token_for(tenant), seen) == []
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ask(database, token_for(tenant), pay)
    finally:
        superuser.execute("drop table payments; drop function auth.tenant_uuid")


def test_a_role_for_each_tenant_works_as_the_docs_show_it(
    database: Connection, superuser: Connection
) -> None:
    claims = {"role": "tenant_{tenant.id}", "tenant_id": "{tenant.id}"}
    superuser.execute(
        block_of("docs/postgres.md", "A role for each tenant", "sql").encode()
    )
    try:
        found = ask(
            database,
            token_for(ACME, claims=claims),
            "select current_user::text, body from notes order by id",
        )
        assert found == [
            ("tenant_t_acme", "acme one"),
            ("tenant_t_acme", "acme two"),
        ]
        with pytest.raises(psycopg.Error):
            ask(database, token_for(GLOBEX, claims=claims))
    finally:
        superuser.execute('drop role "tenant_t_acme"')
