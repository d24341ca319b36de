"""A real PostgreSQL, started, loaded and stopped."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from gateway.demo import postgres
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import EmbeddedUnavailable

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.postgres]


def one(dsn: str, query: str) -> str:
    import psycopg

    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def test_without_any_server_the_error_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(postgres, "Path", lambda _: tmp_path)

    with pytest.raises(EmbeddedUnavailable, match=r"pip install '\.\[demo\]'"):
        postgres._programs()


def test_refused_sql_is_reported_and_leaves_nothing_behind(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sql"
    wrong.write_text("create table;\n")
    server = EmbeddedPostgres([wrong])

    with pytest.raises(EmbeddedUnavailable, match=r"wrong\.sql was refused: .*syntax"):
        server.start()

    assert not server.socket_folder.exists()


def test_it_loads_the_files_and_listens_on_no_port(tmp_path: Path) -> None:
    first, second = tmp_path / "1.sql", tmp_path / "2.sql"
    first.write_text("create role reader login; create table things (name text);")
    second.write_text(
        "insert into things values ('é'); grant select on things to reader;"
    )

    with EmbeddedPostgres([first, second]) as server:
        assert one(server.dsn("reader"), "select name from things") == "é"
        assert one(server.dsn(), "show listen_addresses") == ""
        assert one(server.dsn("reader"), "select current_user") == "reader"

    assert not server.socket_folder.exists()


if os.geteuid() == 0:  # only root is refused by PostgreSQL

    def test_root_runs_it_as_the_user_nobody_even_from_a_folder_closed_to_it(
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(postgres, "_runs", lambda *_: False)

        with EmbeddedPostgres() as server:
            pid = (server.socket_folder / "data/postmaster.pid").read_text().split()[0]
            owner = subprocess.check_output(
                ["stat", "-c", "%U", f"/proc/{pid}"], text=True
            )
            program = Path(f"/proc/{pid}/exe").resolve()

            assert owner.strip() == "nobody"
            assert program.is_relative_to(server.socket_folder)
