import asyncio
import fcntl
import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from gateway.observe.sink import CEILING, EARLY_CHARACTERS, GROUP_BYTES, Sink
from tests.observe.lines import pipe
from tests.servers import PATIENCE

LINE = '{"n":%06d,"fill":"' + "x" * 480 + '"}\n'


def read_all(fd: int, into: list[bytes]) -> None:
    while block := os.read(fd, 1 << 20):
        into.append(block)


async def test_a_reader_that_stands_still_costs_lines_and_no_time() -> None:
    """A full pipe drops beyond a ceiling, and what was kept comes out whole."""
    with pipe() as (read, write):
        sink = Sink(write)
        total = 3 * CEILING // len(LINE % 0)
        for n in range(total):
            sink.write(LINE % n)
        await asyncio.sleep(0)
        assert sink.dropped > 0

        got: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(read, got))
        reader.start()
        await asyncio.to_thread(sink.close, PATIENCE)
        os.close(write)
        await asyncio.to_thread(reader.join)

    lines = b"".join(got).splitlines(keepends=True)
    assert lines == [(LINE % n).encode() for n in range(len(lines))]
    assert len(lines) + sink.dropped == total


async def test_a_reader_that_comes_back_gets_the_rest_without_a_new_line() -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        for n in range(1000):
            sink.write(LINE % n)
        sink.flush()
        got: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(read, got))
        reader.start()
        async with asyncio.timeout(PATIENCE):
            while sum(map(len, got)) < 1000 * len(LINE % 0):
                await asyncio.sleep(0.01)
        sink.close()
        os.close(write)
        await asyncio.to_thread(reader.join)

    assert sink.dropped == 0


@pytest.mark.parametrize("lines", [1, 100, 1000])
async def test_a_closed_reader_never_raises_and_is_counted(lines: int) -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        os.close(read)
        for n in range(lines):
            sink.write(LINE % n)
        sink.flush()
        sink.close()

    assert sink.dropped == lines


def test_a_descriptor_that_is_not_open_never_raises() -> None:
    with pipe() as (_, write):
        os.close(write)
        sink = Sink(write)
        sink.write("line\n")
        sink.close()

    assert sink.dropped == 1


def test_stdout_is_not_made_nonblocking() -> None:
    """The flag belongs to all who share the pipe: the shell, other workers."""
    with pipe() as (_, write):
        sink = Sink(write)
        sink.write("line\n")

        assert not fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK
        sink.close()


async def test_lines_of_a_few_milliseconds_go_out_together() -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        sink.write("one\n")
        sink.write("two\n")
        os.set_blocking(read, False)
        with pytest.raises(BlockingIOError):
            os.read(read, 100)
        await asyncio.sleep(0)
        sink.write("three\n")
        os.set_blocking(read, True)
        found = await asyncio.to_thread(os.read, read, 100)

        assert found == b"one\ntwo\nthree\n"
        sink.close()


async def test_many_lines_do_not_wait() -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        for n in range(EARLY_CHARACTERS // len(LINE % 0) + 2):
            sink.write(LINE % n)

        assert os.read(read, 1 << 20).startswith((LINE % 0).encode())
        sink.close()


def test_without_a_loop_a_line_is_written_at_once() -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        sink.write("line\n")

        assert os.read(read, 100) == b"line\n"
        sink.close()


def test_no_line_is_lost_at_the_end() -> None:
    """What was written in a turn that never ended comes out at close."""
    with pipe() as (read, write):
        sink = Sink(write)

        async def last_words() -> None:
            sink.write("bye\n")
            sink.close()

        asyncio.run(last_words())

        assert os.read(read, 100) == b"bye\n"


def test_workers_that_share_a_pipe_do_not_mix_their_lines() -> None:
    with pipe() as (read, write):
        sinks = [Sink(write), Sink(write)]
        got: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(read, got))
        reader.start()

        def work(sink: Sink, letter: str) -> None:
            async def many() -> None:
                for n in range(400):
                    sink.write(letter * (100 + n) + "\n")
                    if n % 7 == 0:
                        await asyncio.sleep(0)

            asyncio.run(many())
            sink.close(PATIENCE)

        threads = [
            threading.Thread(target=work, args=(sink, letter))
            for sink, letter in zip(sinks, ("a", "b"), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(write)
        reader.join()

    lines = b"".join(got).splitlines()
    assert len(lines) == 800
    assert all(set(line) in ({97}, {98}) for line in lines)


def test_a_line_after_the_end_is_counted_and_goes_nowhere(tmp_path: Path) -> None:
    """The descriptor's number may be someone else's by then."""
    with pipe() as (_, write):
        sink = Sink(write)
        sink.close()
        with (tmp_path / "innocent").open("wb"):
            sink.write("late\n")

    assert sink.dropped == 1
    assert (tmp_path / "innocent").read_bytes() == b""


def test_a_line_longer_than_a_group_is_written_too() -> None:
    with pipe() as (read, write):
        sink = Sink(write)
        line = "x" * (2 * GROUP_BYTES) + "\n"
        sink.write(line)
        sink.write("after\n")

        assert os.read(read, 1 << 20) == line.encode() + b"after\n"
        sink.close()


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with path.open("ab") as file:
        sink = Sink(file.fileno())
        sink.write("after\n")
        sink.close()

    assert path.read_bytes() == b"before\nafter\n"


def test_a_socket_is_written_to_and_never_waited_for() -> None:
    """Standard output of a service may be a socket, which cannot be reopened."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno())
        sink.write("line\n")
        assert theirs.recv(100) == b"line\n"

        for n in range(CEILING // len(LINE % 0) * 2):
            sink.write(LINE % n)
        sink.close(0)

    assert sink.dropped > 0


def test_a_line_that_was_cut_off_does_not_run_into_the_next(tmp_path: Path) -> None:
    """A disk that fills up takes a part of a line; later there is room again."""
    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("ab") as file:
        sink = Sink(file.fileno())
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))
            for line in ("first\n", "second\n", "third\n"):
                sink.write(line)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sink.write("fourth\n")
        sink.close()

    assert path.read_text().splitlines() == ["first", "second", "fourth"]
    assert sink.dropped == 1


async def test_the_lines_of_a_turn_are_cut_and_counted_together(tmp_path: Path) -> None:
    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("ab") as file:
        sink = Sink(file.fileno())
        for line in ("first\n", "second\n", "third\n", "fourth\n"):
            sink.write(line)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
            sink.flush()
            sink.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sink.write("fifth\n")
        sink.close()

    assert path.read_text().splitlines() == ["first", "seco", "fifth"]
    assert sink.dropped == 3


async def test_what_utf_8_cannot_hold_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab") as file:
        sink = Sink(file.fileno())
        sink.write("é\u2028\n")
        sink.write("\udc80\n")
        sink.close()

    assert path.read_bytes() == "é\u2028\n?\n".encode()


async def test_a_character_is_not_cut_at_the_end_of_a_block() -> None:
    """Blocks are measured in bytes, lines are text."""
    with pipe() as (read, write):
        sink = Sink(write)
        lines = ["é" * 1000 + f"{n}\n" for n in range(20)]
        for line in lines:
            sink.write(line)
        sink.flush()
        blocks: list[bytes] = []
        os.set_blocking(read, False)
        while sum(map(len, blocks)) < sum(len(line.encode()) for line in lines):
            blocks.append(os.read(read, GROUP_BYTES))
        sink.close()

    assert b"".join(blocks).decode() == "".join(lines)
