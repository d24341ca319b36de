"""A store that is closed whatever the test does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url

DOCUMENT = Path(__file__).parents[2] / "docs" / "session-record.md"


def documented_acl() -> list[str]:
    """The rules that docs/session-record.md says are enough, those of Cluster too."""
    text = DOCUMENT.read_text(encoding="utf-8")
    plain = text.partition("ACL SETUSER gateway on >PASSWORD ")[2].partition("\n\n")[0]
    cluster = text.partition("Cluster also needs `")[2].partition("`")[0]
    return (plain + " " + cluster).split()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    """A RedisStore, patient unless told otherwise: a shared machine may stall."""
    store = RedisStore(parse_redis_url(url), **{"timeout": 30, **options})
    try:
        yield store
    finally:
        await store.close()
