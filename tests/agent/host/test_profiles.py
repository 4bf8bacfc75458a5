"""Profiles are well formed, and each rule of matching holds for itself."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.host.cpulist import parse_cpu_list
from edgedyno.agent.host.identity import Identity
from edgedyno.agent.host.profile import Match, board_profiles, match_profile, matches
from edgedyno.agent.sensors.registry import GROUP

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = Identity(
    compatible=[],
    model=None,
    cpu_parts=[],
    cpu_vendor=None,
    cpu_model=None,
    cpu_count=1,
    dmi_vendor=None,
    dmi_product=None,
)
KUNPENG = Identity(
    compatible=[],
    model=None,
    cpu_parts=["0x48/0xd01"],
    cpu_vendor=None,
    cpu_model=None,
    cpu_count=128,
    dmi_vendor="Huawei",
    dmi_product="TaiShan 200 (Model 2280)",
)


def test_profiles_are_well_formed() -> None:
    profiles = board_profiles()
    assert max(Counter(profile.id for profile in profiles).values()) == 1
    assert profiles[-1].id == "generic"
    for profile in profiles:
        assert profile.origin
        for cluster in profile.expect.clusters:
            assert parse_cpu_list(cluster.cpus)
        for rule in profile.power:
            branches = [name for parts in rule.parts.values() for name in parts]
            assert not set(branches) & set(rule.total), f"{profile.id}: a branch is added to its parent"


def test_every_power_source_of_a_profile_is_a_sensor_of_ours() -> None:
    """A name that no sensor has would be a rule that nobody reads, without a word."""
    sensors = {point.name for point in entry_points(group=GROUP)}
    for profile in board_profiles():
        assert {rule.source for rule in profile.power} <= sensors, profile.id
        for rule in profile.power:
            assert rule.total or rule.source not in {"ina2xx", "ina3221_hwmon", "ina3221_iio"}, profile.id
            assert set(rule.parts) <= set(rule.total), profile.id


def test_an_unknown_board_is_generic(tmp_path: Path) -> None:
    assert match_profile(NOBODY, tmp_path).id == "generic"


def test_a_kunpeng_server_and_a_desktop(tmp_path: Path) -> None:
    assert match_profile(KUNPENG, tmp_path).id == "kunpeng920-server"


@pytest.mark.parametrize(
    ("entry", "profile"),
    [
        ("nvidia,p3767-0005-super", "jetson-orin-nano"),
        ("nvidia,p3768-0000+p3767-0003-super", "jetson-orin-nano"),
        ("nvidia,p3767-0000", "jetson-orin-nx"),
        ("nvidia,p3737-0000+p3701-0005", "jetson-agx-orin"),
        ("nvidia,p3509-0000+p3668-0001", "jetson-xavier-nx"),
        ("rockchip,rk3568", "rk356x"),
        ("raspberrypi,5-compute-module", "rpi5"),
    ],
)
def test_device_trees(tmp_path: Path, entry: str, profile: str) -> None:
    identity = Identity([entry], None, [], None, None, 4, None, None)
    assert match_profile(identity, tmp_path).id == profile


@pytest.mark.parametrize(
    "rule",
    [
        Match(compatible=["radxa,rock-5b"]),
        Match(compatible_pattern="rock"),
        Match(model_pattern="ROCK"),
        Match(cpu_parts=["0x41/0xd0b"]),
        Match(cpu_vendors=["GenuineIntel"]),
        Match(cpu_counts=[8]),
        Match(dmi_vendors=["Huawei"]),
        Match(dmi_product_pattern="TaiShan"),
        Match(path_exists="sys/class/powercap/intel-rapl:0"),
    ],
)
def test_each_rule_can_fail(rule: Match, tmp_path: Path) -> None:
    assert not matches(rule, NOBODY, tmp_path)
    assert matches(Match(), NOBODY, tmp_path)
