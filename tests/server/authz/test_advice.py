"""A problem of a front proxy is logged once per minute, whatever its clients send."""

from gateway.authz.mode import Mode
from gateway.server.authz.advice import Advice

Line = tuple[str, str, str, str]


class Log:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.now = 0.0

    def warn(self, mode: str, detail: str, setting: str, about: str) -> None:
        self.lines.append((mode, detail, setting, about))

    def advice(self) -> Advice:
        return Advice(self.warn, lambda: self.now)


def test_a_problem_is_logged_once_per_minute() -> None:
    log = Log()
    advice = log.advice()

    for at in (0.0, 1.0, 59.9, 60.0, 61.0):
        log.now = at
        advice.give(Mode.AUTH_REQUEST, "missing", "set it", "127.0.0.1")

    assert log.lines == [("auth-request", "missing", "set it", "127.0.0.1")] * 2


def test_another_problem_is_another_line() -> None:
    log = Log()
    advice = log.advice()

    advice.give(Mode.AUTH_REQUEST, "one", "a", "x")
    advice.give(Mode.FORWARD_AUTH, "one", "a", "x")
    advice.give(Mode.FORWARD_AUTH, "two", "b", "x")

    assert [line[:2] for line in log.lines] == [
        ("auth-request", "one"),
        ("forward-auth", "one"),
        ("forward-auth", "two"),
    ]


def test_many_peers_with_one_problem_are_one_line() -> None:
    """Whoever reaches the listener chooses the address: it must not fill the log."""
    log = Log()
    advice = log.advice()

    for number in range(1000):
        advice.give(Mode.EXT_AUTHZ, "not trusted", "a", f"10.0.{number >> 8}.{number}")

    assert log.lines == [("ext-authz", "not trusted", "a", "10.0.0.0")]
    assert len(advice._given) == 1
