"""Boards of one type are compared: the odd one is named with what differs, and equal ones are left in peace.

The results are made by a random number generator: scripted boards, measured nowhere.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from edgedyno.controller.lab.language import speaking
from edgedyno.controller.lab.siblings import Comparison, compare_boards, type_of
from edgedyno.controller.lab.siblings_text import comparison_lines
from edgedyno.core.board import Capabilities, Cluster, Cpu
from edgedyno.core.result import Conditions, EnergySummary, LatencySummary, Result, Validity

ERROR = 0.003  # of a median: an execution that reached a precision of 0.6 %


def capabilities(
    name: str = "Raspberry Pi 5 Model B Rev 1.0", profile: str = "rpi5", **changes: Any
) -> Capabilities:
    found = Capabilities(
        profile=profile,
        name=name,
        arch="aarch64",
        cpu=Cpu([Cluster([0, 1, 2, 3], "cortex-a76", 2.4e9)], ["neon", "fp16_arith", "dotprod"]),
        core_sets={"all": [0, 1, 2, 3]},
        memory_bytes=8 << 30,
        power=[],
        throttle=[],
        runtimes=[],
        kernel="6.6.31",
        os="Debian 12",
    )
    return replace(found, **changes)


def conditions(celsius: float = 58.0, **changes: Any) -> Conditions:
    found = Conditions(
        governor={"policy0": "performance"},
        frequency_hz={"policy0": 2.4e9},
        frequency_max_hz={"policy0": 2.4e9},
        temperature_celsius={"cpu-thermal": celsius},
        throttled=False,
        kernel="6.6.31",
    )
    return replace(found, **changes)


def result(board: str, trial: int, seconds: float, under: Conditions, **changes: Any) -> Result:
    spread = 1.959964 * ERROR
    made = Result(
        job="job",
        execution=f"job.{board}",
        attempt=1,
        board=board,
        model="model",
        trial=f"{trial}",
        variant_sha256=f"{trial % 3:064d}",
        format="onnx",
        runtime="onnxruntime",
        runtime_version="1.27.0",
        precision="int8",
        threads=1 + trial // 3,
        cores="all",
        status="ok",
        latency_seconds=LatencySummary(
            n=500,
            min=seconds * 0.95,
            p50=seconds,
            mean=seconds,
            p50_low=seconds * (1 - spread),
            p50_high=seconds * (1 + spread),
        ),
        conditions=under,
        validity=Validity(valid=True),
        started_at="2026-01-01T00:00:00Z",
        monotonic_seconds=0.0,
    )
    return replace(made, **changes)


def fleet(
    seed: int, names: list[str], *, trials: int = 4, slower: dict[str, float] | None = None, **odd: Conditions
) -> list[Result]:
    """Return equal boards' results, of which some are slower by a factor or ran under conditions of their own."""
    noise = random.Random(seed)
    return [
        result(
            name,
            trial,
            0.01 * (1 + trial) * (slower or {}).get(name, 1.0) * (1 + noise.gauss(0, ERROR)),
            odd.get(name, conditions(58 + noise.gauss(0, 1))),
        )
        for name in names
        for trial in range(trials)
    ]


def names(count: int) -> list[str]:
    return [f"pi{number}" for number in range(count)]


def found(results: list[Result], **changes: Capabilities) -> Comparison:
    boards = {name: capabilities() for name in dict.fromkeys(each.board for each in results)}
    return compare_boards(results, {**boards, **changes})


@pytest.mark.parametrize("count", [3, 5, 12])
def test_equal_boards_are_left_in_peace(count: int) -> None:
    alarms = [bool(found(fleet(seed, names(count))).outliers) for seed in range(60)]
    assert sum(alarms) / len(alarms) <= 0.05


@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_two_per_cent_outlier_is_named(count: int) -> None:
    cases = [fleet(seed, names(count), slower={"pi1": 1.02}) for seed in range(40)]
    named = [{each.board for each in found(case).outliers if each.quantity == "latency"} for case in cases]
    assert sum("pi1" in each for each in named) >= 0.9 * len(named)
    assert sum(bool(each - {"pi1"}) for each in named) <= 0.05 * len(named)


def test_the_bad_heat_sink_is_named_with_what_differs() -> None:
    hot = conditions(83.0, frequency_hz={"policy0": 2.2e9})
    seen = found(fleet(3, names(6), slower={"pi4": 1.02}, pi4=hot))
    by_quantity = {each.quantity: each for each in seen.outliers}
    assert {each.board for each in seen.outliers} == {"pi4"}
    assert set(by_quantity) == {"latency", "temperature"}
    slow = by_quantity["latency"]
    assert slow.low is not None
    assert slow.low < (slow.difference or 0) < (slow.high or 0)
    assert slow.difference == pytest.approx(0.02, abs=0.008)
    assert {each.condition: each.here for each in slow.differs} == {
        "temperature": "83 °C",
        "lowest clock": "2200 MHz",
    }
    lines = list(comparison_lines(seen))
    assert lines[0].startswith("pi4 is ")
    assert "slower than its 5 siblings" in lines[0]
    assert any(line.startswith("  differs: temperature 83 °C, siblings 5") for line in lines)
    assert any("hotter than its 5 siblings, at 83 °C" in line for line in lines)


@pytest.mark.parametrize(
    ("under", "board", "condition", "here", "siblings"),
    [
        ({"governor": {"policy0": "powersave"}}, {}, "governor", "powersave", ["performance"]),
        ({"frequency_max_hz": {"policy0": 1.5e9}}, {}, "clock limit", "1500 MHz", ["2400 MHz"]),
        ({"kernel": "6.1.0"}, {}, "kernel", "6.1.0", ["6.6.31"]),
        ({"power_mode": "15W"}, {}, "power mode", "15W", ["none"]),
        ({"foreign_cpu_ratio": 0.2}, {}, None, "", []),
        ({}, {"memory_bytes": 4 << 30}, "memory", "4.3 GB", ["8.6 GB"]),
    ],
)
def test_each_condition_that_differs_is_named(
    under: dict[str, Any], board: dict[str, Any], condition: str | None, here: str, siblings: list[str]
) -> None:
    results = fleet(5, names(4), slower={"pi2": 1.3}, pi2=conditions(**under))
    (outlier,) = found(results, pi2=capabilities(**board)).outliers
    differs = {each.condition: (each.here, each.siblings) for each in outlier.differs}
    # What the siblings do not tell cannot be another condition than theirs.
    assert differs == ({condition: (here, siblings)} if condition else {})


def test_a_board_without_any_difference_says_so() -> None:
    lines = list(comparison_lines(found(fleet(5, names(4), slower={"pi2": 1.3}))))
    assert "nothing that is recorded differs" in lines[1]


def test_types_are_not_mixed() -> None:
    """Two Jetsons that are slower than four Pis are no outliers, and too few for siblings of their own."""
    results = fleet(7, [*names(4), "j0", "j1"], slower={"j0": 3.0, "j1": 3.0})
    jetson = capabilities("NVIDIA Jetson Nano Developer Kit", "jetson-nano")
    seen = found(results, j0=jetson, j1=jetson)
    assert seen.outliers == []
    assert seen.compared == names(4)
    assert seen.alone == dict.fromkeys(("j0", "j1"), "there are 2 boards of its type, expected 3")


def test_several_types_each_with_an_outlier() -> None:
    groups = {
        "pi": capabilities(),
        "rock": capabilities("Radxa ROCK 5B", "rk3588"),
        "server": capabilities("Huawei TaiShan 200 (Model 2280)", "kunpeng920-server"),
    }
    boards = {f"{kind}{number}": found for kind, found in groups.items() for number in range(4)}
    results = fleet(11, list(boards), slower={"pi0": 1.05, "rock1": 1.05, "server2": 1.05})
    seen = compare_boards(results, boards)
    assert {each.board for each in seen.outliers} == {"pi0", "rock1", "server2"}
    assert all(len(each.siblings) == 3 for each in seen.outliers)


def test_two_odd_boards_do_not_hide_each_other() -> None:
    seen = found(fleet(13, names(8), slower={"pi1": 1.1, "pi5": 1.1}))
    assert {each.board for each in seen.outliers} == {"pi1", "pi5"}


def test_a_faster_board_is_no_trouble() -> None:
    assert found(fleet(17, names(5), slower={"pi1": 0.9})).outliers == []


def test_a_hungry_board_is_named_and_scopes_are_not_mixed() -> None:
    def metered(board: str, joules: float, scope: str) -> Result:
        energy = EnergySummary(joules, joules * 0.99, joules * 1.01, None, "plug", scope)
        return result(board, 0, 0.01, conditions(), energy_joules_per_inference=energy)

    wall = [metered(f"pi{number}", 0.1 * (1.2 if number == 0 else 1.0), "wall") for number in range(4)]
    (outlier,) = found(wall).outliers
    assert (outlier.board, outlier.quantity) == ("pi0", "energy")
    assert outlier.difference == pytest.approx(0.2)
    mixed = [metered("pi0", 0.3, "package"), *wall[1:]]
    assert found(mixed).outliers == []


def test_the_only_board_that_throttles_is_named_though_its_results_are_void() -> None:
    void = Validity(valid=False, reasons=["throttle flag set: throttled"])
    results = [
        replace(each, validity=void) if each.board == "pi1" else each
        for each in fleet(19, names(4), pi1=conditions(59, throttled=True))
    ]
    (outlier,) = found(results).outliers
    assert (outlier.board, outlier.quantity, outlier.trials) == ("pi1", "throttling", 4)
    assert "throttles while its 3 siblings do not" in next(iter(comparison_lines(found(results))))


def test_void_and_failed_results_are_never_compared() -> None:
    void = Validity(valid=False, reasons=["the system clock was stepped"])
    results = [
        replace(each, validity=void) if each.board == "pi1" else each
        for each in fleet(23, names(3), slower={"pi1": 2.0})
    ]
    assert found(results).outliers == []
    failed = [replace(each, status="failed", latency_seconds=None) for each in fleet(23, names(3))]
    assert found(failed).compared == []


def test_nothing_to_compare() -> None:
    assert compare_boards([], {}) == Comparison([], [], {}, 0)
    lonely = fleet(1, ["pi0"])
    assert list(comparison_lines(found(lonely))) == [
        "pi0 is not compared: there are 1 boards of its type, expected 3"
    ]
    assert compare_boards(lonely, {}).alone == {"pi0": "what is on this board is not known"}


def test_a_revision_is_no_type_of_its_own() -> None:
    assert type_of(capabilities()) == type_of(capabilities("Raspberry Pi 5 Model B Rev 1.1"))
    assert type_of(capabilities()) != type_of(capabilities(profile="rpi4b"))


def test_it_speaks_other_languages_where_they_have_it() -> None:
    with speaking("zh"):
        assert next(iter(comparison_lines(found(fleet(5, names(4), slower={"pi2": 1.3})))))
