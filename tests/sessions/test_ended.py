"""Sessions that were over stay over, however the clock goes."""

from gateway.sessions.ended import EndedSessions

KEY, OTHER = "a" * 64, "b" * 64


def test_a_session_is_judged_by_the_latest_time_at_which_it_was_over() -> None:
    ended = EndedSessions()
    assert ended.at_least(KEY, 10.0) == 10.0

    ended.note(KEY, 100.0)

    assert ended.at_least(KEY, 10.0) == 100.0
    assert ended.at_least(KEY, 200.0) == 200.0
    assert ended.at_least(OTHER, 10.0) == 10.0


def test_the_oldest_is_forgotten_when_there_are_many() -> None:
    ended = EndedSessions()
    for number in range(10_001):
        ended.note(f"{number:064x}", 100.0)

    assert ended.at_least(f"{0:064x}", 10.0) == 10.0
    assert ended.at_least(f"{1:064x}", 10.0) == 100.0
