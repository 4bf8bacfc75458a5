"""Every recorded board gives the right profile, core sets, features, sensors, scopes and watts.

The expected values were worked out by hand from the trees' files and from their SOURCES.md.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgedyno.agent.capabilities import RECORDED, read_capabilities
from edgedyno.core.board import Capabilities
from edgedyno.core.errors import ConfigError
from tests.agent.boards import BOARDS, board

FOUR = [0, 1, 2, 3]
FP16_DOT = ["neon", "fp16_arith", "dotprod"]
# vcgencmd_pmic_read_adc.load.txt: the twelve rails with a current, each times its voltage.
PI5_WATTS = (
    0.0 * 3.79999600
    + 0.06245952 * 3.30632200
    + 0.16102850 * 1.79828900
    + 0.00780744 * 1.10292900
    + 0.0 * 0.60476130
    + 0.17566740 * 1.10439400
    + 0.32791250 * 0.80256330
    + 10.87674000 * 0.89745940
    + 0.00036630 * 3.30494200
    + 0.00042735 * 3.30219400
    + 0.00579975 * 0.79736190
    + 0.01367520 * 5.07056000
)

EXPECTED: dict[str, dict[str, Any]] = {
    "jetson-agx-orin": {
        "profile": "jetson-agx-orin",
        "clusters": [
            ("cortex-a78ae", FOUR),
            ("cortex-a78ae", [4, 5, 6, 7]),
            ("cortex-a78ae", [8, 9, 10, 11]),
        ],
        "max_hz": 2201.6e6,
        "features": FP16_DOT,
        "core_sets": {"all", "cluster0", "cluster1", "cluster2"},
        # 19.984 V x 0.240 A + 19.984 V x 0.080 A + 5.056 V x 0.740 A; VDDQ_VDD2_1V8AO is a branch.
        "power": {"ina3221_hwmon": ("module", 4.79616 + 1.59872 + 3.74144)},
        "rails": ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"],
        "throttle": {"soctherm_oc"},
    },
    "jetson-nano": {
        "profile": "jetson-nano",
        "clusters": [("cortex-a57", FOUR)],
        "max_hz": 1479e6,
        "features": ["neon"],
        "core_sets": {"all", "cluster0"},
        "power": {"ina3221_iio": ("module", 2.132)},
        "rails": ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"],
        "throttle": set(),
    },
    "jetson-orin-nano": {
        "profile": "jetson-orin-nano",
        "clusters": [("cortex-a78ae", FOUR), ("cortex-a78ae", [4, 5])],
        "max_hz": 1728e6,
        "features": FP16_DOT,
        "core_sets": {"all", "cluster0", "cluster1"},
        # VDD_IN only: 4.992 V x 0.968 A.
        "power": {"ina3221_hwmon": ("module", 4.832256)},
        "rails": ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"],
        "throttle": {"soctherm_oc"},
    },
    "kunpeng920-2s": {
        "profile": "kunpeng920-server",
        "clusters": [("tsv110", list(range(start, start + 32))) for start in (0, 32, 64, 96)],
        "max_hz": 2600e6,
        "features": [*FP16_DOT, "fp16_to_fp32_fma"],
        "core_sets": {"all", *(f"cluster{n}" for n in range(32)), *(f"node{n}" for n in range(4))},
        "power": {"ipmi_dcmi": ("machine", 276.0)},
        "rails": [],
        "throttle": set(),
        # 131732940 + 132117940 + 132117936 + 131062408 kB
        "memory": 527031224 * 1024,
    },
    "rpi-zero2w-32bit": {
        "profile": "rpi-zero2w",
        "clusters": [("cortex-a53", FOUR)],
        "max_hz": 1000e6,
        "features": ["neon"],
        "core_sets": {"all", "cluster0"},
        "power": {},
        "throttle": {"get_throttled", "rpi_volt"},
        "arch": "armv7l",
    },
    "rpi4b": {
        "profile": "rpi4b",
        "clusters": [("cortex-a72", FOUR)],
        "max_hz": 1800e6,
        "features": ["neon"],
        "core_sets": {"all", "cluster0"},
        "power": {},
        "throttle": {"get_throttled", "rpi_volt"},
    },
    "rpi5": {
        "profile": "rpi5",
        "clusters": [("cortex-a76", FOUR)],
        "max_hz": 2400e6,
        "features": FP16_DOT,
        "core_sets": {"all", "cluster0"},
        "power": {"pmic": ("PMIC rails", PI5_WATTS)},
        "throttle": {"get_throttled", "rpi_volt"},
    },
    "vm-arm64-altra": {
        "profile": "ampere-altra",
        "clusters": [("neoverse-n1", [0, 1])],
        "max_hz": None,
        "features": FP16_DOT,
        "core_sets": {"all", "cluster0"},
        "power": {},
        "throttle": set(),
    },
    "vm-bare": {
        "profile": "generic",
        "clusters": [(None, [0, 1])],
        "max_hz": None,
        "features": ["avx2", "fma", "f16c"],
        "core_sets": {"all", "cluster0"},
        "power": {},
        "throttle": set(),
        "arch": "x86_64",
    },
    "x86-rapl": {
        "profile": "x86-rapl",
        "clusters": [(None, FOUR)],
        "max_hz": 3400e6,
        "features": ["avx2", "fma", "f16c", "avx_vnni"],
        "core_sets": {"all", "cluster0"},
        "power": {"rapl": ("package", None)},
        "rails": ["package-0"],
        "throttle": {"thermal_throttle"},
        "arch": "x86_64",
    },
}
for _name in ("orangepi5", "rock-5b"):
    EXPECTED[_name] = {
        "profile": "rk3588",
        "clusters": [("cortex-a55", FOUR), ("cortex-a76", [4, 5]), ("cortex-a76", [6, 7])],
        "max_hz": 2400e6,
        "features": FP16_DOT,
        "core_sets": {"all", "big", "little", "cluster0", "cluster1", "cluster2"},
        "power": {},
        "throttle": {"cooling_device"},
    }


@pytest.fixture(params=sorted(EXPECTED), name="case")
def _case(request: pytest.FixtureRequest) -> tuple[Capabilities, dict[str, Any]]:
    return read_capabilities(root=board(request.param)), EXPECTED[request.param]


def test_every_recorded_board_is_expected() -> None:
    assert {path.name for path in BOARDS.iterdir() if path.is_dir()} == set(EXPECTED)


def test_identity_and_processor(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, expected = case
    assert found.profile == expected["profile"]
    assert found.arch == expected.get("arch", "aarch64")
    assert [(cluster.core, cluster.cpus) for cluster in found.cpu.clusters] == expected["clusters"]
    assert found.cpu.clusters[-1].max_hz == expected["max_hz"]
    assert found.cpu.features == expected["features"]
    assert found.memory_bytes == expected.get("memory")


def test_core_sets(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, expected = case
    assert set(found.core_sets) == expected["core_sets"]
    assert found.core_sets["all"] == [cpu for _, cpus in expected["clusters"] for cpu in cpus]


def test_power(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, expected = case
    usable = {source.source: source for source in found.power if source.available}
    assert {name: source.scope for name, source in usable.items()} == {
        name: scope for name, (scope, _) in expected["power"].items()
    }
    for name, (_, watts) in expected["power"].items():
        assert usable[name].watts == (None if watts is None else pytest.approx(watts, rel=1e-9))
        assert usable[name].rails == expected.get("rails", usable[name].rails)
    assert all(source.reason for source in found.power if not source.available)
    assert all(source.watts is None for source in found.power if not source.available)


def test_throttle(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, expected = case
    assert {source.source for source in found.throttle if source.available} == expected["throttle"]


def test_runtimes_are_not_probed(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, _ = case
    assert found.runtimes
    assert {(runtime.available, runtime.reason) for runtime in found.runtimes} == {(False, RECORDED)}


def test_it_is_json(case: tuple[Capabilities, dict[str, Any]]) -> None:
    found, _ = case
    assert msgspec.json.decode(msgspec.json.encode(found), type=Capabilities) == found


def test_sets_of_an_rk3588() -> None:
    found = read_capabilities(root=board("rock-5b")).core_sets
    assert (found["big"], found["little"]) == ([4, 5, 6, 7], FOUR)
    assert (found["cluster1"], found["cluster2"]) == ([4, 5], [6, 7])


def test_sets_of_a_kunpeng() -> None:
    found = read_capabilities(root=board("kunpeng920-2s")).core_sets
    assert found["node1"] == list(range(32, 64))
    assert (found["cluster0"], found["cluster31"]) == (FOUR, [124, 125, 126, 127])


@pytest.mark.parametrize("name", ["rock-5b", "orangepi5"])
def test_usb_pd_contract_is_named_and_never_read(name: str) -> None:
    (trap,) = [each for each in read_capabilities(root=board(name)).power if each.source == "usb_pd_contract"]
    assert not trap.available
    assert trap.watts is None
    assert "contract" in (trap.reason or "")


def test_l4t_release_is_the_system() -> None:
    assert read_capabilities(root=board("jetson-orin-nano")).os == "L4T 36.4.3"


def test_a_folder_that_is_no_board_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a recorded board") as caught:
        read_capabilities(root=BOARDS)
    assert caught.value.code == "board.tree"
