"""An NVIDIA card's own power by NVML (nvidia-ml-py): the energy counter where it has one, else watts.

The card alone: processor, memory and board are not in it. Jetson modules have no NVML power; their rails are read
by INA3221. The library is the extra `nvml`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.extras import NVML, load

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

# nvmlDeviceGetTotalEnergyConsumption counts mJ (Volta and later) and moves about every 20 to 100 ms; Yang, Adamek
# and Armour, "Part-time Power Measurements" (SC 2024), found 100 ms on most cards.
COUNTER_SECONDS = 0.1
COUNTER_STEP_JOULES = 1e-3
STEP_WATTS = 1e-3
NODES = ("dev/nvidia0",)


class Nvml:
    """The first card, if there is one only."""

    spec = SensorSpec(
        source="nvml", scope="GPU", kind="counter", min_window_seconds=10.0, max_rate_hertz=20.0
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule
        self._library: Any = None
        self._card: Any = None
        self._start: float | None = None
        self._last = 0.0

    def probe(self) -> Available | Unavailable:
        """Load the library where there is a card, and read once."""
        if self._place.recorded or not any(self._place.path(node).exists() for node in NODES):
            return Unavailable("no NVIDIA card: /dev/nvidia0 is absent")
        library = load(NVML, "an NVIDIA card is here, and NVML needs")
        if isinstance(library, Unavailable):
            return library
        self._library = library
        try:
            return self._open()
        except self._library.NVMLError as error:
            return Unavailable(f"NVML: {error}")

    def _open(self) -> Available | Unavailable:
        library = self._library
        library.nvmlInit()
        count = library.nvmlDeviceGetCount()
        if count != 1:
            return Unavailable(f"{count} NVIDIA cards; which of them runs the model is not known")
        self._card = library.nvmlDeviceGetHandleByIndex(0)
        counts = self._counts()
        self.spec = replace(self.spec, kind="counter" if counts else "sampled")
        if not counts:
            library.nvmlDeviceGetPowerUsage(self._card)
        return Available(
            scope=self._rule.scope if self._rule else self.spec.scope,
            rails=[],
            period_seconds=COUNTER_SECONDS if counts else None,
            resolution=COUNTER_STEP_JOULES if counts else STEP_WATTS,
        )

    def _counts(self) -> bool:
        try:
            self._library.nvmlDeviceGetTotalEnergyConsumption(self._card)
        except self._library.NVMLError:
            return False
        return True

    def read(self) -> Reading | Unavailable:
        """Read the counter, or watts."""
        if self._card is None:
            probed = self.probe()
            if isinstance(probed, Unavailable):
                return probed
        before = time.monotonic()
        try:
            if self.spec.kind == "counter":
                value = self._library.nvmlDeviceGetTotalEnergyConsumption(self._card) / 1000
            else:
                value = self._library.nvmlDeviceGetPowerUsage(self._card) / 1000
        except self._library.NVMLError as error:
            return Unavailable(f"NVML: {error}")
        at_seconds = (before + time.monotonic()) / 2
        if self.spec.kind == "sampled":
            return self._sampled(at_seconds, value)
        if self._start is None or value < self._last:
            restarted, self._start, self._last = self._start is not None, value, value
            if restarted:
                return Unavailable("NVML's energy counter went backwards: the driver was loaded anew")
        self._last = value
        return Reading(at_seconds, value - self._start, value)

    def _sampled(self, at_seconds: float, watts: float) -> Reading | Unavailable:
        if not 0 < watts <= PLAUSIBLE_WATTS:
            return Unavailable(f"NVML says {watts:g} W, which cannot be")
        return Reading(at_seconds, watts, watts)
