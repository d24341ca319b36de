"""The endings of the last minute."""

from gateway.sessions.redis.journal import KEPT, Journal


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_ending_is_kept_for_a_minute_once_it_is_held() -> None:
    clock = Clock()
    journal: Journal[str] = Journal(clock)
    journal.note("a", "revoked", held=True)

    clock.now += KEPT
    assert journal.get("a") == "revoked"
    clock.now += 1
    assert journal.get("a") is None
    assert journal.all() == []


def test_what_is_not_held_stays_until_it_is() -> None:
    clock = Clock()
    journal: Journal[str] = Journal(clock)
    journal.note("a", "revoked", held=False)
    clock.now += 10 * KEPT

    assert journal.all() == [("a", "revoked")]
    assert journal.unheld() == [("a", "revoked")]
    journal.settle("a")
    assert journal.unheld() == []
    assert journal.get("a") == "revoked"


def test_receiving_an_ending_does_not_confirm_it() -> None:
    journal: Journal[str] = Journal(Clock())
    journal.note("a", "signed_out", held=False)
    journal.note("a", "revoked", held=True)

    assert journal.unheld() == [("a", "signed_out")]


def test_a_full_journal_forgets_what_is_held_first() -> None:
    journal: Journal[str] = Journal(Clock(), most=2)
    journal.note("waits", "x", held=False)
    journal.note("old", "x", held=True)
    journal.note("new", "x", held=True)

    assert [name for name, _ in journal.all()] == ["waits", "new"]
    assert len(journal.entries) == 2


def test_a_young_ending_is_left_to_its_writer() -> None:
    clock = Clock()
    journal: Journal[str] = Journal(clock)
    journal.note("a", "x", held=False)

    assert journal.unheld(0.5) == []
    clock.now += 1
    assert journal.unheld(0.5) == [("a", "x")]


def test_what_was_no_ending_is_forgotten() -> None:
    journal: Journal[str] = Journal(Clock())
    journal.note("a", "x", held=False)
    journal.forget("a")

    assert not journal.entries
