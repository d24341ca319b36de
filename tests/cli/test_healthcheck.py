"""`gateway healthcheck` is ready, or it is not; there is no third."""

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.cli.healthcheck import _reachable
from tests.servers import PATIENCE, SOON, free_port

READY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
NOT_READY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 26\r\n\r\n"
    b"[-]redis failed: no answer"
)


@contextmanager
def answering(listener: socket.socket, answer: bytes) -> Iterator[list[bytes]]:
    """Answer one connection; gives what it asked."""
    requested: list[bytes] = []
    listener.listen()

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            requested.append(client.recv(4096))
            client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield requested
        thread.join(PATIENCE)


def check(folder: Path, admin: str, dns: str = "127.0.0.1") -> Result:
    file = folder / "g.yaml"
    file.write_text(
        f"version: 1\nserver: {{admin: {admin}}}\ndns: {{servers: '{dns}'}}\n"
        "upstreams: {a: {url: 'http://127.0.0.1:1'}}\n"
        "routes: [{match: '/**', rule: public, upstream: a}]\n"
    )
    result = CliRunner().invoke(cli, ["healthcheck", "-c", str(file)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_name_whose_dns_hangs_is_an_answer_within_seconds(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]

        began = time.monotonic()
        result = check(tmp_path, "admin.test:9090", f"127.0.0.1:{port}")

    assert result.exit_code == 1
    assert "no response from admin.test:9090" in result.stderr
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("answer", "code", "out", "err"),
    [
        pytest.param(b"", 1, "", "error: no response from", id="hangs up"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", 1, "", "error: no response from", id="is another server"),
        pytest.param(NOT_READY, 1, "[-]redis failed: no answer\n", "", id="not ready"),
        pytest.param(READY.replace(b"200 OK", b"404 No"), 1, "ok\n", "", id="not found"),
        pytest.param(READY, 0, "ok\n", "", id="ready"),
    ],
)  # fmt: skip
def test_only_a_200_is_ready(
    tmp_path: Path, answer: bytes, code: int, out: str, err: str
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    with answering(listener, answer) as requested:
        result = check(tmp_path, f"127.0.0.1:{port}")

    assert (result.exit_code, result.stdout) == (code, out)
    assert result.stderr.startswith(err)
    assert requested[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as short:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{short}/admin")

        with answering(listener, READY):
            result = check(tmp_path, f"unix:{short}/admin")

    assert (result.exit_code, result.stdout) == (0, "ok\n")


@pytest.mark.parametrize("admin", ["127.0.0.1:{port}", "unix:{folder}/nobody"])
def test_where_nothing_listens_it_is_not_ready(tmp_path: Path, admin: str) -> None:
    place = admin.format(port=free_port(), folder=tmp_path)

    result = check(tmp_path, place)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: no response from {place}: ")


def test_without_an_admin_listener_there_is_no_health_check(tmp_path: Path) -> None:
    result = check(tmp_path, "null")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: health check unavailable: server.admin is null; set it to an address\n"
    )


@pytest.mark.parametrize(
    ("listens", "requested"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_who_listens_everywhere_is_asked_here(listens: str, requested: str) -> None:
    assert _reachable(listens) == requested
