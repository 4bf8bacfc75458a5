"""The templates of sentences in a folder of Python files, and the words there that bypass `say`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEAKERS = {"say", "phrase"}
# Symbols of units and exponents are the same in every language, as are names of formats and versions.
UNITS = {"ms", "pt", "mW", "mJ", "ratio"}
_WORD = re.compile(r"(?<![\w\\])[A-Za-z]{2,}(?!\w)")


def templates_of(folder: Path) -> set[str]:
    """Return every template that code under `folder` says or marks to be said."""
    return {
        call.args[0].value
        for tree in _trees(folder).values()
        for call in _spoken(tree)
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def unspoken(folder: Path) -> list[str]:
    """Return, with their places, formatted strings with words, and texts of several words, that nothing says."""
    return [found for path, tree in _trees(folder).items() for found in _unspoken(path, tree)]


def _trees(folder: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))}


def _spoken(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPEAKERS:
            yield node


def _unspoken(path: Path, tree: ast.Module) -> Iterator[str]:
    excused = {id(part) for call in _spoken(tree) for part in call.args[:1]}
    excused |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    excused |= {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = {word for part in node.values if isinstance(part, ast.Constant) for word in _words(part)}
            if words - UNITS:
                yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and id(node) not in excused and _is_prose(node.value):
            yield f"{path.name}:{node.lineno}: {node.value!r}"


def _is_prose(value: object) -> bool:
    return (
        isinstance(value, str)
        and value not in CODES
        and bool(re.search(r"[A-Za-z]{2,} +[A-Za-z]{2,}", value))
    )


def _words(part: ast.Constant) -> list[str]:
    return _WORD.findall(str(part.value))


# Values of the verdict's own types: compared, never shown as they are.
CODES = {
    "at most",
    "at least",
    "cannot tell",
    "cannot tell yet",
    "no difference shown",
    "none meets",
    "not settled",
    "not tried",
    "rounds were void",  # what an agent's reason is known by
}
