"""Events of the store."""

from dataclasses import FrozenInstanceError, asdict
from typing import get_args

import pytest

from gateway.sessions.redis.events import EndingsWaiting, ServerIsReplica, StoreEvent
from gateway.sessions.redis.url import parse_redis_url


def test_an_event_cannot_be_changed_by_one_of_its_readers() -> None:
    event = EndingsWaiting(3)

    with pytest.raises(FrozenInstanceError):
        event.count = 0  # type: ignore[misc]


def test_no_two_events_are_of_one_type() -> None:
    kinds = get_args(StoreEvent)

    assert len(set(kinds)) == len(kinds) == 8


def test_an_event_does_not_disclose_the_password_of_the_address() -> None:
    address = parse_redis_url("redis://gateway:a-secret@cache:6379/0")

    assert "a-secret" not in str(asdict(ServerIsReplica(str(address))))
