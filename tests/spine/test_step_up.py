"""What the page that a user returns to will ask of a new session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.routes.model import Require, Route, Rule
from gateway.spine.step_up import level_needed, route_to, still_missing
from tests.server.parts import the_runtime

RULES = the_runtime().rules
HOST = "gw.example"


def route(**require: object) -> Route:
    return Route(
        id="r",
        path="/**",
        rule=Rule.PROTECTED,
        upstream="web",
        require=Require(**require),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "location",
    ["/.gateway/account", "//evil", "/a/../b", "/%2e%2e/", "https://", "a://[", "x", "", "/nowhere-at-all"],
)  # fmt: skip
def test_an_address_without_a_route_requires_nothing(location: str) -> None:
    found = route_to(RULES, location, "no.such.host")

    assert still_missing(found, aal="aal1", authenticated_at=0.0, now=1.0) is None


@given(st.text(max_size=60))
def test_any_address_has_a_route_or_none(location: str) -> None:
    found = route_to(RULES, location, HOST)

    assert found is None or found in RULES.routes.routes


def test_the_query_and_the_host_of_an_address_are_not_its_path() -> None:
    known = route_to(RULES, "/dashboard", HOST)

    assert route_to(RULES, "/dashboard?a=/admin", HOST) == known
    assert route_to(RULES, f"https://{HOST}/dashboard?a=b", "other") == known


@pytest.mark.parametrize(
    ("wanted", "level"),
    [(None, "aal2"), ("aal1", "aal2"), ("aal2", "aal2"), ("aal3", "aal3")],
)
def test_a_step_up_reaches_the_level_of_the_page(
    wanted: str | None, level: str
) -> None:
    assert level_needed(route(aal=wanted)) == level
    assert level_needed(None) == "aal2"


@pytest.mark.parametrize(
    ("require", "reason"),
    [
        ({"aal": "aal3"}, Reason.AAL_TOO_LOW),
        ({"aal": "aal2"}, None),
        ({"authenticated_within": 30.0}, Reason.STEP_UP),
        ({"authenticated_within": 50.0}, None),
    ],
)
def test_what_is_still_missing(require: dict[str, object], reason: str | None) -> None:
    found = still_missing(
        route(**require), aal="aal2", authenticated_at=1000.0, now=1045.0
    )

    assert found == reason
