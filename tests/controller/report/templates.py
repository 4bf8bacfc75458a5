"""Every template of a sentence in the lab's code and pages, found by reading them; for tests of the catalogues."""

from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path

import jinja2
from jinja2 import nodes

LAB = Path(str(resources.files("edgedyno.controller.lab")))
SAYING = {"say", "phrase"}


def spoken_templates() -> dict[str, str]:
    """Return each template with the file that says it."""
    found: dict[str, str] = {}
    for path in sorted(LAB.rglob("*.py")):
        for text in _in_python(path.read_text()):
            found.setdefault(text, str(path.relative_to(LAB)))
    for path in sorted(LAB.rglob("*.j2")):
        for text in _in_page(path.read_text()):
            found.setdefault(text, str(path.relative_to(LAB)))
    return found


def _in_python(source: str) -> list[str]:
    return [
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in SAYING
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def _in_page(source: str) -> list[str]:
    tree = jinja2.Environment(autoescape=True).parse(source)
    return [
        call.args[0].value
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name)
        and call.node.name in SAYING
        and call.args
        and isinstance(call.args[0], nodes.Const)
    ]


def record_shapes(*roots: Path) -> set[str]:
    """Return every string of the sources under `roots`, each filled-in value as `{}`."""
    shapes: set[str] = set()
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    shapes.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    shapes.add(_shape(node))
    return shapes


def _shape(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
