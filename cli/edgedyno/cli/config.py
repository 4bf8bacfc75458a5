"""`edgedyno config show`: the values in force and where each comes from."""

from __future__ import annotations

from typing import Any

import msgspec

from edgedyno.agent.config import AgentConfig
from edgedyno.agent.config import load_config as load_agent
from edgedyno.cli.output import print_json, print_table
from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.config import load_config as load_controller


def show_config(*, origin: bool, as_json: bool) -> None:
    """Print every value of agent and controller; secrets are only ever file names, so nothing is hidden."""
    rows = [
        *_rows("agent", load_agent(), AgentConfig()),
        *_rows("controller", load_controller(), ControllerConfig()),
    ]
    if as_json:
        print_json([dict(zip(("part", "key", "value", "origin"), row, strict=True)) for row in rows])
        return
    columns = ("part", "key", "value", "origin") if origin else ("part", "key", "value")
    print_table("", columns, [row[: len(columns)] for row in rows])


def _rows(part: str, config: Any, default: Any) -> list[list[object]]:
    values, defaults = msgspec.to_builtins(config), msgspec.to_builtins(default)
    origins = getattr(config, "origins", {})
    return [
        [part, key, value, origins.get(key, "default" if defaults.get(key) == value else "given")]
        for key, value in values.items()
        if key != "origins"
    ]
