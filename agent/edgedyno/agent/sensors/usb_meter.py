"""A USB power meter between supply and board: Ruideng TC66 and TC66C, by the library tc66-serial.

The library is the extra `tc66`; every vendor call is behind `_open`. Its serial port is asked at each reading.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.extras import TC66, load

if TYPE_CHECKING:
    from edgedyno.core.meters import MeterSettings

STEP_WATTS = 1e-4  # The meter's own last digit.
ANSWER_SECONDS = 1.0


class Tc66:
    """One TC66 on a serial port."""

    def __init__(self, settings: MeterSettings) -> None:
        self._port = settings.port or ""
        self.spec = SensorSpec(
            source="tc66",
            scope=settings.scope or "DC input",
            kind="sampled",
            min_window_seconds=20.0,
            max_rate_hertz=5.0,
        )
        self._client: Any = None

    def probe(self) -> Available | Unavailable:
        """Open the port and read once."""
        reading = self.read()
        if isinstance(reading, Unavailable):
            return reading
        return Available(self.spec.scope, [], period_seconds=None, resolution=STEP_WATTS)

    def read(self) -> Reading | Unavailable:
        """Ask the meter now."""
        if self._client is None:
            opened = _open(self._port)
            if isinstance(opened, Unavailable):
                return opened
            self._client = opened
        before = time.monotonic()
        try:
            found = self._client.get_reading()
        except Exception as error:  # noqa: BLE001  (the library's own and pyserial's errors: the meter was pulled out)
            self.close()
            return Unavailable(f"{self._port}: {type(error).__name__}: {error}")
        if not found.pac1_checksum_valid:
            return Unavailable(f"{self._port}: the meter's answer does not fit its checksum")
        if not 0 < found.power <= PLAUSIBLE_WATTS:
            return Unavailable(f"{self._port}: the meter says {found.power} W, which cannot be")
        mark = (found.power, found.voltage, found.current, found.group0_mwh)
        return Reading((before + time.monotonic()) / 2, found.power, mark)

    def close(self) -> None:
        """Close the port."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()


def _open(port: str) -> Any | Unavailable:
    library: Any = load(TC66, "the configuration names a TC66, which needs")
    if isinstance(library, Unavailable):
        return library
    try:
        client = library.Tc66Client(port, timeout=ANSWER_SECONDS)
        client.connect()
    except Exception as error:  # noqa: BLE001  (pyserial's errors, which are not ours to import)
        return Unavailable(f"{port}: {error}")
    return client
