"""The lint finds odd expressions in prose, and only there."""

from pathlib import Path

import pytest

from tests.wording.__main__ import findings, main


def found(path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text, encoding="utf-8")
    return [(line, expression) for line, expression, _, _ in findings(path)]


def test_an_expression_is_found_across_lines(tmp_path: Path) -> None:
    text = "# Page\n\nIt says\nnothing of it.\n"

    assert found(tmp_path / "a.md", text) == [(3, "says nothing")]


@pytest.mark.parametrize(
    "text",
    [
        "Use `nobody` as the user.\n",
        "Run:\n\n```sh\ntell nobody\n```\n",
        "Run:\n\n    tell nobody\n",
        "[the page](nobody.md)\n",
    ],
)
def test_code_and_addresses_in_markdown_are_not_prose(
    tmp_path: Path, text: str
) -> None:
    assert found(tmp_path / "a.md", text) == []


def test_docstrings_comments_and_messages_of_code_are_prose(tmp_path: Path) -> None:
    text = '"""Tell a number."""\n\nnobody = 1  # nobody\nMESSAGE = f"told {nobody}"\n'

    lines = {line for line, _ in found(tmp_path / "a.py", text)}

    assert lines == {1, 3, 4}


def test_comments_of_a_configuration_are_prose_and_its_values_are_not(
    tmp_path: Path,
) -> None:
    text = "a: nobody # for nobody\n# and for everybody\nb: nobody\n"

    assert sorted(found(tmp_path / "a.yaml", text)) == [(1, "nobody"), (2, "everybody")]


def test_the_project_has_no_odd_expressions(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([])

    assert code == 0, capsys.readouterr().out
