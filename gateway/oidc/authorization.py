"""The authorization request, and the provider's answer to it (RFC 6749, section 4.1)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from gateway.http import base64url
from gateway.http.query import parse_query
from gateway.oidc.attempt import Attempt
from gateway.oidc.discovery import Metadata
from gateway.oidc.failure import SignInFailed
from gateway.oidc.oauth_response import read_oauth_response
from gateway.oidc.settings import ProviderSettings
from gateway.reasons import Reason

_ERRORS: Final[Mapping[str, Reason]] = {
    "access_denied": Reason.SIGN_IN_DECLINED,
    "login_required": Reason.SIGN_IN_DECLINED,
    "interaction_required": Reason.SIGN_IN_DECLINED,
    "consent_required": Reason.SIGN_IN_DECLINED,
    "account_selection_required": Reason.SIGN_IN_DECLINED,
    "server_error": Reason.PROVIDER_UNAVAILABLE,
    "temporarily_unavailable": Reason.PROVIDER_UNAVAILABLE,
    # RFC 9470, section 5.
    "unmet_authentication_requirements": Reason.STEP_UP_FAILED,
}
"""Any other error is `provider_refused`: the client is not set up as it should be."""
_LONGEST_CODE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The parameters of the provider's answer; nothing of it is trusted yet."""

    state: str
    issuer: str | None
    code: str | None = field(repr=False)
    error: str | None
    description: str


def authorization_parameters(
    settings: ProviderSettings,
    attempt: Attempt,
    *,
    prompt: str | None = None,
    levels: Sequence[str] = ("aal2", "aal3"),
) -> dict[str, str]:
    """Return the parameters of an authorization request.

    `levels` are the assurance levels that a step-up may reach, the wanted one first.
    """
    challenge = hashlib.sha256(attempt.verifier.encode()).digest()
    # The gateway's own come last: none of the configuration replaces one.
    parameters = dict(settings.parameters) | {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": settings.redirect_uri,
        "scope": " ".join(settings.scopes),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": base64url.encode(challenge),
        "code_challenge_method": "S256",
    }
    if attempt.step != "none":
        prompt = "login"
        parameters["max_age"] = "0"
    if prompt is not None:
        parameters["prompt"] = _prompts(settings.parameters.get("prompt"), prompt)
    if attempt.step == "aal" and (values := acr_values(settings, levels)):
        # OpenID Connect Core 1.0, section 3.1.2.1: in order of preference.
        parameters["acr_values"] = " ".join(values)
    return parameters


def _prompts(configured: str | None, wanted: str) -> str:
    """Return both, for what the configuration wants each time, such as `consent`.

    OpenID Connect Core 1.0, section 3.1.2.1: `none` with another one is an error.
    """
    if configured is None or wanted == "none":
        return wanted
    return " ".join(dict.fromkeys((*configured.split(), wanted)))


def authorization_url(metadata: Metadata, parameters: Mapping[str, str]) -> str:
    """Return the address at the provider where an attempt goes on."""
    joint = "&" if "?" in metadata.authorization else "?"
    return f"{metadata.authorization}{joint}{urlencode(parameters)}"


def read_pushed(status: int, raw: bytes, *, sent: Iterable[str] = ()) -> str:
    """Return the `request_uri` of a pushed request (RFC 9126, section 2.2).

    `sent` are the secrets of the request, which no message may quote.

    Raises:
        SignInFailed: `provider_unavailable` for a 5xx or 429, `provider_refused` for
            another error, `provider_bad_answer` if it is not such an answer.
    """
    document = read_oauth_response("pushed request", status, raw, sent=sent)
    found = document.get("request_uri")
    if status not in {200, 201} or not isinstance(found, str):
        raise SignInFailed(
            Reason.PROVIDER_BAD_ANSWER, f"pushed request: {status}, no request_uri"
        )
    if not 0 < len(found) <= _LONGEST_CODE or not (
        found.isascii() and found.isprintable()
    ):
        raise SignInFailed(
            Reason.PROVIDER_BAD_ANSWER, "pushed request: request_uri is not valid"
        )
    return found


def acr_values(settings: ProviderSettings, levels: Sequence[str]) -> list[str]:
    """Return the `acr` values of the configuration that have one of these levels."""
    return [
        acr
        for wanted in levels
        for acr, level in settings.levels.items()
        if level == wanted
    ]


def read_answer(query: str | None) -> Answer:
    """Read the query of an answer.

    Raises:
        SignInFailed: a parameter is there twice (RFC 6749, section 3.1), or there is no
            `state`, or neither a code nor an error.
    """
    parameters = parse_query(query)
    if parameters is None:
        raise _bad("a parameter is there twice, or there are too many")
    state, code, error = (parameters.get(name) for name in ("state", "code", "error"))
    if not state:
        raise _bad("it has no state")
    if (code is None) == (error is None):
        raise _bad("it has neither a code nor an error, or both")
    if code is not None and not 0 < len(code) <= _LONGEST_CODE:
        raise _bad("its code is empty or too long")
    return Answer(
        state=state,
        issuer=parameters.get("iss"),
        code=code,
        error=error,
        description=parameters.get("error_description", ""),
    )


def check_issuer(answer: Answer, issuer: str, *, required: bool) -> None:
    """Refuse the answer of another provider (RFC 9207, section 2.4).

    Raises:
        SignInFailed: `iss` is another one, or missing although discovery announces it.
    """
    if answer.issuer is None and not required:
        return
    if answer.issuer != issuer:
        raise SignInFailed(
            Reason.ISSUER_MISMATCH, "iss of the answer is not the configured issuer"
        )


def refusal_of(answer: Answer) -> SignInFailed:
    """Return the failure that an error answer is; its text is only for the log."""
    error = answer.error or ""
    reason = _ERRORS.get(error, Reason.PROVIDER_REFUSED)
    return SignInFailed(reason, f"answer: {error[:60]!r} {answer.description[:150]!r}")


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_BAD_ANSWER, f"answer: {detail}")
