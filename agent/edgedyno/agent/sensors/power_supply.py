"""Batteries and measuring USB inputs of /sys/class/power_supply.

A battery counts while it discharges: then its power is all that the machine takes. Most supplies of type USB tell
the contract that was negotiated (tcpm-source-psy, ucsi-source-psy), which is the same idle and under load: only
drivers that are known to measure are read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, read, read_float, read_text
from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

# X-Powers' chips have an ADC on the USB input (linux drivers/power/supply/axp20x_usb_power.c).
MEASURING_INPUTS = ("axp20x-usb", "axp813-usb", "axp22x-usb")
STEP_WATTS = 0.05  # of fuel gauges, which give some mA at some V; none states its step
CONTRACTS = ("tcpm", "ucsi")


class _Supply(NamedTuple):
    folder: str
    name: str
    scope: str


class PowerSupply:
    """The battery that feeds the machine, or its measured USB input."""

    spec = SensorSpec(
        source="power_supply",
        scope="battery output",
        kind="sampled",
        min_window_seconds=120.0,
        max_rate_hertz=2.0,
        lag_seconds=(0.0, 30.0),
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._base = place.path("sys/class/power_supply")
        self._rule = rule
        self._supply: _Supply | None = None

    def probe(self) -> Available | Unavailable:
        """Choose the one supply that measures, and read it once."""
        found = _choose(self._base)
        if isinstance(found, Unavailable):
            return found
        self._supply = found
        watts = _watts(found)
        if isinstance(watts, Unavailable):
            return watts
        scope = self._rule.scope if self._rule else found.scope
        return Available(scope, [found.name], period_seconds=None, resolution=STEP_WATTS)

    def read(self) -> Reading | Unavailable:
        """Read it now; a battery that began to charge gives no reading."""
        if self._supply is None:
            probed = self.probe()
            if isinstance(probed, Unavailable):
                return probed
        before = time.monotonic()
        watts = _watts(self._supply) if self._supply else Unavailable("no supply")
        at_seconds = (before + time.monotonic()) / 2
        return watts if isinstance(watts, Unavailable) else Reading(at_seconds, watts, watts)


def _choose(base: Path) -> _Supply | Unavailable:
    names = entries(base)
    kinds = {name: (read_text(base / name / "type") or "").lower() for name in names}
    inputs = [name for name in names if name.startswith(MEASURING_INPUTS)]
    batteries = [
        name
        for name in names
        if kinds[name] == "battery" and (read_text(base / name / "scope") or "System").lower() != "device"
    ]
    if inputs:
        return _Supply(str(base / inputs[0]), inputs[0], "DC input")
    if len(batteries) > 1:
        return Unavailable(f"{', '.join(batteries)} feed the machine together, in shares that nobody tells")
    if batteries:
        return _Supply(str(base / batteries[0]), batteries[0], "battery output")
    contracts = [name for name in names if name.startswith(CONTRACTS)]
    if contracts:
        return Unavailable(
            f"{contracts[0]} is a negotiated contract, the same idle and under load: no reading"
        )
    return Unavailable("no battery and no measuring input in /sys/class/power_supply")


def _watts(supply: _Supply) -> float | Unavailable:
    status = read_text(f"{supply.folder}/status")
    if supply.scope == "battery output" and status != "Discharging":
        return Unavailable(
            f"{supply.name} is {(status or 'in an unknown state').lower()}; it tells power on battery only"
        )
    power = read_float(f"{supply.folder}/power_now")
    if power is None:
        current, voltage = (read_float(f"{supply.folder}/{name}_now") for name in ("current", "voltage"))
        if current is None or voltage is None:
            why = read(f"{supply.folder}/current_now").reason or "not a number"
            return Unavailable(
                f"{supply.name} tells neither power_now nor current_now and voltage_now ({why})"
            )
        power = current * voltage / 1e6
    watts = abs(power) / 1e6  # Some drivers give what flows out of a battery as negative.
    if not 0 < watts <= PLAUSIBLE_WATTS:
        return Unavailable(f"{supply.name} says {watts:g} W, which cannot be while the machine runs")
    return watts
