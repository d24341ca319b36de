"""The fixtures of the walk: a gateway on real sockets, and an upstream that records."""

from tests.walk.conftest import gateway, pytest_asyncio_loop_factories, redis, upstream
from tests.walk.test_limits import certificate

__all__ = [
    "certificate",
    "gateway",
    "pytest_asyncio_loop_factories",
    "redis",
    "upstream",
]
