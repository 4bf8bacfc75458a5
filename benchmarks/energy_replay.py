"""Does the energy method's interval hold? Power series with a known truth through every source's own rules.

Each series is what a source would have said of a power whose mean is known: rounded to its step, averaged and late as
the source is, with noise that is correlated with itself. A row is right when 93 to 97 % of its intervals hold the
truth, or when there is no number. Usage: python benchmarks/energy_replay.py [--trials N] [--seed S]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.place import Place
from edgedyno.agent.host.tools import RecordedTools
from edgedyno.agent.measure.energy import Metered, Unmetered, Window, meter_window
from edgedyno.agent.sensors.acpi import AcpiPowerMeter
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec
from edgedyno.agent.sensors.dcmi import IpmiDcmi
from edgedyno.agent.sensors.file import ExternalFile
from edgedyno.agent.sensors.ina3221_hwmon import Ina3221Hwmon
from edgedyno.agent.sensors.ina3221_iio import Ina3221Iio
from edgedyno.agent.sensors.plug import MqttPlug
from edgedyno.agent.sensors.pmic import Pmic
from edgedyno.agent.sensors.rapl import Rapl
from edgedyno.core.meters import MeterSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INFERENCES = 1000
TICK_SECONDS = 0.05  # of the simulated board, finer than any source but RAPL


class Meter(NamedTuple):
    """A source as it is simulated."""

    spec: SensorSpec
    step_watts: float
    period_seconds: float
    """Between two readings."""
    window_seconds: float
    idle_seconds: float
    known_period: bool = True
    delay_seconds: float = 0.0
    tau_seconds: float = 0.0
    clock_seconds: float = 0.0
    """How far its clock is ahead of the board's."""


class World(NamedTuple):
    """The board: watts idle and above, its noise, and how its idle power moves until the end."""

    idle_watts: float
    load_watts: float
    noise_watts: float
    memory_seconds: float = 0.3
    """How long its noise is correlated with itself."""
    drift_watts: float = 0.0


class Run(NamedTuple):
    """What one trial gave, and the truth."""

    result: Metered | Unmetered
    total_joules: float
    above_joules: float


def play(meter: Meter, world: World, dice: random.Random) -> Run:
    """Simulate idle, window and idle again, and put the readings through the energy method."""
    settled = max((meter.spec.lag_seconds or (0.0, 0.0))[1], meter.spec.lead_seconds)
    before, length = meter.idle_seconds + settled, meter.window_seconds
    after = before + length + meter.idle_seconds + settled
    readings = list(_readings(meter, world, before, length, after, dice))
    window = Window(before, before + length, INFERENCES)
    result = meter_window(
        meter.spec,
        Available(
            meter.spec.scope, [], meter.period_seconds if meter.known_period else None, meter.step_watts
        ),
        readings=[each for each in readings if before - 0.5 <= each.at_seconds <= before + length + 0.5],
        window=window,
        idle_before=[each for each in readings if each.at_seconds < before],
        idle_after=[each for each in readings if each.at_seconds > before + length],
    )
    drifted = world.drift_watts * (before + length / 2) / after
    each = length / INFERENCES
    return Run(result, (world.idle_watts + world.load_watts + drifted) * each, world.load_watts * each)


def _readings(
    meter: Meter, world: World, before: float, length: float, after: float, dice: random.Random
) -> Iterator[Reading]:
    noise, seen, clock = 0.0, world.idle_watts, 0.0
    kept = math.exp(-TICK_SECONDS / world.memory_seconds)
    fresh = world.noise_watts * math.sqrt(1 - kept * kept)
    follow = 1.0 if meter.tau_seconds <= 0 else -math.expm1(-TICK_SECONDS / meter.tau_seconds)
    next_at = dice.uniform(0, meter.period_seconds)
    queue: list[tuple[float, float]] = []
    while clock < after:
        noise = kept * noise + dice.gauss(0, fresh)
        loaded = (
            before <= clock <= before + length + TICK_SECONDS / 2
        )  # a reading at the end is of what was before it
        power = world.idle_watts + world.load_watts * loaded + world.drift_watts * clock / after + noise
        queue.append((clock + meter.delay_seconds, power))
        while queue and queue[0][0] <= clock:
            seen += follow * (queue.pop(0)[1] - seen)
        if clock >= next_at:
            next_at += meter.period_seconds
            value = round(seen / meter.step_watts) * meter.step_watts
            yield Reading(clock + meter.clock_seconds, value, clock)
        clock += TICK_SECONDS


def play_rapl(dice: random.Random) -> Run:
    """Play a counter that wraps within the window, through the sensor's own reading of it."""
    watts, idle, noise = dice.uniform(8, 60), dice.uniform(2, 5), 0.5
    wrap = 262143.328850
    raw = wrap - dice.uniform(1, 40)  # so that it wraps within the run
    with tempfile.TemporaryDirectory() as folder:
        zone = Path(folder) / "sys/class/powercap/intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0")
        (zone / "max_energy_range_uj").write_text(str(int(wrap * 1e6)))
        (zone / "energy_uj").write_text(str(int(raw * 1e6)))
        sensor = Rapl(Place(Path(folder), RecordedTools(Path(folder)), recorded=True))
        readings = []
        for tick in range(74):
            at = tick * 0.1
            raw = (raw + 0.1 * ((watts if 20 <= tick < 54 else idle) + dice.gauss(0, noise))) % wrap
            # The register follows a millisecond behind, in steps of 61 µJ.
            (zone / "energy_uj").write_text(str(int(math.floor(raw / 61e-6) * 61)))
            read = sensor.read()
            if isinstance(read, Reading):
                readings.append(read._replace(at_seconds=at))
    window = Window(2.0, 5.3, INFERENCES)
    found = Available("package", ["package-0"], 0.001, 61e-6)
    result = meter_window(
        Rapl.spec,
        found,
        readings=[each for each in readings if 1.85 <= each.at_seconds <= 5.35],
        window=window,
        idle_before=[each for each in readings if each.at_seconds < 1.95],
        idle_after=[each for each in readings if each.at_seconds > 5.35],
    )
    each = window.seconds / INFERENCES
    return Run(result, watts * each, (watts - idle) * each)


def _plug(source: str) -> SensorSpec:
    return MqttPlug(MeterSettings(source, topic="plug")).spec  # type: ignore[arg-type]


def _file(offset: float | None) -> SensorSpec:
    return ExternalFile(MeterSettings("file", file="x.csv", scope="DC input", clock_offset=offset)).spec


def _orin_nano(dice: random.Random) -> Run:
    meter = Meter(Ina3221Hwmon.spec, 0.04, 0.1, 12, 5)
    return play(meter, World(dice.uniform(4, 6), dice.uniform(3, 9), 10 ** dice.uniform(-1.5, -0.4)), dice)


def _agx_orin(dice: random.Random) -> Run:
    meter = Meter(Ina3221Hwmon.spec, 0.4, 0.1, 12, 5)
    return play(meter, World(dice.uniform(6, 10), dice.uniform(10, 30), 10 ** dice.uniform(-1.0, 0.0)), dice)


def _nano_iio(dice: random.Random) -> Run:
    meter = Meter(Ina3221Iio.spec, 0.04, 0.1, 36, 15)
    return play(meter, World(dice.uniform(1.5, 3), dice.uniform(2, 7), 0.1), dice)


def _pi5_pmic(dice: random.Random) -> Run:
    meter = Meter(Pmic.spec, 0.34, 0.1, 72, 15, known_period=False)
    return play(meter, World(dice.uniform(2.3, 2.7), dice.uniform(2, 6), dice.uniform(0.2, 0.6)), dice)


def _pi5_wall(dice: random.Random) -> Run:
    """Play the same board at the wall, where its PMIC's 5.6 W were 7.44 W, by a meter that follows slowly."""
    meter = Meter(_plug("tasmota"), 0.1, 1.0, 144, 15, delay_seconds=1.0, tau_seconds=dice.uniform(2, 4))
    return play(meter, World(3.7, dice.uniform(3, 6), dice.uniform(0.1, 0.5), 1.0), dice)


def _dcmi(dice: random.Random) -> Run:
    meter = Meter(
        IpmiDcmi.spec, 1.0, 1.0, 216, 15, delay_seconds=dice.uniform(0, 5), tau_seconds=dice.uniform(0, 5)
    )
    return play(meter, World(276, dice.uniform(30, 200), 10 ** dice.uniform(-0.7, 0.5), 2.0), dice)


def _acpi(dice: random.Random) -> Run:
    meter = Meter(AcpiPowerMeter.spec, 1.0, 1.0, 144, 15, tau_seconds=dice.uniform(0, 2))
    return play(meter, World(200, dice.uniform(30, 120), dice.uniform(0.2, 3), 1.0), dice)


def _tasmota(dice: random.Random) -> Run:
    meter = Meter(
        _plug("tasmota"), 1.0, 1.0, 144, 15, delay_seconds=dice.uniform(0, 6), tau_seconds=dice.uniform(0, 4)
    )
    return play(
        meter, World(dice.uniform(2, 4), dice.uniform(5, 12), 10 ** dice.uniform(-1, -0.2), 1.0), dice
    )


def _shelly(dice: random.Random) -> Run:
    meter = Meter(_plug("shelly_gen2"), 0.1, 1.0, 144, 15, delay_seconds=dice.uniform(0, 3), tau_seconds=1.0)
    return play(
        meter, World(dice.uniform(2, 4), dice.uniform(3, 12), 10 ** dice.uniform(-1.3, -0.3), 1.0), dice
    )


def _slow_plug(dice: random.Random) -> Run:
    meter = Meter(_plug("tasmota"), 1.0, 300.0, 144, 15, known_period=False)
    return play(meter, World(3, 8, 0.3), dice)


def _lab_file(dice: random.Random) -> Run:
    meter = Meter(_file(None), 1e-4, 0.05, 30, 5, clock_seconds=dice.uniform(-10, 10))
    return play(meter, World(2.5, dice.uniform(3, 8), dice.uniform(0.05, 0.5)), dice)


def _small_drift(dice: random.Random) -> Run:
    meter = Meter(Ina3221Hwmon.spec, 0.04, 0.1, 12, 5)
    load = dice.uniform(4, 9)
    return play(meter, World(5, load, 0.1, drift_watts=dice.uniform(-0.05, 0.05) * load), dice)


def _large_drift(dice: random.Random) -> Run:
    meter = Meter(Ina3221Hwmon.spec, 0.04, 0.1, 12, 5)
    load = dice.uniform(4, 9)
    return play(meter, World(5, load, 0.1, drift_watts=dice.choice((-1, 1)) * 0.2 * load), dice)


CASES: dict[str, Callable[[random.Random], Run]] = {
    "Orin Nano, INA3221, steps of 0.04 W": _orin_nano,
    "AGX Orin, INA3221, steps of 0.4 W": _agx_orin,
    "Jetson Nano, INA3221 by iio": _nano_iio,
    "Pi 5, PMIC": _pi5_pmic,
    "Pi 5, wall, meter that follows slowly": _pi5_wall,
    "x86, RAPL that wraps": play_rapl,
    "server, DCMI, steps of 1 W, late": _dcmi,
    "server, ACPI meter": _acpi,
    "plug, steps of 1 W, late": _tasmota,
    "plug, steps of 0.1 W": _shelly,
    "plug that reports every 300 s": _slow_plug,
    "lab file, clock off by up to 10 s": _lab_file,
    "idle power moves by up to 5 %": _small_drift,
    "idle power moves by 20 %": _large_drift,
}


class Row(NamedTuple):
    """A case's outcome."""

    numbers: int
    covered: int
    covered_above: int
    half_width: float
    reasons: Counter[str]


def judge(case: Callable[[random.Random], Run], trials: int, dice: random.Random) -> Row:
    """Play a case many times."""
    covered = covered_above = 0
    widths: list[float] = []
    reasons: Counter[str] = Counter()
    for _ in range(trials):
        run = case(dice)
        if isinstance(run.result, Unmetered):
            reasons[" ".join(word for word in run.result.reason.split() if not word[0].isdigit())[:60]] += 1
            continue
        energy = run.result.energy
        covered += energy.low <= run.total_joules <= energy.high
        low, high = energy.idle_subtracted_low, energy.idle_subtracted_high
        covered_above += low is not None and high is not None and low <= run.above_joules <= high
        widths.append((energy.high - energy.low) / 2 / energy.value)
    median = sorted(widths)[len(widths) // 2] if widths else math.nan
    return Row(len(widths), covered, covered_above, median, reasons)


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.stdout.write(f"{'case':40} {'numbers':>8} {'covered':>8} {'above':>7} {'±':>7}  no number because\n")
    for name, case in CASES.items():
        row = judge(case, options.trials, random.Random(f"{options.seed} {name}"))
        shares = [
            f"{100 * each / row.numbers:.1f} %" if row.numbers else "-"
            for each in (row.covered, row.covered_above)
        ]
        width = f"{100 * row.half_width:.2f} %" if row.numbers else "-"
        why = "; ".join(f"{count} {text}" for text, count in row.reasons.most_common(2))
        sys.stdout.write(f"{name:40} {row.numbers:8} {shares[0]:>8} {shares[1]:>7} {width:>7}  {why}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
