"""Errors of the token endpoint and of the endpoint for pushed requests."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from gateway.oidc.authorization import read_pushed
from gateway.oidc.failure import SignInFailed
from gateway.oidc.oauth_response import GrantRefused, read_oauth_response
from gateway.oidc.token import read_tokens
from gateway.reasons import Reason

SECRET = "a-recognizable-secret"
READERS = (read_pushed, read_tokens, partial(read_oauth_response, "any endpoint"))


@pytest.mark.parametrize("read", READERS, ids=["pushed request", "token", "both"])
@pytest.mark.parametrize("name", ["error", "error_description"])
def test_a_secret_that_a_provider_quotes_is_in_no_message(
    read: Callable[..., Any], name: str
) -> None:
    raw = orjson.dumps({"error": "invalid_client", name: f"wrong: {SECRET}"})

    with pytest.raises(SignInFailed) as failure:
        read(401, raw, sent=("", SECRET))

    assert "wrong: [removed]" in failure.value.detail
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    ("status", "raw", "reason", "kind"),
    [
        (400, b'{"error": "invalid_grant"}', Reason.PROVIDER_REFUSED, GrantRefused),
        (400, b'{"error": ["invalid_grant"]}', Reason.PROVIDER_REFUSED, SignInFailed),
        (401, b"not JSON", Reason.PROVIDER_REFUSED, SignInFailed),
        (429, b'{"error": "invalid_grant"}', Reason.PROVIDER_UNAVAILABLE, SignInFailed),
        (503, b"", Reason.PROVIDER_UNAVAILABLE, SignInFailed),
    ],
)
def test_only_a_refused_grant_is_final(
    status: int, raw: bytes, reason: Reason, kind: type[SignInFailed]
) -> None:
    with pytest.raises(SignInFailed) as failure:
        read_oauth_response("any endpoint", status, raw)

    assert failure.value.reason is reason
    assert type(failure.value) is kind
