"""Whose forwarding fields are trusted, and the clients that they report.

The address of a client is computed once for each combination of values: a proxy reports
the same clients again and again.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.http.fields import Fields
from gateway.http.forwarded import (
    FORWARDING_FIELDS,
    ClientAddress,
    Network,
    is_trusted,
    parse_address,
    read_client_address,
)
from gateway.http.memo import Memo
from gateway.http.refusal import BadRequest

_CLIENTS: Final = 4096
_CLIENT_CHARACTERS: Final = 512
"""Clients that are remembered, and the length of the values that report one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRules:
    """Trusted proxies: peers in these networks, and those of a Unix socket."""

    trusted_proxies: tuple[Network, ...] = ()
    trust_unix: bool = False
    _trusted: Memo[str, bool] = field(init=False, repr=False, compare=False)
    _reported: Memo[tuple[str | None, ...], ClientAddress | BadRequest] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        networks = self.trusted_proxies

        def trusts(peer: str) -> bool:
            return is_trusted(parse_address(peer), networks)

        def reported(values: tuple[str | None, ...]) -> ClientAddress | BadRequest:
            peer, *texts = values
            given = zip(FORWARDING_FIELDS, texts, strict=True)
            read = {name: text for name, text in given if text is not None}
            return read_client_address(peer or "", read, networks)

        peers = Memo(trusts, entries=_CLIENTS, longest=_CLIENT_CHARACTERS)
        clients = Memo(
            reported, entries=_CLIENTS, longest=_CLIENT_CHARACTERS, size=_size
        )
        object.__setattr__(self, "_trusted", peers)
        object.__setattr__(self, "_reported", clients)

    def trusts(self, peer: str) -> bool:
        """Return whether the forwarding fields of a peer are trusted. "" is a Unix socket."""
        if not peer:
            return self.trust_unix
        return bool(self.trusted_proxies) and self._trusted[peer]

    def client_reported(self, peer: str, fields: Fields) -> ClientAddress | BadRequest:
        """Return the client that a trusted peer reports; see read_client_address."""
        return self._reported[(peer, *map(fields.values.get, FORWARDING_FIELDS))]


def _size(values: tuple[str | None, ...]) -> int:
    return sum(len(text) for text in values if text is not None)
