"""The line on energy that a run ends with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from edgedyno.agent.measure.meter import open_meter
from edgedyno.agent.sensors.base import Unavailable
from edgedyno.cli.energy import energy_line
from edgedyno.core.result import EnergySummary
from tests.agent.boards import board

if TYPE_CHECKING:
    from edgedyno.core.result import Result


def result(value: float | None, reason: str | None = None, **extra: str) -> Result:
    energy = EnergySummary(value, value - 0.01, value + 0.01, 0.2, "tasmota", "wall") if value else None
    fields = {"energy_joules_per_inference": energy, "energy_joules_per_inference_reason": reason}
    conditions = SimpleNamespace(extra=extra)
    return cast("Result", SimpleNamespace(**fields, conditions=conditions))


def test_the_least_with_its_interval_source_and_scope() -> None:
    line = energy_line([result(0.5), result(0.25), result(None, "too short")])
    assert line.startswith("energy: 2 of 3 trials metered by tasmota, scope wall; the least is 250 mJ")
    assert "[240 mJ, 260 mJ]" in line


def test_a_doubt_is_told_once() -> None:
    doubt = "ina2xx says 5 W and tc66 9 W of the same DC input: one of them is wrong"
    line = energy_line([result(0.5, power_doubt=doubt), result(0.25, power_doubt=doubt)])
    assert line.endswith(f"; 2 with a doubt: {doubt}")


def test_a_board_without_a_sensor_is_told_what_to_add() -> None:
    found = open_meter(board("vm-bare"))
    assert isinstance(found, Unavailable)
    line = energy_line([result(None, found.reason)])
    assert line.startswith(
        "energy: not measured (no power sensor: this board has none; add a plug with `power:"
    )


def test_no_results() -> None:
    assert energy_line([]) == "energy: not measured (no trial has a result)"
