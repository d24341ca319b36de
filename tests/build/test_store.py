"""Which store a configuration has."""

import pytest

from gateway.build.store import build_store
from gateway.net.resolver import Resolver
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.store import RedisStore
from tests.config.parsed import load, whole


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ((), RedisStore),
        (("sessions: {format: flask-session}",), ExternalStore),
    ],
)
async def test_the_format_of_the_sessions_selects_the_store(
    lines: tuple[str, ...], kind: type
) -> None:
    store = build_store(
        load(whole(*lines)),
        redis_url="unix:///nowhere/redis.sock",
        resolver=Resolver(),
        on_corrupt=lambda _key, _why: None,
        on_event=lambda _event: None,
    )

    assert isinstance(store, kind)
    await store.close()
