"""What the token endpoint and the endpoint for pushed requests return (RFC 6749, section 5)."""

from collections.abc import Iterable
from typing import Any

from gateway.oidc.failure import SignInFailed
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json


class GrantRefused(SignInFailed):
    """The provider does not accept the code or the refresh token: `invalid_grant`."""


def read_oauth_response(
    endpoint: str, status: int, raw: bytes, *, sent: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the document of a successful response; {} if it is not an object.

    `sent` are the secrets of the request: some providers quote them in their errors.

    Raises:
        GrantRefused: the code or the refresh token is not accepted.
        SignInFailed: `provider_unavailable` for a 5xx or 429, `provider_refused` for
            another error.
    """
    if status >= 500 or status == 429:
        raise SignInFailed(Reason.PROVIDER_UNAVAILABLE, f"{endpoint}: {status}")
    try:
        document = parse_json(raw)
    except Refused as refused:
        document = {"error": f"({refused})"}
    if not isinstance(document, dict):
        document = {}
    if 400 <= status < 500:
        error, text = (
            _without(str(document.get(name, default)), sent)
            for name, default in (("error", None), ("error_description", ""))
        )
        kind = GrantRefused if error == "invalid_grant" else SignInFailed
        detail = f"{endpoint}: {status} {error[:60]!r} {text[:150]!r}"
        raise kind(Reason.PROVIDER_REFUSED, detail)
    return document


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[removed]") if secret else text
    return text
