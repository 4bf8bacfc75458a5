"""The BMC's reading of the whole machine, by `ipmitool dcmi power reading`, or by pyghmi where that is absent."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors import ipmi_native
from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

STEP_WATTS = 1.0
RAW_BYTES = 17
DEVICES = ("dev/ipmi0", "dev/ipmi/0", "dev/ipmidev/0")
_WATTS = re.compile(r"Instantaneous power reading:\s+(\d+) Watts")
_STAMP = re.compile(r"IPMI timestamp:\s+(.+?)\s*$", re.MULTILINE)
_PERIOD = re.compile(r"Sampling period:\s+(\d+) (Seconds|Milliseconds|Minutes)")
_STATE = re.compile(r"Power reading state is:\s+(\w+)")
_UNITS = {"Seconds": 1.0, "Milliseconds": 0.001, "Minutes": 60.0}


class IpmiDcmi:
    """DCMI power of the machine, in whole watts, averaged by the BMC over an unknown time."""

    spec = SensorSpec(
        source="ipmi_dcmi",
        scope="machine",
        kind="sampled",
        min_window_seconds=180.0,
        lead_seconds=30.0,
        max_rate_hertz=1.0,
        lag_seconds=(0.0, 30.0),
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule

    def probe(self) -> Available | Unavailable:
        """Ask the BMC once, where there is one."""
        if not self._place.recorded and not any(self._place.path(device).exists() for device in DEVICES):
            return Unavailable("no BMC: /dev/ipmi0 is absent")
        answer = self._ask()
        if isinstance(answer, Unavailable):
            return answer
        return Available(
            scope=self._rule.scope if self._rule else self.spec.scope,
            rails=[],
            period_seconds=answer.period_seconds,
            resolution=STEP_WATTS,
        )

    def _ask(self) -> Answer | Unavailable:
        printed = self._place.tools.run("ipmitool", "dcmi", "power", "reading")
        if printed.text is not None:
            return parse_answer(printed.text)
        if self._place.recorded or "not installed" not in (printed.reason or ""):
            return Unavailable(printed.reason or "ipmitool printed nothing")
        raw = ipmi_native.ask_dcmi_power()
        return raw if isinstance(raw, Unavailable) else parse_raw(raw)

    def read(self) -> Reading | Unavailable:
        """Ask the BMC now. Its own stamp tells whether this is a new reading."""
        before = time.monotonic()
        answer = self._ask()
        at_seconds = (before + time.monotonic()) / 2
        if isinstance(answer, Unavailable):
            return answer
        return Reading(at_seconds, answer.watts, (answer.watts, answer.stamp))


class Answer(NamedTuple):
    """What the BMC said."""

    watts: float
    stamp: str | None
    period_seconds: float | None


def parse_answer(text: str) -> Answer | Unavailable:
    """Read what ipmitool printed."""
    watts = parse_watts(text)
    if isinstance(watts, Unavailable):
        return watts
    stamp = _STAMP.search(text)
    return Answer(watts, stamp[1] if stamp else None, _period(text))


def parse_raw(data: bytes) -> Answer | Unavailable:
    """Read the answer to Get Power Reading (DCMI 1.5, table 6-16), after its group byte."""
    if len(data) < RAW_BYTES:
        return Unavailable(f"the BMC's power reading has {len(data)} bytes, expected {RAW_BYTES}")
    watts = int.from_bytes(data[0:2], "little")
    stamp, period_ms = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12))
    if not data[16] & 0x40:
        return Unavailable("the BMC's power reading is deactivated; what it says is stale")
    checked = _plausible(watts)
    if isinstance(checked, Unavailable):
        return checked
    return Answer(checked, str(stamp), period_ms / 1000 if period_ms else None)


def parse_watts(text: str) -> float | Unavailable:
    """Return the instantaneous reading, if power reading is activated and the number can be."""
    match = _WATTS.search(text)
    if match is None:
        line = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        return Unavailable(f"ipmitool gave no instantaneous power reading: {line[:120]}")
    state = _STATE.search(text)
    if state is not None and state[1] != "activated":
        return Unavailable(f"the BMC's power reading is {state[1]}; what it prints is stale")
    return _plausible(float(match[1]))


def _plausible(watts: float) -> float | Unavailable:
    if not 0 < watts <= PLAUSIBLE_WATTS:
        return Unavailable(f"the BMC says {watts:.0f} W, which cannot be")
    return float(watts)


def _period(text: str) -> float | None:
    match = _PERIOD.search(text)
    return (int(match[1]) * _UNITS[match[2]] or None) if match else None
