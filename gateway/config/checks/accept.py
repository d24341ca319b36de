"""Checks of `accept`: which access tokens of providers programs may send."""

from collections.abc import Iterator

from gateway.config.document import Loc
from gateway.config.partial import PartialConfig
from gateway.config.sections.providers import ProviderAccept, ProviderConfig
from gateway.sessions.provider_token import LONGEST_LIFE


def check_accept(partial: PartialConfig) -> None:
    """Add what makes a token too long-lived, or that of two providers."""
    taken: dict[tuple[str, str], str] = {}
    for name, provider, accept in _accepting(partial):
        loc = _loc(name)
        if accept.max_lifetime > LONGEST_LIFE:
            partial.add_problem(
                (*loc, "max_lifetime"),
                "the end of an identity is kept for 7 days: a longer token could outlive it",
                "use 7d or less",
            )
        for audience in dict.fromkeys(accept.audience):
            pair = (accept.issuer or provider.issuer, audience)
            first = taken.setdefault(pair, name)
            if first != name:
                partial.add_problem(
                    (*loc, "audience"),
                    f"{first} accepts the same tokens: its users could be those of {name}",
                    "remove one of them",
                )


def warn_of_accept(partial: PartialConfig) -> None:
    """Add a warning where `accept` takes ID tokens' audience, or has no effect."""
    taken = any("bearer" in route.credentials for route in partial.config.routes)
    for name, provider, accept in _accepting(partial):
        if provider.client_id in accept.audience:
            partial.add_problem(
                (*_loc(name), "audience"),
                f"{provider.client_id} is the client ID, the audience of ID tokens",
                "register an API at the provider, and use its identifier",
            )
        if not taken:
            partial.add_problem_at_key(
                _loc(name),
                "accept has no effect: no route takes bearer",
                "add credentials: [cookie, bearer] to a route",
            )


def _accepting(
    partial: PartialConfig,
) -> Iterator[tuple[str, ProviderConfig, ProviderAccept]]:
    for name, provider in partial.config.sign_in.providers.items():
        if provider.accept is not None:
            yield name, provider, provider.accept


def _loc(name: str) -> Loc:
    return ("sign_in", "providers", name, "accept")
