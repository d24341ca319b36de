"""Identity headers: what an upstream reads about the user, rendered from templates. Pure.

A value is sent whole or not at all. What cannot be sent is kept in `unsent`, so that the
log and `gateway explain` can name the header.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.http.headers import line_of
from gateway.http.memo import Generations
from gateway.sessions.record import Session, Tenant
from gateway.tokens.claims import Template

PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "gateway": {
        "X-Auth-User-Id": "{identity.id}",
        "X-Auth-Email": "{identity.traits.email}",
        "X-Auth-Role": "{identity.roles}",
        "X-Auth-Tenant-Id": "{tenant.id}",
        "X-Auth-Tenant-Role": "{tenant.role}",
        "X-Auth-Session-Id": "{session.id}",
    },
    # The headers that applications for these products read.
    "oauth2-proxy": {
        "X-Forwarded-User": "{identity.id}",
        "X-Forwarded-Email": "{identity.traits.email}",
        "X-Forwarded-Preferred-Username": "{identity.traits.name}",
        "X-Forwarded-Groups": "{identity.roles}",
    },
    "authelia": {
        "Remote-User": "{identity.id}",
        "Remote-Email": "{identity.traits.email}",
        "Remote-Name": "{identity.traits.name}",
        "Remote-Groups": "{identity.roles}",
    },
    "pomerium": {
        "X-Pomerium-Claim-Sub": "{identity.id}",
        "X-Pomerium-Claim-Email": "{identity.traits.email}",
        "X-Pomerium-Claim-Name": "{identity.traits.name}",
        "X-Pomerium-Claim-Groups": "{identity.roles}",
    },
    "grafana": {
        "X-WEBAUTH-USER": "{identity.traits.email}",
        "X-WEBAUTH-EMAIL": "{identity.traits.email}",
        "X-WEBAUTH-NAME": "{identity.traits.name}",
        "X-WEBAUTH-GROUPS": "{identity.roles}",
    },
    "none": {},
}
"""Header name -> template, by family. One mechanism serves presets and mappings."""

VALUE_LONGEST: Final = 8192
"""Bytes of one encoded value. Servers limit one header or all of them to 8 KiB (nginx,
Apache), 16 KiB (Node) or more."""

_RENDERED_MOST: Final = 10_000
"""Rendered sessions in one generation of the cache. Rendering the default preset takes
15 to 40 µs; it is repeated where no session plan holds, such as for another route."""


class Encoding(StrEnum):
    """How characters beyond printable ASCII are sent."""

    PERCENT = "percent"
    UTF_8 = "utf-8"


class Lists(StrEnum):
    """How a list becomes text: items joined by commas, or a JSON array."""

    COMMA = "comma"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """The identity fields to inject: wire name and compiled template."""

    fields: tuple[tuple[bytes, Template], ...]
    encoding: Encoding = Encoding.PERCENT
    lists: Lists = Lists.COMMA
    unsent: dict[str, str] = field(default_factory=dict, compare=False)
    """Headers that had a value that cannot be sent, with the reason; for the log."""
    _lines: Generations[tuple[str, str, str | None, float, float], bytes] = field(
        default_factory=lambda: Generations(_RENDERED_MOST), repr=False, compare=False
    )

    def lines(self, session: Session, tenant: Tenant | None) -> bytes:
        """Return the lines of the rendered fields, as they are sent.

        The result is cached by session version, a fingerprint of all values that a
        template can use except times.
        """
        key = (
            session.id,
            session.version,
            tenant.id if tenant else None,
            session.authenticated_at,
            session.expires_at,
        )
        known = self._lines.find(key)
        if known is not None:
            return known
        lines = b"".join(
            line_of(name, value).wire for name, value in self.render(session, tenant)
        )
        self._lines.keep(key, lines, len(lines))
        return lines

    def render(
        self, session: Session, tenant: Tenant | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rendered fields; a field without a value is omitted."""
        for name, template in self.fields:
            pieces = template.pieces(session, tenant)
            if pieces is None:
                continue
            value = self._encode(pieces)
            if isinstance(value, bytes):
                if value:
                    yield name, value
            else:
                self.unsent.setdefault(name.decode("ascii"), value)

    def _encode(self, pieces: Sequence[object]) -> bytes | str:
        """Return a field value, or why the pieces are none."""
        encoded = []
        for piece in pieces:
            text = self._piece(piece)
            if text is None:
                return "the value is not text, a number or a list of these"
            encoded.append(text)
        value = b"".join(encoded)
        if len(value) > VALUE_LONGEST:
            return f"the value has {len(value)} bytes; the limit is {VALUE_LONGEST}"
        if self.encoding is Encoding.UTF_8:
            # Spaces around a value are not part of it (RFC 9110, section 5.5).
            return value.strip(b" \t")
        inner = value.strip(b" ")
        if not inner:
            return value.replace(b" ", b"%20")
        before, _, after = value.partition(inner)
        return before.replace(b" ", b"%20") + inner + after.replace(b" ", b"%20")

    def _piece(self, piece: object) -> bytes | None:
        if not isinstance(piece, list | tuple):
            text = _as_text(piece)
            return None if text is None else self._octets(text)
        if self.lists is Lists.JSON:
            if any(_as_text(item) is None for item in piece):
                return None
            return self._octets(json.dumps(list(piece), separators=(",", ":")))
        items = []
        for item in piece:
            text = _as_text(item)
            if text is None:
                return None
            # A comma inside an item must not separate.
            items.append(self._octets(text).replace(b",", b"%2C"))
        return b",".join(items)

    def _octets(self, text: str) -> bytes:
        percent = self.encoding is Encoding.PERCENT
        if text.isascii() and text.isprintable() and not (percent and "%" in text):
            return text.encode()
        kept = _PLAIN if percent else _NO_CONTROL
        return b"".join(
            octet.to_bytes(1, "big") if octet in kept else b"%%%02X" % octet
            for octet in text.encode()
        )


# Printable ASCII without "%" is sent as it is, and in UTF-8 everything except controls: no value
# can end a line (RFC 9110, section 5.5).
_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {0x25}
_NO_CONTROL: Final = frozenset(range(0x20, 0x100)) - {0x7F}


def _as_text(value: object) -> str | None:
    """Return a plain value as text; None for any other, and for what is not Unicode."""
    if isinstance(value, str):
        valid = "\0" not in value and (
            value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
        )
        return value if valid else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value - value == 0):
        return str(value)
    return None
