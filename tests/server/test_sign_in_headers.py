"""What an upstream may say of who signed in, and everything else it might say."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.sign_in_headers import (
    InvalidSignIn,
    SignIn,
    SignOut,
    read_sign_in_headers,
    sign_in_of,
)
from gateway.sessions.record import Identity, Tenant

ADA = {"identity": {"id": "u_ada"}}
NAME = b"X-Gateway-Sign-In"
OUT = b"X-Gateway-Sign-Out"


def encoded(document: object, *, padded: bool = False) -> bytes:
    text = base64.urlsafe_b64encode(orjson.dumps(document))
    return text if padded else text.rstrip(b"=")


def why(*fields: tuple[bytes, bytes]) -> str:
    found = read_sign_in_headers(fields)
    assert isinstance(found, InvalidSignIn), found
    return found.why


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param([], "JSON object", id="a list"),
        pytest.param("u_ada", "JSON object", id="a text"),
        pytest.param(None, "JSON object", id="null"),
        pytest.param({}, "identity", id="no identity"),
        pytest.param({"identity": "u_ada"}, "identity", id="identity a text"),
        pytest.param({"identity": {}}, "identity", id="no id"),
        pytest.param({"identity": {"id": ""}}, "identity.id", id="empty id"),
        pytest.param({"identity": {"id": True}}, "identity.id", id="id true"),
        pytest.param({"identity": {"id": 1.5}}, "identity.id", id="id a fraction"),
        pytest.param({"identity": {"id": None}}, "identity.id", id="id null"),
        pytest.param({"identity": None}, "identity.id", id="identity null"),
        pytest.param(ADA | {"tenants": {str(n): {} for n in range(1001)}}, "1001 memberships; the limit is 1000", id="too many memberships"),
        pytest.param({"identity": {"id": "u", "traits": []}}, "identity", id="traits a list"),
        pytest.param({"identity": {"id": "u", "roles": "admin"}}, "identity", id="roles a text"),
        pytest.param({"identity": {"id": "u", "roles": [7]}}, "identity", id="a role a number"),
        pytest.param({"identity": {"id": "u", "roles": [""]}}, "identity", id="a role empty"),
        pytest.param({"identity": {"id": "u", "roles": {"admin": 1}}}, "identity", id="roles an object"),
        pytest.param({"identity": {"id": "u", "created_at": "today"}}, "identity.created_at: not an RFC 3339 time", id="a time in words"),
        pytest.param({"identity": {"id": "u", "updated_at": 1}}, "identity.updated_at: not a string", id="a time as a number"),
        pytest.param(ADA | {"everywhere": "yes"}, "everywhere: neither", id="everywhere a text"),
        pytest.param(ADA | {"tenants": []}, "tenants: not an object", id="tenants a list"),
        pytest.param(ADA | {"tenants": {"": {}}}, "membership 1: the ID is empty", id="tenant without an id"),
        pytest.param(ADA | {"tenants": {"t": "owner"}}, "membership 1: not an object", id="tenant a text"),
        pytest.param(ADA | {"tenants": {"a": {}, "t": {"name": 7}}}, "membership 2: name or role", id="tenant's name a number"),
        pytest.param(ADA | {"tenants": {"t": {"role": ["owner"]}}}, "name or role", id="tenant's role a list"),
        pytest.param(ADA | {"active_tenant_id": "t"}, "active_tenant_id", id="active no membership"),
        pytest.param(ADA | {"active_tenant_id": ""}, "active_tenant_id", id="active empty"),
        pytest.param(ADA | {"active_tenant_id": ["t"]}, "active_tenant_id", id="active a list"),
        pytest.param(ADA | {"active_tenant_id": {}}, "active_tenant_id", id="active an object"),
        pytest.param(ADA | {"authentication_methods": "password"}, "authentication_methods", id="methods a text"),
        pytest.param(ADA | {"authentication_methods": [{}]}, "authentication_methods", id="a method an object"),
        pytest.param(ADA | {"aal": "aal9"}, "aal: none of", id="aal unknown"),
        pytest.param(ADA | {"aal": []}, "aal: none of", id="aal a list"),
        pytest.param(ADA | {"aal": {}}, "aal: none of", id="aal an object"),
        pytest.param(ADA | {"persistent": "yes"}, "persistent", id="persistent a text"),
        pytest.param(ADA | {"x": orjson.loads("[" * 40 + "]" * 40)}, "nests deeper", id="deep"),
    ],
)  # fmt: skip
def test_a_malformed_sign_in_signs_no_user_in(document: object, expected: str) -> None:
    assert expected in why((NAME, encoded(document)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([(NAME, b"")], "base64url JSON", id="empty"),
        pytest.param([(NAME, b"e30")] * 2, "more than one", id="twice"),
        pytest.param([(NAME, encoded(ADA)), (OUT, b"this")], "more than one", id="in and out"),
        pytest.param([(OUT, b"all"), (OUT.lower(), b"all")], "more than one", id="out twice"),
        pytest.param([(NAME, b"{}")], "base64url JSON", id="not encoded"),
        pytest.param([(NAME, b"e30!")], "base64url JSON", id="a strange sign"),
        pytest.param([(NAME, b"e3 0")], "base64url JSON", id="a space"),
        pytest.param([(NAME, b"e")], "base64url JSON", id="one sign"),
        pytest.param([(NAME, b"====")], "base64url JSON", id="padding alone"),
        pytest.param([(NAME, "é".encode())], "base64url JSON", id="beyond ASCII"),
        pytest.param([(NAME, base64.b64encode(b'{"a":'))], "base64url JSON", id="cut off"),
        pytest.param([(NAME, base64.b64encode(b'"\xff"'))], "base64url JSON", id="not UTF-8"),
        pytest.param([(NAME, base64.b64encode(b"[" * 9000))], "base64url JSON", id="deep"),
        pytest.param([(NAME, b"A" * 65_537)], "65537 characters; the limit is 65536", id="long"),
        pytest.param([(NAME, base64.b64encode(b'{"identity": {"id": "u", "id": "v"}}'))], "twice", id="a key twice"),
        pytest.param([(NAME, base64.b64encode(b'{"aal": "aal1", "identity": {"id": "u"}, "aal": "aal3"}'))], "twice", id="a level twice"),
        pytest.param([(OUT, b"")], "neither", id="out, empty"),
        pytest.param([(OUT, b"ALL")], "neither", id="out, another case"),
        pytest.param([(OUT, b"this, all")], "neither", id="out, both"),
    ],
)  # fmt: skip
def test_a_malformed_field_has_no_effect(
    fields: list[tuple[bytes, bytes]], expected: str
) -> None:
    assert expected in why(*fields)


def test_a_whole_sign_in_is_read() -> None:
    found = read_sign_in_headers(
        [
            (b"Content-Type", b"text/html"),
            (
                b"x-GATEWAY-sign-in",
                b" "
                + encoded(
                    {
                        "identity": {
                            "id": "u_ada",
                            "traits": {"email": "ada@example.com", "n": [1, None]},
                            "roles": ["admin", "staff"],
                        },
                        "tenants": {
                            "t_acme": {"name": "Acme", "role": "owner"},
                            "t_blue": {},
                        },
                        "active_tenant_id": "t_blue",
                        "authentication_methods": ["password", "totp"],
                        "aal": "aal2",
                        "persistent": False,
                        "of_a_later_version": 1,
                    }
                )
                + b"\t",
            ),
        ]
    )

    assert found == SignIn(
        identity=Identity(
            id="u_ada",
            traits={"email": "ada@example.com", "n": [1, None]},
            roles=("admin", "staff"),
        ),
        tenants={
            "t_acme": Tenant(id="t_acme", name="Acme", role="owner"),
            "t_blue": Tenant(id="t_blue", name="t_blue", role=""),
        },
        active_tenant_id="t_blue",
        methods=("password", "totp"),
        aal="aal2",
        persistent=False,
    )


@pytest.mark.parametrize("padded", [False, True])
def test_an_id_is_enough(padded: bool) -> None:
    found = read_sign_in_headers([(NAME, encoded(ADA, padded=padded))])

    assert found == SignIn(
        identity=Identity(id="u_ada"),
        tenants={},
        active_tenant_id=None,
        methods=("password",),
        aal="aal1",
        persistent=True,
    )


@pytest.mark.parametrize("which", ["this", "all"])
def test_a_sign_out_is_read(which: Any) -> None:
    assert read_sign_in_headers([(OUT, f" {which} ".encode())]) == SignOut(which=which)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="nothing"),
        pytest.param([(b"X-Gateway-Sign-In-At", b"e30")], id="another name"),
        pytest.param([(b"X_Gateway_Sign_In", b"e30")], id="another spelling"),
    ],
)
def test_a_response_without_the_field_changes_nothing(
    fields: list[tuple[bytes, bytes]],
) -> None:
    assert read_sign_in_headers(fields) is None


FIELD = st.tuples(
    st.sampled_from([NAME, OUT, NAME.lower(), b"Server"]),
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([b"this", b"all", encoded(ADA)]),
        st.binary(max_size=60).map(base64.urlsafe_b64encode),
    ),
)


@given(st.lists(FIELD, max_size=3))
def test_any_bytes_give_a_value(fields: list[tuple[bytes, bytes]]) -> None:
    """Law 7."""
    found = read_sign_in_headers(fields)

    assert found is None or isinstance(found, SignIn | SignOut | InvalidSignIn)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(), st.text(max_size=4)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "t", "roles", ""]), inner, max_size=3),
    ),
    max_leaves=6,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "identity": st.one_of(
            ANYTHING,
            st.fixed_dictionaries(
                {"id": st.just("u")}, optional={"traits": ANYTHING, "roles": ANYTHING}
            ),
        ),
        "tenants": st.one_of(ANYTHING, st.just({"t": {"name": "T", "role": "r"}})),
        "active_tenant_id": ANYTHING,
        "authentication_methods": ANYTHING,
        "aal": ANYTHING,
        "persistent": ANYTHING,
    },
)


@given(st.one_of(ANYTHING, DOCUMENTS))
def test_any_json_gives_a_value_and_a_sign_in_holds_what_it_says(
    document: object,
) -> None:
    """Law 7."""
    found = sign_in_of(document)

    if isinstance(found, SignIn):
        assert found.identity.id
        roles: tuple[object, ...] = found.identity.roles
        assert all(isinstance(role, str) and role for role in roles)
        assert found.active_tenant_id is None or found.active_tenant_id in found.tenants
        assert found.aal in {"aal1", "aal2", "aal3"}
    else:
        assert found.why


NULLS = {
    "identity": {"id": 42, "traits": None, "roles": None},
    "tenants": {"1": None, "2": {"name": None, "role": None}},
    "authentication_methods": None,
    "aal": None,
    "persistent": None,
}


def test_null_is_absent_and_ids_may_be_numbers() -> None:
    found = sign_in_of(NULLS | {"active_tenant_id": 2})

    assert found == SignIn(
        identity=Identity(id="42", traits={}, roles=()),
        tenants={
            "1": Tenant(id="1", name="1", role=""),
            "2": Tenant(id="2", name="2", role=""),
        },
        active_tenant_id="2",
        methods=("password",),
        aal="aal1",
        persistent=True,
    )


def test_five_hundred_memberships_arrive() -> None:
    tenants = {
        f"0190c2a5-7c1e-7d3b-9d5e-{number:012d}": {
            "name": f"Org {number}",
            "role": "owner",
        }
        for number in range(500)
    }

    found = read_sign_in_headers([(NAME, encoded(ADA | {"tenants": tenants}))])

    assert isinstance(found, SignIn)
    assert len(found.tenants) == 500


@pytest.mark.parametrize(
    ("active", "personal"),
    [
        ({}, False),
        ({"active_tenant_id": None}, True),
        ({"active_tenant_id": "t"}, False),
    ],
)
def test_null_leaves_no_active_tenant_and_absent_is_the_only_one(
    active: dict[str, Any], personal: bool
) -> None:
    found = sign_in_of(ADA | {"tenants": {"t": {}}} | active)

    assert isinstance(found, SignIn)
    assert found.personal is personal
