"""The contract of a power sensor. One module, one entry point of the group `edgedyno.sensors`, for each.

An entry point names a callable that takes a Place and the board's PowerRule for this source, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

# A board or a machine with one power supply draws less. 0xffffffff mW, a known wrong answer, is above it.
PLAUSIBLE_WATTS = 20_000.0


class SensorSpec(Struct, frozen=True):
    """What is known about a source before any board is seen."""

    source: str
    scope: str
    """What it usually meters; a board's profile may know better."""
    kind: Literal["counter", "sampled"]
    """A counter adds up joules by itself; a sampled source gives watts, to be integrated."""
    min_window_seconds: float
    """The shortest window that may give an energy (docs/method.md)."""
    lead_seconds: float = 0.0
    """What to leave out at a window's start, because the source averages over the past."""
    max_rate_hertz: float | None = None
    """Asking more often costs more than it tells."""
    lag_seconds: tuple[float, float] | None = None
    """Between which bounds its answer to a step may be late, to be fitted on each run; None: it is prompt."""


class Available(Struct, frozen=True):
    """A sensor that gave a reading just now."""

    scope: str
    """What is metered: package, module, PMIC rails, DC input, machine, wall. Never compared across scopes."""
    rails: list[str]
    """Rails that can be read, those that make up the total first."""
    period_seconds: float | None
    """Time between updates; None where the source does not tell."""
    resolution: float
    """Smallest step of the value: watts of a sampled source, joules of a counter."""


class Unavailable(Struct, frozen=True):
    """Why a sensor cannot be used, or why it gave no reading this time."""

    reason: str


class Reading(NamedTuple):
    """One reading."""

    at_seconds: float
    """On the monotonic clock: the source's own stamp, else the middle of the read."""
    value: float
    """Watts of a sampled source; of a counter joules since its first reading, wraps accounted for."""
    mark: Hashable
    """Changes with every update of the sensor, so that updates can be counted."""


class Sensor(Protocol):
    """A power sensor."""

    spec: SensorSpec

    def probe(self) -> Available | Unavailable:
        """Look and read once; changes nothing."""

    def read(self) -> Reading | Unavailable:
        """Read now. Cheap enough for the sensor's own rate; raises nothing for what a board may do."""


@runtime_checkable
class Recorder(Protocol):
    """A sensor that keeps every reading it gets by itself: nothing is lost between two calls of `read`."""

    def between(self, start_seconds: float, stop_seconds: float) -> list[Reading]:
        """Return the readings with stamps in this span of the monotonic clock, as far as they have come."""

    def close(self) -> None:
        """Give back what it holds: a connection, a file, a port."""


def close_sensor(sensor: object) -> None:
    """Give back what a sensor holds, if it holds anything."""
    if isinstance(sensor, Recorder):
        sensor.close()


class SensorFactory(Protocol):
    """What an entry point names."""

    def __call__(self, place: Place, rule: PowerRule | None) -> Sensor:
        """Make the sensor for a place; nothing is read yet."""
