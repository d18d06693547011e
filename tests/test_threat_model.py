"""The threat model names tests that exist, and says something of every kind of input."""

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = (CHECKOUT / "docs/threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py(?:::\w+)?", PAGE)))


def test_tests_are_named() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((CHECKOUT / path).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    assert function in functions if function else any(map(re.compile("test_").match, functions))


def test_every_promise_and_every_input_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    tables = [row for row in rows if not re.match(r"\| (promise|input) |\|---", row)]

    assert len(tables) > 15
    assert [row for row in tables if "tests/" not in row.rstrip("| ").rpartition("|")[2]] == []
