"""What failed is reported by type and place, and never by the values it held."""

import errno
import os
from pathlib import Path

import pytest

from gateway.errors import CannotListen
from gateway.observe.failure import describe, stack_of, write_line

PLANTED = "hunter2-hunter2"


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 - it needs a stack
    except Exception as caught:  # noqa: BLE001 - any
        return caught


def with_cause() -> BaseException:
    try:
        try:
            raise KeyError(PLANTED)  # noqa: TRY301
        except KeyError as first:
            raise RuntimeError(PLANTED) from first
    except RuntimeError as second:
        return second


FOREIGN = [
    pytest.param(raised(ValueError(PLANTED)), "ValueError", id="a value"),
    pytest.param(with_cause(), "RuntimeError", id="with a cause"),
    pytest.param(
        raised(ExceptionGroup(PLANTED, [ValueError(PLANTED)])), "ExceptionGroup",
        id="a group",
    ),
    pytest.param(
        raised(OSError(errno.ENOSPC, PLANTED, PLANTED)), "No space left", id="the disk"
    ),
    pytest.param(
        raised(UnicodeDecodeError("utf-8", PLANTED.encode(), 0, 1, PLANTED)),
        "UnicodeDecodeError", id="bytes",
    ),
    pytest.param(ValueError(PLANTED), "ValueError", id="never raised"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "word"), FOREIGN)
def test_a_foreign_message_is_not_repeated(error: BaseException, word: str) -> None:
    assert word in describe(error)
    assert word in stack_of(error)
    assert PLANTED not in describe(error) + stack_of(error)
    assert "\n" not in describe(error)


def test_a_message_of_ours_is_repeated() -> None:
    error = raised(CannotListen("cannot listen on 127.0.0.1:1: address in use"))

    assert describe(error) == "cannot listen on 127.0.0.1:1: address in use"
    assert stack_of(error).endswith(f"CannotListen: {describe(error)}")


def test_the_stack_names_causes_first_and_the_place() -> None:
    stack = stack_of(with_cause())

    assert stack.index("KeyError") < stack.index("RuntimeError")
    assert f'File "{__file__}"' in stack
    assert "in with_cause" in describe(with_cause())


def test_a_line_is_lost_and_nothing_else_when_it_cannot_be_written() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    stuck_reader, stuck = os.pipe()
    os.set_blocking(stuck, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(stuck, bytes(65536))

    for fd in (full, writer, stuck):
        write_line("a line", fd)
        os.close(fd)
    os.close(stuck_reader)
    write_line("to a closed descriptor", stuck)


def test_a_long_line_is_written_whole(tmp_path: Path) -> None:
    with (tmp_path / "err").open("wb") as file:
        write_line("é" * 10_000, file.fileno())

    assert (tmp_path / "err").read_text() == "é" * 10_000 + "\n"
