"""The ACPI power meter (ACPI000D) of servers: an average over an interval that the firmware states."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, read, read_float, read_int, read_text
from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

STEP_WATTS = 1.0  # Firmware reports whole watts or coarser.


class AcpiPowerMeter:
    """One power meter of the machine."""

    spec = SensorSpec(
        source="acpi_power_meter",
        scope="machine",
        kind="sampled",
        min_window_seconds=120.0,
        max_rate_hertz=4.0,
        lag_seconds=(0.0, 30.0),
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule
        self._folder: str | None = None

    def probe(self) -> Available | Unavailable:
        """Find the meter and read it once."""
        folders = _find(self._place)
        if not folders:
            return Unavailable("no ACPI power meter in /sys/class/hwmon")
        if len(folders) > 1:
            return Unavailable(f"{len(folders)} ACPI power meters, and not known whether they add up")
        self._folder = folders[0]
        if read_int(f"{self._folder}/power1_is_battery") == 1:
            return Unavailable("the ACPI power meter measures a battery")
        watts = self._watts()
        if isinstance(watts, Unavailable):
            return watts
        interval_ms = read_float(f"{self._folder}/power1_average_interval")
        return Available(
            scope=self._rule.scope if self._rule else self.spec.scope,
            rails=[],
            period_seconds=interval_ms / 1000 if interval_ms and interval_ms > 0 else None,
            resolution=STEP_WATTS,
        )

    def _watts(self) -> float | Unavailable:
        content = read(f"{self._folder}/power1_average")
        microwatts = read_float(f"{self._folder}/power1_average")
        if microwatts is None:
            return Unavailable(f"power1_average: {content.reason or f'not a number: {content.text!r}'}")
        watts = microwatts / 1e6
        if not 0 < watts <= PLAUSIBLE_WATTS:
            return Unavailable(
                f"power1_average says {watts:.0f} W, which cannot be (0xffffffff mW is a known fault)"
            )
        return watts

    def read(self) -> Reading | Unavailable:
        """Read the average over the meter's last interval."""
        if self._folder is None:
            probed = self.probe()
            if isinstance(probed, Unavailable):
                return probed
        before = time.monotonic()
        watts = self._watts()
        at_seconds = (before + time.monotonic()) / 2
        return watts if isinstance(watts, Unavailable) else Reading(at_seconds, watts, watts)


def _find(place: Place) -> list[str]:
    base = place.path("sys/class/hwmon")
    folders = []
    for name in entries(base):
        if read_text(base / name / "name") == "power_meter":
            # The driver keeps its files at the ACPI device, not in the hwmon folder (lm-sensors issue 460).
            inner = base / name / "device"
            folders.append(str(inner if "power1_average" in entries(inner) else base / name))
    return folders
