"""A draft profile is valid as it is, recognises the board it was made from, and says where a human has to speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.draft import draft_profile, profile_id
from edgedyno.agent.host.expectations import differences
from edgedyno.agent.host.place import locate
from edgedyno.agent.host.profile import BoardProfile, matches
from edgedyno.agent.main import main
from edgedyno.core.document import decode_yaml
from tests.agent.boards import BOARDS, board

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(path.name for path in BOARDS.iterdir() if path.is_dir())


def draft(root: Path) -> tuple[str, BoardProfile]:
    place = locate(root)
    text = draft_profile(place, read_board(place), read_capabilities(root=root, probe_runtimes=False))
    return text, decode_yaml(text, BoardProfile, file="draft.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_draft_is_valid_and_fits_its_board(name: str) -> None:
    text, profile = draft(board(name))
    place = locate(board(name))
    found = read_board(place)
    assert any(matches(rule, found.identity, place.root) for rule in profile.match)
    assert differences(type(found)(found.info, found.topology, found.identity, profile), None) == []
    assert profile.expect.features == found.features()
    assert "TODO" in text
    assert profile.unconfirmed


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("rock-5b", "orangepi5"),
        ("rpi5", "rpi4b"),
        ("jetson-nano", "jetson-orin-nano"),
        ("kunpeng920-2s", "x86-rapl"),
    ],
)
def test_a_draft_fits_no_other_board(name: str, others: str) -> None:
    _, profile = draft(board(name))
    place = locate(board(others))
    assert not any(matches(rule, read_board(place).identity, place.root) for rule in profile.match)


def test_what_a_draft_says_of_an_rk3588() -> None:
    text, profile = draft(board("rock-5b"))
    assert profile.id == "rock-5b"
    assert profile.match[0].compatible == ["radxa,rock-5b"]
    assert [(each.cpus, each.core, each.max_mhz) for each in profile.expect.clusters] == [
        ("0-3", "cortex-a55", 1800),
        ("4-5", "cortex-a76", 2400),
        ("6-7", "cortex-a76", 2400),
    ]
    assert profile.core_sets == {"big": "CPUs 4-7", "little": "CPUs 0-3"}
    assert [each.source for each in profile.throttle] == ["cooling_device"]
    assert "npu-thermal" in profile.thermal.zones
    assert "# power: no sensor was found" in text


def test_rails_are_left_to_a_human() -> None:
    text, profile = draft(board("jetson-orin-nano"))
    assert profile.power[0].total == []
    assert "# TODO total: which of VDD_IN, VDD_CPU_GPU_CV, VDD_SOC add up to that" in text


def test_a_board_without_a_name_says_so(tmp_path: Path) -> None:
    (tmp_path / "rootfs/proc").mkdir(parents=True)
    text, profile = draft(tmp_path)
    assert profile.id == "my-board"
    assert "nothing names this board" in text
    place = locate(tmp_path)
    assert profile_id(read_board(place)) == "my-board"


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caps", "--profile", "--root", str(board("rpi5"))]) == 0
    printed = capsys.readouterr()
    assert decode_yaml(printed.out, BoardProfile, file="out").id == "5-model-b"
    assert "this board has a profile already: rpi5" in printed.err
