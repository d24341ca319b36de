"""Checks across the whole configuration: references and conflicting keys.

Each check takes the configuration and adds what it finds, at its place. When parts
of the file were faulty the checks run on the rest, so that all errors are reported
at once.
"""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.config.checks.accept import check_accept
from gateway.config.checks.connections import check_redis, check_upstream_tls
from gateway.config.checks.listeners import check_listeners, check_loops
from gateway.config.checks.providers import check_provider_tokens, check_providers
from gateway.config.checks.routes import (
    check_decided_only,
    check_ids,
    check_prefixes,
    check_rules,
)
from gateway.config.checks.sessions import check_cookie, check_lifetimes, check_owner
from gateway.config.checks.tokens import check_tokens
from gateway.config.partial import PartialConfig


def check(partial: PartialConfig) -> None:
    """Add every contradiction in the configuration to the document's problems."""
    for one in _CHECKS:
        one(partial)


_CHECKS: Final[Sequence[Callable[[PartialConfig], None]]] = (
    check_rules,
    check_decided_only,
    check_ids,
    check_prefixes,
    check_cookie,
    check_tokens,
    check_lifetimes,
    check_owner,
    check_listeners,
    check_redis,
    check_upstream_tls,
    check_loops,
    check_providers,
    check_provider_tokens,
    check_accept,
)
