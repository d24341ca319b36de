"""What is used up is said once a minute, for as long as it lasts."""

import errno
import resource

from gateway.server.descriptors import (
    Shortage,
    descriptor_limit,
    descriptors_for_clients,
)


def test_a_shortage_is_one_line_a_minute() -> None:
    now = 100.0
    lines: list[tuple[str, int]] = []
    shortage = Shortage(
        lambda what, missed: lines.append((what, missed)), clock=lambda: now
    )

    for _ in range(100):
        now += 1
        shortage.note(errno.EMFILE)

    assert lines == [
        ("file descriptors of the process", 1),
        ("file descriptors of the process", 60),
    ]


def test_some_descriptors_are_kept_from_clients() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert descriptor_limit() == soft or soft == resource.RLIM_INFINITY
    assert 16 <= descriptor_limit() - descriptors_for_clients() <= 1024
