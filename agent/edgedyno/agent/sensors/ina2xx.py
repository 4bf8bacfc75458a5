"""INA219, 220, 226, 230, 231, 237, 238 and 260 by hwmon: one rail a chip, power1_input in microwatts.

Which chip sits on which rail is known to the board's profile alone: a chip is called by its label, else by its
name and its bus address; a board's only chip by the profile's only rail. One chip alone without a profile is taken
to be the whole that it is wired to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, read_float, read_text
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.rails import Rail, describe, take

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

# A step of the shunt's voltage and of power in steps of current: linux drivers/hwmon/ina2xx.c and ina238.c.
_FINE, _COARSE, _WIDE = (2.5e-6, 25.0), (10e-6, 20.0), (5e-6, 0.8)
STEPS = {
    **dict.fromkeys(("ina219", "ina220"), _COARSE),
    **dict.fromkeys(("ina226", "ina230", "ina231", "ina234", "sy24655"), _FINE),
    **dict.fromkeys(("ina237", "ina238"), _WIDE),
}
INA260_STEP_WATTS = 0.01  # Its shunt is inside: 10 mW a step (TI INA260 data sheet SBOS656C).
SHUNT_DEFAULT_OHMS = 0.01  # The drivers' own default.
# A conversion takes up to 68 ms with the driver's settings (INA2XX_MAX_DELAY in ina2xx.c).
CONVERSION_SECONDS = 0.069


class _Chip(NamedTuple):
    folder: str
    kind: str
    rail: str


class Ina2xx:
    """All such chips of the board as one source."""

    spec = SensorSpec(
        source="ina2xx", scope="DC input", kind="sampled", min_window_seconds=10.0, max_rate_hertz=30.0
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule
        self._chips: list[_Chip] | None = None

    def probe(self) -> Available | Unavailable:
        """Find the chips and read each once."""
        self._chips = _find_chips(self._place)
        if not self._chips:
            return Unavailable("no INA2xx in /sys/class/hwmon")
        rails = self._rails()
        if self._rule is None and len(self._chips) == 1 and rails:
            self._rule = _alone(self._chips[0])
        elif self._rule is not None and len(self._rule.total) == len(self._chips) == 1:
            # The profile says what the board's only chip meters; drivers give a label on few boards.
            self._chips = [self._chips[0]._replace(rail=self._rule.total[0])]
            rails = self._rails()
        periods = [read_float(f"{chip.folder}/update_interval") for chip in self._chips]
        slowest = max((period / 1000 for period in periods if period), default=0.0)
        return describe(
            rails,
            self._rule,
            scope=self.spec.scope,
            period_seconds=max(slowest, CONVERSION_SECONDS),
        )

    def _rails(self) -> dict[str, Rail]:
        read = {chip.rail: _read_chip(chip) for chip in self._chips or []}
        return {name: rail for name, rail in read.items() if rail is not None}

    def read(self) -> Reading | Unavailable:
        """Read every chip, so that parts are held against their total each time."""
        if self._chips is None:
            probed = self.probe()
            if isinstance(probed, Unavailable):
                return probed
        return take(self._rails, self._rule)


def _alone(chip: _Chip) -> PowerRule:
    from edgedyno.agent.host.profile import PowerRule

    return PowerRule(source="ina2xx", scope=f"rail of {chip.rail}", total=[chip.rail])


def _find_chips(place: Place) -> list[_Chip]:
    base = place.path("sys/class/hwmon")
    chips = []
    for name in entries(base):
        kind = (read_text(base / name / "name") or "").lower()
        if kind in STEPS or kind == "ina260":
            chips.append(_Chip(str(base / name), kind, _rail_name(base / name, kind)))
    return chips


def _rail_name(folder: Path, kind: str) -> str:
    for file in ("label", "power1_label", "in1_label", "device/of_node/label"):
        label = read_text(folder / file)
        if label:
            return label
    address = (read_text(folder / "device/uevent") or "").partition("OF_FULLNAME=")[2].partition("@")[2]
    return f"{kind}@{address.split()[0]}" if address else f"{kind} {folder.name}"


def _read_chip(chip: _Chip) -> Rail | None:
    microwatts = read_float(f"{chip.folder}/power1_input")
    if microwatts is None or microwatts < 0:
        return None
    return Rail(microwatts / 1e6, _step_watts(chip))


def _step_watts(chip: _Chip) -> float:
    if chip.kind == "ina260":
        return INA260_STEP_WATTS
    shunt = read_float(f"{chip.folder}/shunt_resistor")
    ohms = shunt / 1e6 if shunt and shunt > 0 else SHUNT_DEFAULT_OHMS
    volts, factor = STEPS[chip.kind]
    return factor * volts / ohms
