"""Where catalogues take their sentences from, found by reading the sources: code, pages and what records carry."""

from __future__ import annotations

import ast
import re
from importlib import resources
from pathlib import Path

import jinja2
from jinja2 import nodes

from tests.controller.templates import SPEAKERS

LAB = Path(str(resources.files("edgedyno.controller.lab")))
ROOTS = [Path(str(resources.files(f"edgedyno.{name}"))) for name in ("agent", "core", "controller")]
_PERCENT = re.compile(r"%[.\d]*[a-z]")


def spoken_templates() -> dict[str, str]:
    """Return each template with the first file that says it, code or page of the lab."""
    found: dict[str, str] = {}
    for path in sorted(LAB.rglob("*.py")):
        for text in _in_code(path.read_text("utf-8")):
            found.setdefault(text, str(path.relative_to(LAB)))
    for path in sorted(LAB.rglob("*.j2")):
        for text in sorted(_in_page(path.read_text("utf-8"))):
            found.setdefault(text, str(path.relative_to(LAB)))
    return found


def _in_code(source: str) -> list[str]:
    return [
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in SPEAKERS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def _in_page(source: str) -> set[str]:
    tree = jinja2.Environment(autoescape=True).parse(source)
    return {
        call.args[0].value
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name)
        and call.node.name in SPEAKERS
        and call.args
        and isinstance(call.args[0], nodes.Const)
    }


def record_shapes() -> set[str]:
    """Return every string of board, core and controller, each value that is filled in as `{}`."""
    shapes: set[str] = set()
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    shapes.add(_PERCENT.sub("{}", node.value).replace("%%", "%"))
                elif isinstance(node, ast.JoinedStr):
                    shapes.add(_shape(node))
    return shapes


def _shape(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
