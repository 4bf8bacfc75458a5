"""Configuration: precedence, checks, and where state is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.config import AgentConfig, choose_state_dir, load_config, sanitize
from edgedyno.core.broker import Tls
from edgedyno.core.errors import ConfigError
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
board: from-file
labels: {soc: rk3588}
broker: {host: broker.lan, port: 1884, username: edge}
cache_size: 2 GiB
heartbeat: 1 min
runtimes:
  - {name: old, python: /opt/old/bin/python}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "agent.yaml"
    file.write_text(text)
    return file


def test_a_file_is_read_with_its_units(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, TEXT), environ={})
    assert (config.board_id, config.labels) == ("from-file", {"soc": "rk3588"})
    assert (config.broker.host, config.broker.port_or_default, config.broker.username) == (
        "broker.lan",
        1884,
        "edge",
    )
    assert (config.cache_size, config.heartbeat) == (2 * 2.0**30, 60.0)
    assert config.runtimes == [Environment("old", "/opt/old/bin/python")]


def test_flags_go_before_variables_before_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, TEXT)
    environ = {
        "EDGEDYNO_BOARD": "from-variable",
        "EDGEDYNO_BROKER": "other.lan",
        "EDGEDYNO_CONFIG": str(file),
    }
    config = load_config(environ=environ)
    assert (config.board, config.broker.host, config.broker.port) == ("from-variable", "other.lan", 1884)
    config = load_config(
        environ=environ, flags={"board": "from-flag", "broker": "[::1]:9", "state_dir": None}
    )
    assert (config.board, config.broker.host, config.broker.port) == ("from-flag", "::1", 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bord: x\n", "agent.yaml:1: bord: found the unknown key 'bord'; did you mean 'board'?"),
        ("board: a\nbroker: {prot: 1}\n", "agent.yaml:2: broker.prot: found the unknown key 'prot'; did you"),
        ("runtimes: [{name: a}]\n", "found no key 'python'"),
        ("runtimes: [{name: a, python: b}, {name: a, python: c}]\n", "found the name 'a' twice"),
        ("board: controller\n", "found 'controller' as a board id"),
        ("controller_url: controller:8000\n", "expected a URL"),
        ("cache_size: 3 s\n", "expected a size"),
        ("broker: {port: 70000}\n", "70000"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text), environ={})
    assert expected in str(caught.value) or "70000" in text


@pytest.mark.parametrize("address", ["", "a:b", "a:70000", "u@a", "a/b", ":1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    if address:
        with pytest.raises(ConfigError, match=r"--broker: found .* expected HOST"):
            load_config(environ={}, flags={"broker": address})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found no such file"):
        load_config(tmp_path / "none.yaml", environ={})


def test_ports_follow_tls() -> None:
    config = AgentConfig()
    assert config.broker.port_or_default == 1883
    assert type(config.broker)(tls=Tls()).port_or_default == 8883


@pytest.mark.parametrize(
    ("hostname", "board"),
    [("pi-4.lan", "pi-4"), ("Küche 2", "K-che-2"), ("---", "board"), ("a" * 80, "a" * 63)],
)
def test_a_host_name_becomes_a_board_id(hostname: str, board: str) -> None:
    assert sanitize(hostname) == board


def test_state_goes_where_systemd_says(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state")}
    assert choose_state_dir(AgentConfig(), environ) == tmp_path / "state"
    assert oct((tmp_path / "state").stat().st_mode & 0o777) == "0o700"
    assert choose_state_dir(AgentConfig(state_dir=str(tmp_path / "own")), environ) == tmp_path / "own"


def test_state_goes_home_where_the_system_has_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr("edgedyno.agent.config.SYSTEM_STATE_DIR", blocked / "edgedyno")
    environ = {"XDG_STATE_HOME": str(tmp_path / "home")}
    assert choose_state_dir(AgentConfig(), environ) == tmp_path / "home/edgedyno"
    with pytest.raises(ConfigError, match="cannot be made"):
        choose_state_dir(AgentConfig(state_dir=str(blocked / "x")), environ)
    assert not list((tmp_path / "home/edgedyno").iterdir())
