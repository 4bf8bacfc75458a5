"""The guide to energy says what the code says: its refusals word for word, its configuration read as it stands."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from edgedyno.agent.config import load_config
from edgedyno.agent.sensors.registry import GROUP
from tests.conftest import ROOT
from tests.system.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = ROOT / "docs/energy.md"
AGENT = ROOT / "agent/edgedyno/agent"
SOURCES = [*(AGENT / "sensors").glob("*.py"), *(AGENT / "measure").glob("*.py"), AGENT / "host/tools.py"]


def sentences(path: Path) -> list[str]:
    """Return the texts of a module, with … for what is filled in."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def test_every_refusal_of_the_guide_is_in_the_code() -> None:
    table = GUIDE.read_text().partition("## When there")[2].partition("## What it costs")[0]
    # The first row is the heading, the second the line below it.
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("|")][2:]
    words = [one for cell in cells for one in re.findall(r"`([^`]+)`", cell)]
    assert len(words) >= 25
    said = [sentence for path in SOURCES for sentence in sentences(path)]
    missing = [one for one in words if not any(one in sentence for sentence in said)]
    assert missing == ["no power sensor: …; add a plug with …"]
    assert any(sentence.startswith("no power sensor: …") for sentence in said)
    assert any(sentence.startswith("add a plug with ") for sentence in said)


def test_every_sensor_has_its_row() -> None:
    table = GUIDE.read_text().partition("## A meter outside")[0]
    for point in entry_points(group=GROUP):
        assert f"`{point.name}`" in table, point.name


def test_the_configuration_of_the_guide_is_read(tmp_path: Path) -> None:
    (text,) = blocks("docs/energy.md", "yaml")
    (tmp_path / "agent.yaml").write_text(text)
    meters = load_config(tmp_path / "agent.yaml").meters
    assert [meter.source for meter in meters] == ["tasmota", "file", "tc66"]
    assert meters[0].broker is not None
    assert (meters[0].broker.host, meters[0].channel) == ("192.168.1.5", 1)
