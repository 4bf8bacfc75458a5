"""The rules of docs/protocol.md, and the mark by which a test names those that it checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs/protocol.md"


def rule(*names: str) -> pytest.MarkDecorator:
    """Mark a test with the rules that it checks."""
    return pytest.mark.rule(*names)


def rules_of_the_document() -> list[str]:
    """Return the rules in the order in which they stand."""
    return re.findall(r"^- \*\*(R\d+)\*\* ", DOCUMENT.read_text(), re.MULTILINE)


def rules_of_the_tests() -> dict[str, list[str]]:
    """Return the tests by the rule that they name, read from the files, whichever of them are being run."""
    named: dict[str, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for name in _named(node):
                    named.setdefault(name, []).append(f"{path.name}::{node.name}")
    return named


def _named(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        str(argument.value)
        for call in test.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "rule"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]
