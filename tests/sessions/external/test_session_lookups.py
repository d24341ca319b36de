"""A look-up has one result, however the store ends."""

import asyncio
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.external.evaluation import Premature
from gateway.sessions.external.session_lookups import SessionLookups, _LookUp
from tests.sessions.external.test_store import a_credential
from tests.sessions.samples import NOW, a_session


class Writing:
    """Notes that are being written until they are cancelled."""

    endings: Any = None

    async def write_tombstone(self, *_: object) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("begun", [False, True])
async def test_an_end_that_the_close_of_the_store_cancels_has_a_result(
    begun: bool,
) -> None:
    nothing: Any = None
    notes: Any = Writing()
    lookups = SessionLookups(nothing, nothing, notes, timeout=1.0)
    found: list[object] = []

    look_up = _LookUp(a_credential(), NOW, found.append)
    lookups._end(look_up, Premature(a_session(), 60.0))
    if begun:
        await asyncio.sleep(0)
    lookups.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert [type(each) for each in found] == [StoreUnavailable]
