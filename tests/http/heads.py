"""A request head for tests: say only what the test is about."""

from collections.abc import Sequence
from ipaddress import ip_network

from gateway.http.fields import sort_fields
from gateway.http.head import BadRequest, HeadRules, RequestHead, read_head

REQUEST_ID = "0123456789abcdef0123456789abcdef"
TRACEPARENT = f"00-{REQUEST_ID}-00f067aa0ba902b7-01"
BEHIND_PROXY = HeadRules(
    trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
)


def read(
    *headers: tuple[str | bytes, str | bytes],
    method: str = "GET",
    target: str = "/",
    version: tuple[int, int] = (1, 1),
    host: str | bytes | None = "app.example",
    peer: str = "192.0.2.7",
    tls: bool = False,
    rules: HeadRules | None = None,
) -> RequestHead | BadRequest:
    fields = headers if host is None else (("Host", host), *headers)
    return read_head(
        method=method,
        raw_target=target,
        version=version,
        fields=sort_fields(raw(fields)),
        peer=peer,
        tls=tls,
        rules=rules or HeadRules(),
    )


def head(*headers: tuple[str | bytes, str | bytes], **kwargs: object) -> RequestHead:
    found = read(*headers, **kwargs)  # type: ignore[arg-type]
    assert isinstance(found, RequestHead), found
    return found


def refusal(*headers: tuple[str | bytes, str | bytes], **kwargs: object) -> BadRequest:
    found = read(*headers, **kwargs)  # type: ignore[arg-type]
    assert isinstance(found, BadRequest), found
    return found


def raw(
    fields: Sequence[tuple[str | bytes, str | bytes]],
) -> list[tuple[bytes, bytes]]:
    return [(_octets(name), _octets(value)) for name, value in fields]


def names(found: RequestHead) -> list[bytes]:
    return [name for name, _ in found.headers]


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
