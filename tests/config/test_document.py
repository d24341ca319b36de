"""YAML's surprises are told, not guessed."""

from pathlib import Path

import pytest

from gateway.config.yaml_reader import read_document


def read(text: str | bytes) -> object:
    raw = text if isinstance(text, bytes) else text.encode()
    document = read_document(raw, file="g", env={"N": "2", "E": ""}, folder=Path())
    if document.problems:
        return [str(one).removeprefix("g:") for one in document.problems]
    return document.data


SURPRISES = [
    pytest.param("a: no", 'a: no means different things to different readers; write false, or "no" for the text', id="no"),
    pytest.param("a: Yes", "write true", id="Yes"),
    pytest.param("a: on", "write true", id="on"),
    pytest.param("a: OFF", "write false", id="OFF"),
    pytest.param("a: y", "write true", id="y"),
    pytest.param("a: True", "write true", id="True"),
    pytest.param("a: NULL", "write null", id="NULL"),
    pytest.param("a: ~", "write null", id="tilde"),
    pytest.param("a: 012", 'leading zero is octal to some readers; write it without the zero, or "012" for the text', id="octal"),
    pytest.param("a: 0x1F", "only decimal numbers are read", id="hexadecimal"),
    pytest.param("a: 0o17", "only decimal numbers are read", id="octal, 1.2"),
    pytest.param("a: 1:30", "digits with colons are a base-60 number", id="base 60"),
    pytest.param("a: 2026-01-01", "dates are not supported", id="date"),
    pytest.param("a: 2026-01-01T10:00:00Z", "dates are not supported", id="time"),
    pytest.param("a: .inf", "infinity and not-a-number", id="inf"),
    pytest.param("a: -.INF", "infinity and not-a-number", id="-inf"),
    pytest.param("a: .nan", "infinity and not-a-number", id="nan"),
    pytest.param("a: 1_000", "a number has no underscores here", id="underscores"),
    pytest.param("a: 1e3", "a number has no exponent here", id="exponent"),
    pytest.param("a: +1", "not a plain decimal number", id="plus"),
    pytest.param("a: .5", "not a plain decimal number", id="no digit before"),
    pytest.param("a: 5.", "not a plain decimal number", id="no digit after"),
    pytest.param("a: 1234567890123456789", "at most 18 digits", id="too long"),
    pytest.param("a: =", "meaning of its own", id="value tag"),
    pytest.param("a: <<", "meaning of its own", id="merge sign"),
    pytest.param("<<: {a: 1}", "1:1: merge keys are not supported", id="merge key"),
    pytest.param("a: &x 1", "1:4: anchors are not supported", id="anchor"),
    pytest.param("a: *x", "1:4: aliases are not supported", id="alias"),
    pytest.param("a: !!int 1", "1:4: tags are not supported", id="tag"),
    pytest.param("a: ! 1", "1:4: tags are not supported", id="non-specific tag"),
    pytest.param("[a]: 1", "1:1: a key must be a string, not a list or a mapping", id="list as a key"),
    pytest.param("${N}: 1", "1:1: variables are not supported in keys", id="variable in a key"),
    pytest.param("a: 1\n---\nb: 1", "2:1: multiple documents are not supported", id="two documents"),
    pytest.param("a: ${NOPE}", "1:4: the variable NOPE is not set", id="unset"),
    pytest.param('a: "${NOPE"', '1:4: "${" is not closed', id="not closed"),
    pytest.param('a: "${}"', "1:4: expected ${NAME}, ${NAME:-default} or ${file:/path}", id="no name"),
    pytest.param('a: "${N-x}"', "1:4: expected ${NAME}", id="shell's other form"),
    pytest.param('a: "${file:/nope/nope}"', "1:4: cannot read /nope/nope: No such file", id="no file"),
    pytest.param('a: "${file:/dev/zero}"', "1:4: /dev/zero is not a file", id="a device"),
    pytest.param('a: "\\0"', "1:4: control characters are not allowed", id="NUL"),
    pytest.param('a: "\\r"', "1:4: control characters are not allowed", id="CR"),
    pytest.param('"\\n": 1', "1:1: a key must be one line of text", id="key of two lines"),
    pytest.param("a: \x01", "1:4: the character U+0001 is not allowed", id="control byte"),
    pytest.param("a: \u2028", "1:4: the character U+2028 is not allowed", id="line separator"),
    pytest.param(b"a: 1\nb: \xff", "2:4: invalid UTF-8", id="no UTF-8"),
    pytest.param(b"\xff\xfea\0", "1:1: invalid UTF-8", id="UTF-16"),
    pytest.param("a:\n\t- b", "invalid YAML: found character that cannot start any token; indent with spaces, not with tabs", id="tab"),
    pytest.param("a: [1", "invalid YAML", id="not closed list"),
    pytest.param("a: {b: 1\nc:\n  - d", "expected ',' or '}'; the { of line 1, column 4, is not closed", id="not closed mapping"),
    pytest.param("a:\n  - b: 1\n    c: 2\n   d: 3", "check the indentation: the items of the list that begin on line 2 are in column 3", id="indentation"),
    pytest.param("a:\n  b: 1\n\n   c: 2", "mapping values are not allowed in this context; this line is indented further than line 2", id="indented further"),
    pytest.param("a:\n  b: c d: e", "mapping values are not allowed in this context", id="a colon too many"),
    pytest.param("[" * 30, "1:25: more than 24 levels deep", id="depth"),
    pytest.param("a: b\n" * 900_000, "1:1: the file is larger than 4 MiB", id="size"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), SURPRISES)
def test_a_surprise_is_reported(text: str | bytes, problem: str) -> None:
    problems = read(text)

    assert isinstance(problems, list)
    assert problem.removeprefix("a: ") in problems[0]
    assert len(problems) == 1


VALUES = [
    pytest.param("a: true", True, id="true"),
    pytest.param("a:", None, id="nothing"),
    pytest.param("a: null", None, id="null"),
    pytest.param("a: -12", -12, id="integer"),
    pytest.param("a: 0.50", 0.5, id="decimal"),
    pytest.param("a: 127.0.0.1:8080", "127.0.0.1:8080", id="address"),
    pytest.param("a: 24h", "24h", id="duration"),
    pytest.param("a: node", "node", id="begins like no"),
    pytest.param('a: "no"', "no", id="quoted no"),
    pytest.param("a: '012'", "012", id="quoted number"),
    pytest.param("a: |\n  12\n", "12\n", id="block text"),
    pytest.param("a: ${N}", 2, id="variable"),
    pytest.param('a: "${N}"', "2", id="quoted variable"),
    pytest.param("a: ${NOPE:-2}", 2, id="default"),
    pytest.param("a: ${NOPE:-no}", "no", id="a variable surprises nobody"),
    pytest.param("a: ${E:-x}", "x", id="default of an empty one"),
    pytest.param("a: ${E}", None, id="empty one"),
    pytest.param("a: 1${N}3", 123, id="inside"),
    pytest.param("a: $$", "$", id="dollar"),
    pytest.param("a: $${N}", "${N}", id="escaped"),
    pytest.param("a: $.user.id$", "$.user.id$", id="lone dollars"),
    pytest.param("a: ${NOPE:-${N}", "${N", id="not looked at again"),
    pytest.param("\ufeffa: 1", 1, id="byte order mark"),
    pytest.param("a: [1, {b: c}]", (1, {"b": "c"}), id="nested"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_value_means_what_it_looks_like(text: str, value: object) -> None:
    found = read(text)

    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_a_file_is_put_in_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("s3cret: [\n")

    document = read_document(b"a: ${file:s}", file="g", env={}, folder=tmp_path)

    assert document.data == {"a": "s3cret: ["}
    assert ("a",) in document.replaced


def test_a_duplicate_key_is_reported_once_and_the_first_counts() -> None:
    document = read_document(
        b"a: {x: 1}\na: {x: 2, x: 3}\n", file="g", env={}, folder=Path()
    )

    assert document.data == {"a": {"x": 1}}
    assert [str(one) for one in document.problems] == [
        'g:2:1: duplicate key "a"; first defined at 1:1',
        'g:2:11: duplicate key "x"; first defined at 2:5',
    ]
