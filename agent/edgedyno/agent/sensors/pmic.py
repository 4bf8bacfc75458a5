"""The power management chip of a Raspberry Pi 5, from `vcgencmd pmic_read_adc`.

Rails are paired by name (NAME_A with NAME_V), never by number or order, and no fixed set is asked for: 0V8_SW
is called 0V8_SYS by other firmware. What hangs on the 5 V input beside the PMIC (USB, HATs, fan) is not
in it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import read_text
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

# VDD_CORE_A, the largest rail, is a multiple of 0.375 A in both public captures (0.75012 and 10.87674 A); its
# step is taken to be that, at 0.9 V.
STEP_WATTS = 0.34
_LINE = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt)\(\d+\)=(-?[\d.]+)[AV]\s*$", re.MULTILINE)


class Pmic:
    """The sum of the rails that have both a current and a voltage."""

    spec = SensorSpec(
        source="pmic", scope="PMIC rails", kind="sampled", min_window_seconds=60.0, max_rate_hertz=10.0
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule

    def probe(self) -> Available | Unavailable:
        """Ask the firmware once, on a Raspberry Pi only."""
        tree = read_text(self._place.path("proc/device-tree/compatible")) or ""
        if not tree.startswith("raspberrypi,"):
            return Unavailable("not a Raspberry Pi")
        rails = self._rails()
        if isinstance(rails, Unavailable):
            return rails
        return Available(
            scope=self._rule.scope if self._rule else self.spec.scope,
            rails=sorted(rails, key=lambda name: -rails[name]),
            period_seconds=None,
            resolution=STEP_WATTS,
        )

    def _rails(self) -> dict[str, float] | Unavailable:
        printed = self._place.tools.run("vcgencmd", "pmic_read_adc")
        if printed.text is None:
            return Unavailable(printed.reason or "vcgencmd printed nothing")
        return parse_rails(printed.text)

    def read(self) -> Reading | Unavailable:
        """Ask the firmware now; one call is one conversion of every rail."""
        before = time.monotonic()
        rails = self._rails()
        at_seconds = (before + time.monotonic()) / 2
        if isinstance(rails, Unavailable):
            return rails
        return Reading(at_seconds, sum(rails.values()), tuple(rails.values()))


def parse_rails(text: str) -> dict[str, float] | Unavailable:
    """Return watts by rail; a current without its voltage means that the text was cut off."""
    found: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for name, kind, number in _LINE.findall(text):
        found[kind][name] = float(number)
    if not found["A"]:
        line = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        return Unavailable(f"vcgencmd pmic_read_adc gave no current: {line[:120]}")
    alone = sorted(found["A"].keys() - found["V"].keys())
    if alone:
        return Unavailable(
            f"vcgencmd pmic_read_adc gave no voltage for {', '.join(alone)}: its text was cut off"
        )
    return {name: amperes * found["V"][name] for name, amperes in found["A"].items()}
