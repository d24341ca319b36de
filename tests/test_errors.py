"""What is raised on purpose: one family, each with what its catcher needs."""

import inspect
from typing import Any

import pytest

from gateway import errors
from gateway.errors import (
    ConfigError,
    ConnectFailed,
    GatewayError,
    InvalidUpstreamResponse,
    Problem,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
)


def test_catching_the_family_catches_all_of_it() -> None:
    raised = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    ]

    assert len(raised) >= 9
    assert all(issubclass(kind, GatewayError) for kind in raised)
    assert str(errors.__doc__).count("\n├") + str(errors.__doc__).count("└") >= 5
    for kind in raised:
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        pytest.param(UpstreamError, True, id="in doubt it may have acted"),
        pytest.param(UpstreamTimeout, True, id="timeout"),
        pytest.param(InvalidUpstreamResponse, True, id="bad answer"),
        pytest.param(ConnectFailed, False, id="no connection"),
        pytest.param(UpstreamBusy, False, id="busy"),
    ],
)
def test_an_upstream_error_shows_whether_the_request_may_be_sent_again(
    kind: type[UpstreamError], sent: bool
) -> None:
    assert kind("x").sent is sent


@pytest.mark.parametrize("kind", [UpstreamError, InvalidUpstreamResponse, ConfigError])
def test_an_outage_of_the_store_is_no_other_failure(kind: type[Exception]) -> None:
    """Law 4: "could not find out" is caught by its own name."""
    assert not issubclass(StoreUnavailable, kind)
    assert not issubclass(kind, StoreUnavailable)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({}, "g.yaml:3:5: wrong", id="a place"),
        pytest.param({"hint": "mend it"}, "g.yaml:3:5: wrong; mend it", id="with a hint"),
        pytest.param({"line": 0, "column": 0}, "g.yaml: wrong", id="no place"),
    ],
)  # fmt: skip
def test_a_problem_is_formatted_as_compilers_do(
    fields: dict[str, Any], text: str
) -> None:
    problem = Problem(
        **{"file": "g.yaml", "line": 3, "column": 5, "message": "wrong", **fields}
    )

    assert str(problem) == text


def test_a_refused_configuration_carries_every_problem() -> None:
    problems = [
        Problem(file="g.yaml", line=at, column=1, message="wrong") for at in (1, 2)
    ]

    error = ConfigError(problems)

    assert error.problems == tuple(problems)
    assert str(error) == "g.yaml:1:1: wrong\ng.yaml:2:1: wrong"
