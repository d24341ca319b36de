"""Provider metadata (OpenID Connect Discovery 1.0, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.oidc.failure import SignInFailed
from gateway.oidc.keys import ALGORITHMS
from gateway.oidc.settings import ClientAuthentication, Endpoints
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json

_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))
_LONGEST_URL: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the gateway uses of a provider's metadata.

    userinfo         None: the provider has none
    pushed           where authorization requests are pushed (RFC 9126); None: nowhere
    end_session      None: the provider cannot sign users out
    algorithms       the signature algorithms that an ID token may have
    names_issuer     every answer has `iss` (RFC 9207)
    authentication   how a client with a secret authenticates
    """

    authorization: str
    token: str
    userinfo: str | None
    pushed: str | None
    jwks: str
    end_session: str | None
    algorithms: frozenset[str]
    names_issuer: bool
    authentication: ClientAuthentication


def discovery_url(issuer: str) -> str:
    """Return the address of the metadata; section 4.1."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def read_metadata(raw: bytes, issuer: str, written: Endpoints) -> Metadata:
    """Read a discovery document; `written` replaces its endpoints.

    Raises:
        SignInFailed: it is not a discovery document, or that of another issuer.
    """
    try:
        document = parse_json(raw)
    except Refused as refused:
        raise _bad(f"discovery: {refused}") from None
    if not isinstance(document, dict):
        raise _bad("discovery: not a JSON object")
    # Section 4.3: "identical".
    if document.get("issuer") != issuer:
        found = str(document.get("issuer"))[:100]
        raise _bad(f"discovery: its issuer is {found}, configured is {issuer}")
    if "S256" not in _texts(document, "code_challenge_methods_supported", ["S256"]):
        raise _bad("discovery: the provider does not support PKCE with S256")
    return metadata_of(document, written)


def metadata_of(document: Mapping[str, Any], written: Endpoints) -> Metadata:
    """Return the metadata of a document that was checked; {} if all is written.

    Raises:
        SignInFailed: an endpoint is missing or not https, or no algorithm is usable.
    """
    named = _texts(document, "id_token_signing_alg_values_supported", ["RS256"])
    algorithms = frozenset(named) & ALGORITHMS.keys()
    if not algorithms:
        raise _bad("discovery: no supported algorithm for ID tokens")
    # RFC 8414, section 2: the default is client_secret_basic.
    methods = _texts(
        document, "token_endpoint_auth_methods_supported", ["client_secret_basic"]
    )
    return Metadata(
        authorization=_endpoint(
            document, "authorization_endpoint", written.authorization
        ),
        token=_endpoint(document, "token_endpoint", written.token),
        pushed=_optional(
            document, "pushed_authorization_request_endpoint", written.pushed
        ),
        userinfo=_optional(document, "userinfo_endpoint", written.userinfo),
        jwks=_endpoint(document, "jwks_uri", written.jwks),
        end_session=_optional(document, "end_session_endpoint", written.end_session),
        algorithms=algorithms,
        names_issuer=document.get("authorization_response_iss_parameter_supported")
        is True,
        authentication="post"
        if "client_secret_basic" not in methods and "client_secret_post" in methods
        else "basic",
    )


def is_safe_url(url: object) -> bool:
    """Return whether the gateway may send secrets there: https, or http on loopback."""
    if not isinstance(url, str) or not url.isascii() or len(url) > _LONGEST_URL:
        return False
    if not url.isprintable() or any(sign in url for sign in ' \\"<>#'):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in _LOOPBACK
    )


def _endpoint(document: Mapping[str, Any], name: str, written: str | None) -> str:
    found = _optional(document, name, written)
    if found is None:
        raise _bad(f"discovery: no {name}")
    return found


def _optional(
    document: Mapping[str, Any], name: str, written: str | None
) -> str | None:
    found = written or document.get(name)
    if found is None:
        return None
    if not is_safe_url(found):
        raise _bad(f"discovery: {name} is not an https URL")
    return str(found)


def _texts(document: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    found = document.get(name, default)
    if not isinstance(found, list) or not all(isinstance(x, str) for x in found):
        raise _bad(f"discovery: {name} is not a list of texts")
    return found


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_BAD_ANSWER, detail)
