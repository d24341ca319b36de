"""The request that `gateway explain` explains, as a client would send it."""

from base64 import b64encode

from gateway.cli.subject import PLACEHOLDER
from gateway.config.load import LoadedConfig
from gateway.http.authorization import CredentialKind
from gateway.http.fields import sort_fields
from gateway.http.head import BadRequest, HeadRules, RequestHead, read_head


def authorization_of(program: CredentialKind) -> str:
    """Return an Authorization field with a placeholder for the token."""
    if program is CredentialKind.BEARER:
        return f"Bearer {PLACEHOLDER.value}"
    return f"Basic {b64encode(f'user:{PLACEHOLDER.value}'.encode()).decode()}"


def head_of(
    method: str,
    target: str,
    loaded: LoadedConfig,
    host: str | None,
    address: str,
    headers: tuple[str, ...],
) -> RequestHead | BadRequest:
    """Return the head of a request with these fields, with Host and Accept unless they are given."""
    origin = loaded.config.server.public_url
    raw = [(b"Host", (host or origin.partition("://")[2]).encode())]
    for header in headers:
        name, _, value = header.partition(":")
        raw.append((name.strip().encode(), value.strip().encode()))
    if not any(name.lower() == b"accept" for name, _ in raw):
        raw.append((b"Accept", b"text/html"))
    return read_head(
        method=method,
        raw_target=target,
        version=(1, 1),
        fields=sort_fields(raw),
        peer=address,
        tls=origin.startswith("https:"),
        rules=HeadRules(),
    )
