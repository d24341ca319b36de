"""When a membership is due, and what a renewed session is."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from gateway.oidc.membership import change_between, due_at, renewed_session
from gateway.oidc.person import Person
from gateway.sessions.record import Identity, Session, Tenant
from tests.sessions.samples import NOW, a_session

EVERY = {"acme": 900.0}


def of_provider(facts: Any, **changes: Any) -> Session:
    return replace(a_session(), extra={"provider": facts, "other": 1}, **changes)


def person(*roles: str, **tenants: str) -> Person:
    return Person(
        identity=Identity(id="id-1", traits={"email": "new@example.com"}, roles=roles),
        tenants={i: Tenant(id=i, name=i, role=role) for i, role in tenants.items()},
    )


@pytest.mark.parametrize(
    ("facts", "due"),
    [
        pytest.param({"name": "acme", "refreshed_at": NOW}, NOW + 900, id="later"),
        pytest.param({"name": "acme", "refreshed_at": NOW - 900}, NOW, id="now"),
        pytest.param({"name": "acme", "refreshed_at": NOW + 3600}, NOW, id="ahead"),
        pytest.param({"name": "acme"}, inf, id="never-renewed"),
        pytest.param({"name": "other", "refreshed_at": 0}, inf, id="other-provider"),
        pytest.param({"name": ["acme"], "refreshed_at": 0}, inf, id="name-of-a-list"),
        pytest.param({"name": "acme", "refreshed_at": "0"}, inf, id="text"),
        pytest.param({"name": "acme", "refreshed_at": True}, inf, id="boolean"),
        pytest.param({"name": "acme", "refreshed_at": nan}, inf, id="nan"),
        pytest.param("acme", inf, id="not-an-object"),
        pytest.param(None, inf, id="none"),
    ],
)
def test_a_session_is_due(facts: Any, due: float) -> None:
    assert due_at(of_provider(facts), EVERY, NOW) == due


def test_roles_traits_and_tenants_are_those_of_now_and_the_rest_stays() -> None:
    old = of_provider({"name": "acme", "subject": "s"}, active_tenant_id=None)
    old = replace(old, tenants={"t_old": Tenant(id="t_old", name="Old", role="owner")})

    new = renewed_session(old, person("staff", t_new="member"), NOW)

    assert new.identity.id == old.identity.id
    assert new.identity.roles == ("staff",)
    assert new.identity.traits == {"email": "new@example.com"}
    assert list(new.tenants) == ["t_new"]
    assert new.extra["other"] == 1
    assert new.extra["provider"] == {
        "name": "acme",
        "subject": "s",
        "refreshed_at": int(NOW),
    }
    same = ("authenticated_at", "expires_at", "aal", "methods", "devices", "active")
    assert all(getattr(new, name) == getattr(old, name) for name in same)


def test_a_user_without_a_new_description_keeps_everything() -> None:
    old = of_provider({"name": "acme"})

    new = renewed_session(old, None, NOW)

    assert change_between(old, new).nothing
    assert due_at(new, EVERY, NOW) == int(NOW) + 900


@pytest.mark.parametrize(
    ("before", "active", "now", "then"),
    [
        pytest.param(["a", "b"], "a", ["b"], None, id="lost: not another by itself"),
        pytest.param(["a", "b"], "a", ["a"], "a", id="kept"),
        pytest.param(["a"], None, ["a", "b"], None, id="personal-stays-personal"),
        pytest.param([], None, ["a"], "a", id="the-first-one"),
        pytest.param([], None, ["a", "b"], None, id="two-at-once"),
        pytest.param(["a"], "a", [], None, id="none-left"),
    ],
)
def test_the_active_tenant_goes_with_its_membership(
    before: list[str], active: str | None, now: list[str], then: str | None
) -> None:
    old = replace(
        of_provider({"name": "acme"}),
        tenants={i: Tenant(id=i, name=i, role="") for i in before},
        active_tenant_id=active,
    )

    new = renewed_session(old, person(**dict.fromkeys(now, "")), NOW)

    assert new.active_tenant_id == then


def test_a_change_names_what_differs() -> None:
    old = replace(
        of_provider({"name": "acme"}),
        identity=Identity(id="i", traits={"email": "a@b.c"}, roles=("x", "y")),
        tenants={i: Tenant(id=i, name=i, role="member") for i in ("a", "b")},
    )

    change = change_between(
        old, renewed_session(old, person("y", "z", b="owner", c=""), NOW)
    )

    assert change.roles_added == ("z",)
    assert change.roles_removed == ("x",)
    assert (change.tenants_added, change.tenants_removed) == (("c",), ("a",))
    assert change.tenant_roles == ("b",)
    assert change.traits == ("email",)
