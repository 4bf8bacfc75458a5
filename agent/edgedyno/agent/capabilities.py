"""What was found on a board, as `edgedyno agent caps` prints it and the controller learns it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgedyno.agent.host.board import Board, architecture, read_board
from edgedyno.agent.host.coresets import barred_cpus, core_sets
from edgedyno.agent.host.facts import read_facts
from edgedyno.agent.host.place import locate
from edgedyno.agent.host.problems import listening, problem_lines
from edgedyno.agent.host.system import read_kernel, read_memory_bytes, read_os
from edgedyno.agent.host.throttle import find_throttle_probes
from edgedyno.agent.sensors.base import Available, Reading, Sensor, close_sensor
from edgedyno.agent.sensors.registry import Probed, probe_sensors
from edgedyno.agent.sensors.traps import find_traps
from edgedyno.core.board import Capabilities, Cluster, Cpu, Host, PowerSource, RuntimeInfo, ThrottleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.host.place import Place
    from edgedyno.core.meters import MeterSettings
    from edgedyno.core.run import Environment

RECORDED = "recorded board: runtimes are not probed"


def read_capabilities(
    *,
    root: Path = Path("/"),
    environments: list[Environment] | None = None,
    probe_runtimes: bool = True,
    meters: Sequence[MeterSettings] = (),
) -> Capabilities:
    """Read a board: this machine, or a recorded one (a folder with rootfs/ and bin-output/).

    `environments` are the interpreters to look for runtimes in; None stands for the agent's own. `meters` are those
    outside the board. Raises
    ConfigError when `root` is neither `/` nor a recorded board; what a board lacks is None or unavailable.
    """
    place = locate(root)
    with listening() as problems:
        found = _read(place, environments, meters, probe_runtimes=probe_runtimes)
    host = replace(found.host or Host(), problems=problem_lines(problems, place.root))
    return replace(found, host=host)


def _read(
    place: Place,
    environments: list[Environment] | None,
    meters: Sequence[MeterSettings],
    *,
    probe_runtimes: bool,
) -> Capabilities:
    board = read_board(place)
    barred = [] if place.recorded else barred_cpus(board.topology.online)
    return Capabilities(
        profile=board.profile.id,
        name=board.identity.name() or board.profile.name,
        arch=architecture(place, board.info),
        cpu=Cpu(_clusters(board), board.features(), offline=board.topology.offline, barred=barred),
        core_sets=core_sets(board.topology, barred),
        memory_bytes=read_memory_bytes(place.root),
        power=_power(place, board, meters),
        throttle=_throttle(place, board),
        runtimes=_runtimes(place, environments, probe=probe_runtimes),
        kernel=read_kernel(place.root),
        os=read_os(place.root),
        agent_version=agent_version(),
        host=read_facts(place, board),
    )


def agent_version() -> str:
    """Return the installed version of edgedyno."""
    try:
        return version("edgedyno")
    except PackageNotFoundError:
        return "unknown"


def _clusters(board: Board) -> list[Cluster]:
    clocks = {cpu: policy.max_hz for policy in board.topology.policies for cpu in policy.cpus}
    return [
        Cluster(
            cpus=cpus,
            core=board.topology.cores.get(cpus[0]),
            max_hz=max((hz for cpu in cpus if (hz := clocks.get(cpu))), default=None),
        )
        for cpus in board.topology.clock_groups
    ]


def _power(place: Place, board: Board, meters: Sequence[MeterSettings]) -> list[PowerSource]:
    probed = probe_sensors(place, board.profile, meters)
    sources = [_power_source(place, board, each) for each in probed]
    for each in probed:
        close_sensor(each.sensor)
    return [*sorted(sources, key=lambda source: not source.available), *find_traps(place)]


def _power_source(place: Place, board: Board, probed: Probed) -> PowerSource:
    if not isinstance(probed.found, Available):
        return PowerSource(
            source=probed.source, scope=_scope(board, probed), available=False, reason=probed.found.reason
        )
    return PowerSource(
        source=probed.source,
        scope=probed.found.scope,
        available=True,
        rails=probed.found.rails,
        watts=_watts(probed.sensor) if place.recorded else None,
    )


def _scope(board: Board, probed: Probed) -> str:
    rule = board.profile.power_rule(probed.source)
    if rule is not None:
        return rule.scope
    return probed.sensor.spec.scope if probed.sensor else "unknown"


def _watts(sensor: Sensor | None) -> float | None:
    """Read a sampled source once; a counter gives watts only between two readings."""
    if sensor is None or sensor.spec.kind != "sampled":
        return None
    reading = sensor.read()
    return reading.value if isinstance(reading, Reading) else None


def _throttle(place: Place, board: Board) -> list[ThrottleSource]:
    expected = [rule.source for rule in board.profile.throttle]
    probes = find_throttle_probes(place, board.topology.online, expected=expected)
    return [ThrottleSource(probe.source, probe.reason is None, probe.reason) for probe in probes]


def _runtimes(place: Place, environments: list[Environment] | None, *, probe: bool) -> list[RuntimeInfo]:
    if place.recorded or not probe:
        reason = RECORDED if place.recorded else "not probed this time"
        names = sorted(point.name for point in entry_points(group="edgedyno.runtimes"))
        return [RuntimeInfo(name=name, version=None, available=False, reason=reason) for name in names]
    from edgedyno.agent.environments import probe_all

    return list(probe_all(environments))
