"""A real PostgreSQL for tests, loaded with the SQL of deploy/postgres.

Import the fixture `postgres` into a conftest.py, or use `running_postgres` itself.
It listens on a Unix socket in a short folder of its own, on no port, and is gone
when the tests are over; root may run it too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.demo.postgres import EmbeddedPostgres

DEPLOY = Path(__file__).parent.parent / "deploy" / "postgres"


@contextmanager
def running_postgres(
    files: tuple[Path, ...] | None = None,
) -> Iterator[EmbeddedPostgres]:
    """Run a server while the block runs; `files` are loaded, by default ours."""
    sql = sorted(DEPLOY.glob("*.sql")) if files is None else files
    with EmbeddedPostgres(sql) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    with running_postgres() as server:
        yield server
