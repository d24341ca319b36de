"""Counts in memory that processes share: whole or not there, and bound to no file."""

import os
import resource
import signal
from collections.abc import Iterator

import pytest

from gateway.observe.shared import RETAINED, SharedCounts


@pytest.fixture
def shared() -> Iterator[SharedCounts]:
    made = SharedCounts(3)
    yield made
    made.close()


def test_each_process_reads_what_the_others_wrote_last(shared: SharedCounts) -> None:
    child = os.fork()
    if child == 0:
        shared.write(2, b"first")
        shared.write(2, b"of the child")
        os._exit(0)
    os.waitpid(child, 0)
    shared.write(1, b"mine")

    assert list(shared.read_all()) == [b"mine", b"of the child"]


def test_a_write_that_was_cut_off_leaves_the_one_before(shared: SharedCounts) -> None:
    """A process may be killed between any two bytes."""
    shared.write(1, b"x" * 1000)
    os.pwrite(shared._fd, b"y" * 500, shared._start(1, 0) + 20)

    assert shared.read(1) == b"x" * 1000
    assert shared.write(1, b"z")
    assert shared.read(1) == b"z"


def test_bytes_that_are_no_snapshot_are_none(shared: SharedCounts) -> None:
    os.pwrite(shared._fd, os.urandom(64), shared._start(1, 0))
    os.pwrite(shared._fd, os.urandom(64), shared._start(1, 1))

    assert shared.read(1) is None


def test_what_an_ended_process_counted_stays_and_its_place_is_free(
    shared: SharedCounts,
) -> None:
    for counted in (b"a", b"b"):
        shared.write(1, counted)
        shared.retire(1, b"+".join)

    assert shared.read(RETAINED) == b"a+b"
    assert shared.read(1) is None


def test_more_than_a_place_holds_is_refused(shared: SharedCounts) -> None:
    shared.write(1, b"before")

    assert not shared.write(1, bytes(64 << 20))
    assert shared.read(1) == b"before"


def test_no_descriptor_is_needed_once_it_is_there(shared: SharedCounts) -> None:
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        done = shared.write(1, b"counted") and shared.read(1) == b"counted"
        os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_limit_on_file_sizes_is_an_error_and_ends_nothing() -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            SharedCounts(1)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
