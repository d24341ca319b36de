"""HTTP calls to providers: bounded in time, size and number, without redirects.

The only module with I/O of this package, and the only one of the gateway that uses
aiohttp's client.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, AddressFamily
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.net.ares import LookupFailed
from gateway.net.resolver import Resolver
from gateway.oidc.failure import SignInFailed
from gateway.reasons import Reason

_LARGEST: Final = 512 * 1024
_MOST_CALLS: Final = 64
"""Calls at one time, per provider; others wait, within their time."""
_BY_HAND: Final = {
    # A compressed answer could be much larger than its bytes.
    "Accept-Encoding": "identity",
    "Accept": "application/json",
    "User-Agent": "auth-gateway",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A complete answer; the content type in lower case without parameters.

    `location` is where it redirects to, which is never followed; "" if it does not.
    """

    status: int
    location: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)


class ProviderClient:
    """Calls one provider. Each call has a connection of its own: sign-ins are rare."""

    def __init__(
        self, *, timeout: float, tls: ssl.SSLContext, resolver: Resolver
    ) -> None:
        """Create a client; `timeout` is in seconds for a whole call."""
        self._timeout = timeout
        self._tls = tls
        self._resolver = resolver
        self._turns = asyncio.Semaphore(_MOST_CALLS)

    @property
    def authorities(self) -> frozenset[bytes]:
        """The certificates (DER) of the authorities that the provider is trusted by."""
        return frozenset(self._tls.get_ca_certs(binary_form=True))

    async def get(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Return the answer to a GET.

        Raises:
            SignInFailed: `provider_unavailable` if there is none in time,
                `provider_bad_answer` if it is too large.
        """
        return await self._call("GET", url, headers or {}, None)

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> HttpAnswer:
        """Return the answer to a form; errors are those of `get`."""
        return await self._call("POST", url, headers, form)

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> HttpAnswer:
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                return await self._exchange(method, url, headers, form)
        except TimeoutError:
            raise _unavailable(url, f"no answer in {self._timeout:g} s") from None
        # ValueError: a header or an address that the library refuses.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unavailable(url, f"{type(error).__name__}: {error}") from error

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> HttpAnswer:
        connector = aiohttp.TCPConnector(
            ssl=self._tls, resolver=_Names(self._resolver), force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            session.request(
                method,
                url,
                headers={**_BY_HAND, **headers},
                data=form,
                # A redirect could send the client's secret elsewhere.
                allow_redirects=False,
            ) as response,
        ):
            body = bytearray()
            async for piece in response.content.iter_chunked(65536):
                body += piece
                if len(body) > _LARGEST:
                    raise SignInFailed(
                        Reason.PROVIDER_BAD_ANSWER,
                        f"{_host(url)}: larger than {_LARGEST} bytes",
                    )
            return HttpAnswer(
                status=response.status,
                location=response.headers.get("Location", ""),
                content_type=response.content_type.lower(),
                body=bytes(body),
            )


class _Names(AbstractResolver):
    """Looks names up as those of upstreams: no thread, and old addresses in need."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raise OSError if there are none."""
        del family  # both: the connector tries them in turn
        try:
            addresses = await self._resolver.resolve(host)
        except LookupFailed as error:
            raise OSError(str(error)) from error
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AF_INET6 if ":" in address else AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to release: the resolver belongs to the process."""


def _unavailable(url: str, detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_UNAVAILABLE, f"{_host(url)}: {detail}")


def _host(url: str) -> str:
    return url.partition("?")[0][:100]
