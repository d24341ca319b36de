"""What a record says of a person."""

import msgpack  # type: ignore[import-untyped]
import pytest

from gateway.sessions.record import Corrupt, Session
from tests.sessions.formats.judging import compiled, interpreted, read


def test_memberships_come_as_a_mapping_or_a_list() -> None:
    mapping = {"t_1": {"name": "One", "role": "owner"}, "t_2": {}}
    listed = [{"id": "t_1", "name": "One", "role": "owner"}, {"id": "t_2"}]

    reported = [
        read({"id": "u", "org": "t_2", "m": m}, tenants="$.m", active_tenant="$.org")
        for m in (mapping, listed)
    ]

    for session in reported:
        assert isinstance(session, Session)
        assert session.active_tenant_id == "t_2"
        assert session.tenants["t_1"].role == "owner"
        assert session.tenants["t_2"].name == "t_2"
    assert reported[0] == reported[1]


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        pytest.param("admin, user,,admin", ("admin", "user"), id="commas"),
        pytest.param("", (), id="empty"),
        pytest.param([], (), id="none"),
        pytest.param(None, (), id="null"),
        pytest.param(["a", "b", "a", 3], ("a", "b", "3"), id="list"),
    ],
)
def test_roles_come_as_a_list_or_with_commas(
    given: list[int | str] | str | None, roles: tuple[str, ...]
) -> None:
    reported = read({"id": "u", "roles": given}, roles="$.roles")

    assert isinstance(reported, Session)
    assert reported.identity.roles == roles


def test_traits_that_no_header_can_hold_are_left_out() -> None:
    given = {"id": "u", "a": "x\r\nX-Admin: 1", "b": [1], "c": True, "d": 7, "e": 1.5}

    reported = read(given, traits={name: f"$.{name}" for name in "abcde"})

    assert isinstance(reported, Session)
    assert reported.identity.traits == {"c": True, "d": 7, "e": 1.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_left_out(value: float) -> None:
    raw = msgpack.packb({"id": "u", "n": value, "exp": value})
    profile = compiled(values=["msgpack"], traits={"n": "$.n"})
    timed = compiled(values=["msgpack"], expires={"path": "$.exp", "unit": "s"})

    reported = interpreted(profile, raw)

    assert isinstance(reported, Session)
    assert reported.identity.traits == {}
    assert isinstance(interpreted(timed, raw), Corrupt)
