"""One PostgreSQL for all of these tests, with fresh rows for each."""

from collections.abc import Iterator

import psycopg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from tests.postgres_server import postgres

__all__ = ["postgres"]

ROWS = """
truncate notes restart identity;
insert into notes (tenant_id, author, body) values
  ('t_acme', 'u_ann', 'acme one'),
  ('t_acme', 'u_bob', 'acme two'),
  ('t_globex', 'u_gil', 'globex one');
"""


@pytest.fixture
def superuser(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """Who sees everything: to arrange, and to look what is really there."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(ROWS)
        yield connection


@pytest.fixture
def database(
    postgres: EmbeddedPostgres, superuser: psycopg.Connection
) -> Iterator[psycopg.Connection]:
    """A connection as an API has it."""
    with psycopg.connect(postgres.dsn("authenticator"), autocommit=True) as connection:
        yield connection
