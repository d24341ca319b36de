"""The short form of every row: a few seconds of load, the fault, and the recovery.

Rows that need the same site share it, one after the other; a row that fails, or
that leaves its site broken, takes it down.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.faults.rows import ROWS
from tests.faults.trial import SHORT, Plan, Row, Site, try_row

pytestmark = pytest.mark.walk


class Stage:
    """The loop that the rows run on, and the site that is up."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._site: Site | None = None
        self._built: tuple[object, int] | None = None

    def run(self, row: Row) -> list[str]:
        return self._runner.run(self._try(row))

    async def _try(self, row: Row) -> list[str]:
        site = await self._site_for(row)
        whole = False
        try:
            outcome = await try_row(row, site, SHORT)
            problems = outcome.problems()
            whole = not problems
            if problems:
                problems.append(f"log: {site.gateway.text()[-3000:]}")
            return problems
        finally:
            if not (whole and row.shared):
                await self._shut()

    async def _site_for(self, row: Row) -> Site:
        wanted = (row.site, row.workers)
        if self._site is None or self._built != wanted:
            await self._shut()
            folder = Path(tempfile.mkdtemp(prefix="gw-faults-"))
            plan = Plan(folder=folder, workers=row.workers, scale=SHORT)
            self._site = await row.site(plan)
            self._built = wanted
        return self._site

    async def _shut(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.shut()

    def close(self) -> None:
        self._runner.run(self._shut())
        self._runner.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def _param(row: Row) -> object:
    return pytest.param(row, id=row.name, marks=pytest.mark.needs(*row.needs))


@pytest.mark.parametrize("row", [_param(row) for row in ROWS.values()])
def test_it_lets_nothing_in_and_loses_nothing(
    stage: Stage, row: Row, record_property: Callable[[str, object], None]
) -> None:
    problems = stage.run(row)

    assert not problems, "\n".join([row.what, *problems])
