"""Tokens from the operator's side: made, listed, revoked, kept and found."""

from __future__ import annotations

import json
import re
import shlex
import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from edgedyno.cli.main import main
from edgedyno.cli.tokens import find_token, login, tokens_file
from edgedyno.controller.security.tokens import PREFIX
from edgedyno.core.errors import ConfigError, RetryableError
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    file = tmp_path / "controller.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data")}))
    return str(file)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGEDYNO_TOKEN", raising=False)
    monkeypatch.delenv("EDGEDYNO_TOKEN_FILE", raising=False)


def test_a_token_is_made_listed_and_revoked(config_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--config", config_file]
    made = ["controller", "token", "create", "ci", "--scope", "submit", "--expires", "90d", *named]
    assert main(made) == 0
    secret = capsys.readouterr().out.strip()
    assert secret.startswith(PREFIX)
    assert main(["controller", "token", "list", "--json", *named]) == 0
    text = capsys.readouterr().out
    assert secret not in text
    (token,) = json.loads(text)
    assert (token["name"], token["scope"], token["revoked"]) == ("ci", "submit", False)
    assert main(["controller", "token", "revoke", "ci", *named]) == 0
    assert main(["controller", "token", "list", *named]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["controller", "token", "revoke", "cii", *named]) == 2
    assert "'ci'" in capsys.readouterr().err


@pytest.mark.parametrize("expires", ["-1d", "soon", "0"])
def test_a_time_that_is_none_is_told(config_file: str, expires: str) -> None:
    assert main(["controller", "token", "create", "x", "--scope", "read", f"--expires={expires}",
                 "--config", config_file]) == 2  # fmt: skip


def test_a_token_is_found_for_its_own_address_only(tmp_path: Path) -> None:
    file = tokens_file()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"http://controller:8080": "one"}))
    assert find_token("http://controller:8080") == "one"
    assert find_token("http://Controller:8080/") == "one"
    assert find_token("http://controller:8081") is None
    assert find_token("https://controller:8080") is None
    assert find_token("http://controller:8080", {"EDGEDYNO_TOKEN": " two\n"}) == "two"
    (tmp_path / "secret").write_text("three\n")
    assert find_token("http://other", {"EDGEDYNO_TOKEN_FILE": str(tmp_path / "secret")}) == "three"
    with pytest.raises(ConfigError, match="cannot be read"):
        find_token("http://other", {"EDGEDYNO_TOKEN_FILE": str(tmp_path / "none")})


def test_a_damaged_file_of_tokens_is_told() -> None:
    tokens_file().parent.mkdir(parents=True)
    tokens_file().write_text("{")
    with pytest.raises(ConfigError, match="log in again"):
        find_token("http://controller:8080")


def test_a_token_that_no_controller_accepted_is_not_kept() -> None:
    with pytest.raises(RetryableError):
        login("http://127.0.0.1:9", "x")
    assert not tokens_file().exists()


def test_a_kept_token_is_for_its_owner_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedyno.cli.client.Controller.call", lambda *_args, **_options: {"boards": []})
    login("http://127.0.0.1:9", "x")
    assert stat.S_IMODE(tokens_file().stat().st_mode) == 0o600
    assert find_token("http://127.0.0.1:9") == "x"


def test_the_commands_of_the_guide_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEDYNO_DATA_DIR", str(tmp_path / "data"))
    text = (ROOT / "docs/security.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert len(commands) >= 4
    for command in commands:
        assert command[0] == "edgedyno"
        assert main(command[1:]) == 0, command
