"""`power:` of the agent's configuration: what an entry needs, what it may not have, and where plugs are heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.config import load_config
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, entry: str) -> list[str | None]:
    file = folder / "agent.yaml"
    file.write_text(f"broker: {{host: main.lan}}\npower:\n- {entry}\n")
    return [meter.broker.host if meter.broker else None for meter in load_config(file, environ={}).meters]


def test_a_plug_is_heard_on_the_agents_own_broker_or_on_another(tmp_path: Path) -> None:
    assert load(tmp_path, "{source: tasmota, topic: plug1}") == ["main.lan"]
    assert load(tmp_path, "{source: shelly_gen2, topic: s, broker: {host: home.lan}, ask_every: 2 s}") == [
        "home.lan"
    ]
    assert load(tmp_path, "{source: file, file: /x.csv, scope: DC input, clock_offset: -350 ms}") == [None]


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("{source: tasmota}", "power[0]: found no 'topic'"),
        ("{source: file, file: /x.csv}", "found no 'scope'"),
        ("{source: tc66, port: /dev/x, topic: t}", "power[0].topic: found it for tc66"),
        ("{source: tasmoto, topic: t}", "tasmota"),
        ("{source: tasmota, topic: t, chanel: 2}", "channel"),
        ("{source: tasmota, topic: t, channel: 0}", "channel"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, entry: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, entry)
    assert part in str(caught.value)
