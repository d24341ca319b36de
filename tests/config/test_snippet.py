"""The line of a mistake is shown, and nothing that may be secret."""

import pytest

from gateway.config.snippet import source_snippet
from gateway.errors import Problem


def shown(text: str, line: int, column: int, message: str = "wrong") -> str | None:
    problem = Problem(file="g", line=line, column=column, message=message)
    return source_snippet(text, problem)


SECRETS = [
    pytest.param("admin_token: hunter2", 1, 14, "wrong", id="value"),
    pytest.param("{admin_token: hunter2, a: b}", 1, 25, "wrong", id="after it"),
    pytest.param("admin_token:\n  hunter2", 2, 3, "wrong", id="on the next line"),
    pytest.param("secrets:\n- hunter2", 2, 3, "wrong", id="in a list"),
    pytest.param(
        "secrets:\n- a: 1\n  b: hunter2", 3, 3, "wrong", id="in a list's item"
    ),
    pytest.param("password: |\n  x\n  hunter2", 3, 1, "wrong", id="in a block"),
    pytest.param("redis: {url: 'redis://:hunter2@h'}", 1, 1, "wrong", id="in a URL"),
    pytest.param("tkn: hunter2", 1, 1, 'unknown key "tkn"', id="unknown key"),
    pytest.param('"ADMIN_TOKEN" : hunter2', 1, 1, "wrong", id="quoted key"),
    pytest.param("my-passphrase: hunter2", 1, 1, "wrong", id="another name"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), SECRETS)
def test_a_secret_is_not_shown(text: str, line: int, column: int, message: str) -> None:
    assert "hunter2" not in (shown(text, line, column, message) or "")


def test_the_caret_stands_below_the_mistake() -> None:
    assert shown("version: 1\nroles: 2\n", 2, 8) == "roles: 2\n       ^"


def test_the_section_of_tokens_is_shown() -> None:
    assert shown("tokens:\n  lifetime: 1", 2, 13) == "  lifetime: 1\n            ^"


def test_a_long_line_is_cut_around_the_mistake() -> None:
    line, caret = (shown("x" * 300 + "!" + "y" * 300, 1, 301) or "").split("\n")

    assert line[caret.index("^")] == "!"
    assert len(line) <= 101


def test_a_line_that_is_not_there_is_not_shown() -> None:
    assert shown("a: 1", 7, 1) is None
    assert shown("a: 1", 0, 0) is None
