"""What the check of lengths finds."""

import ast

import pytest

from tests.sizes.__main__ import FUNCTION, MODULE, functions, too_long


def a_function(lines: int, name: str = "f") -> str:
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(a_function(FUNCTION - 1), [], id="a function below the limit"),
        pytest.param(a_function(FUNCTION), [("m.py f", FUNCTION)], id="at the limit"),
        pytest.param("x = 1\n" * MODULE, [], id="a module at the limit"),
        pytest.param("x = 1\n" * (MODULE + 1), [("m.py", MODULE + 1)], id="above it"),
    ],
)
def test_what_is_too_long_is_found(
    source: str, expected: list[tuple[str, int]]
) -> None:
    assert list(too_long(source, "m.py")) == expected


def test_methods_and_inner_functions_have_qualified_names() -> None:
    source = (
        "class C:\n"
        "    async def m(self):\n"
        '        """A docstring counts."""\n'
        "        if True:\n"
        "            def inner():\n"
        "                pass\n"
    )

    assert list(functions(ast.parse(source))) == [("C.m", 5), ("C.m.inner", 2)]
