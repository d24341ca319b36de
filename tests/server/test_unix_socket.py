"""A Unix socket replaces a stale one, and nothing else."""

import errno
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.server.unix_socket import SocketFile, bind_unix


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


def bound(path: Path, *, take_over: bool = False) -> tuple[socket.socket, SocketFile]:
    return bind_unix(path, backlog=64, take_over=take_over)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_its_mode_is_the_same_whatever_the_umask(short: Path, mask: int) -> None:
    with umask(mask):
        one, file = bound(short / "gw.sock")

    assert stat.S_IMODE((short / "gw.sock").stat().st_mode) == 0o660
    assert [path.name for path in short.iterdir()] == ["gw.sock"]
    one.close()
    file.remove()
    file.remove()
    assert list(short.iterdir()) == []


def test_a_stale_socket_is_replaced(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(short / "gw.sock"))

    one, _ = bound(short / "gw.sock")

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short / "gw.sock"))
    one.close()


@pytest.mark.parametrize("queue", [8, 0], ids=["answers", "is too busy to accept"])
def test_a_socket_that_is_listened_on_is_not_taken(short: Path, queue: int) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with socket.socket(socket.AF_UNIX) as running:
        running.bind(str(short / "gw.sock"))
        running.listen(queue)
        if queue == 0:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(str(short / "gw.sock"))
        before = (short / "gw.sock").stat().st_ino

        with pytest.raises(OSError) as caught:
            bound(short / "gw.sock")

        assert caught.value.errno == errno.EADDRINUSE
        assert (short / "gw.sock").stat().st_ino == before
        assert len(list(short.iterdir())) == 1
    for client in clients:
        client.close()


def test_who_leaves_first_removes_only_its_own_file(short: Path) -> None:
    one, old = bound(short / "gw.sock")
    two, new = bound(short / "gw.sock", take_over=True)

    one.close()
    old.remove()

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short / "gw.sock"))
    two.close()
    new.remove()
    assert list(short.iterdir()) == []


def file(path: Path) -> None:
    path.write_text("kept")


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("make", [file, folder, link, os.mkfifo])
@pytest.mark.parametrize("take_over", [False, True])
def test_another_kind_of_file_is_not_replaced(
    short: Path, make: Callable[[Path], None], take_over: bool
) -> None:
    make(short / "gw.sock")
    before = (short / "gw.sock").lstat().st_ino

    with pytest.raises(OSError) as caught:
        bound(short / "gw.sock", take_over=take_over)

    assert caught.value.errno == errno.ENOTSOCK
    assert (short / "gw.sock").lstat().st_ino == before


def test_the_longest_path_fits(short: Path) -> None:
    """The temporary name beside it would not."""
    holder = short / ("y" * (103 - len(str(short))))
    holder.mkdir()
    path = holder / "s"
    assert len(str(path)) == 106
    one, owned = bound(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    one.close()
    owned.remove()


def test_of_many_that_start_at_once_one_has_it(short: Path) -> None:
    won: list[socket.socket] = []
    lost: list[int | None] = []

    def start() -> None:
        try:
            won.append(bound(short / "gw.sock")[0])
        except OSError as error:
            lost.append(error.errno)

    threads = [threading.Thread(target=start) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert lost == [errno.EADDRINUSE] * 11
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short / "gw.sock"))
    won[0].close()
