"""Capabilities: what was found on a board. Also what `edgedyno agent caps --json` prints."""

from __future__ import annotations

import re

from msgspec import Struct


class Cluster(Struct, frozen=True):
    """CPUs of one kind that share a clock."""

    cpus: list[int]
    core: str | None
    """The core's name (cortex-a76), or None where nothing tells."""
    max_hz: float | None


class Cpu(Struct, frozen=True):
    """The processor: clusters and the instruction-set features that inference speed depends on."""

    clusters: list[Cluster]
    features: list[str]
    offline: list[int] = []
    """CPUs that are present and switched off; in no core set."""
    barred: list[int] = []
    """CPUs that are online, but not for the agent: outside its affinity mask or cgroup; in no core set."""


# "no RAPL zone in /sys/class/powercap", "no BMC: /dev/ipmi0 is absent", "not a Raspberry Pi".
NO_SIGN = re.compile(r"no .+( in /sys/|: /dev/\S+ is absent)|not a ")


class PowerSource(Struct, frozen=True):
    """A power sensor, or why it cannot be used."""

    source: str
    scope: str
    available: bool
    reason: str | None = None
    rails: list[str] = []
    watts: float | None = None
    """As read once; only with --root."""

    @property
    def absent(self) -> bool:
        """Whether there is no sign of such a meter at all, by what its reason says; else something is wrong with it."""
        return not self.available and NO_SIGN.match(self.reason or "") is not None


class ThrottleSource(Struct, frozen=True):
    """Something that tells of throttling, or why it cannot be used."""

    source: str
    available: bool
    reason: str | None = None


class RuntimeInfo(Struct, frozen=True):
    """A runtime in its environment: available means that a real model ran in it."""

    name: str
    version: str | None
    available: bool
    reason: str | None = None
    environment: str = "default"
    formats: list[str] = []
    details: dict[str, str] = {}


class CoreKind(Struct, frozen=True, omit_defaults=True):
    """CPUs of one core type and revision."""

    cpus: str
    """As the kernel writes lists: `0-3`."""
    part: str | None
    """Implementer and part number of MIDR_EL1, such as `0x41/0xd0b`; None on x86."""
    name: str | None
    revision: str | None = None
    """`r4p1`."""
    capacity: int | None = None
    """The kernel's cpu_capacity, 1024 for the largest core of the board."""


class Cache(Struct, frozen=True):
    """The caches of one level and kind."""

    level: int
    kind: str
    """data, instruction or unified."""
    size_bytes: int
    shared_by: int
    """How many CPUs share one."""


class MemoryNode(Struct, frozen=True, omit_defaults=True):
    """A NUMA node."""

    node: int
    cpus: str
    memory_bytes: int | None = None
    """0 where no module is plugged; None where the kernel does not tell."""
    distances: list[int] = []


class DeviceClock(Struct, frozen=True, omit_defaults=True):
    """A clock beside the CPUs': memory, GPU, NPU (devfreq)."""

    name: str
    governor: str | None = None
    frequency_hz: float | None = None
    min_hz: float | None = None
    max_hz: float | None = None


class Limits(Struct, frozen=True, omit_defaults=True):
    """What the control group leaves the agent."""

    cpus: float | None = None
    """CPU seconds per second."""
    cpuset: str | None = None
    memory_bytes: int | None = None


class Host(Struct, frozen=True, omit_defaults=True):
    """Further facts about the machine; what cannot be read is absent."""

    compatible: list[str] = []
    cores: list[CoreKind] = []
    caches: list[Cache] = []
    nodes: list[MemoryNode] = []
    governors: dict[str, str] = {}
    """By cpufreq policy."""
    clock_limits_hz: dict[str, float] = {}
    """What cpufreq allows now (scaling_max_freq), by policy."""
    device_clocks: list[DeviceClock] = []
    power_mode: str | None = None
    container: str | None = None
    virtual_machine: str | None = None
    limits: Limits | None = None
    differs: list[str] = []
    """What the board's profile says and was not found so."""
    problems: list[str] = []
    """Files that are there and could not be used, each with the reason."""


class CoreSetSpeed(Struct, frozen=True):
    """What a short measured kernel reached on a set of cores."""

    cores: str
    cpus: list[int]
    threads: int
    copy_bytes_per_second: float | None = None
    """Bytes read plus bytes written."""
    operations_per_second: dict[str, float] = {}
    """By precision; a multiplication and an addition are two."""


class Speeds(Struct, frozen=True):
    """Bandwidth and arithmetic of this board as measured on it, never from a table."""

    sets: list[CoreSetSpeed]
    methods: dict[str, str]
    """How each quantity was measured: by `copy`, `fp32`, `fp16`, `int8`."""
    reasons: dict[str, str] = {}
    """Why a quantity was not measured."""
    conditions: dict[str, str] = {}
    """Kernel, governor, power mode and so on while measuring; other ones make it stale."""
    measured_at: str = ""
    """UTC, ISO 8601; for people."""
    seconds: float = 0.0


class Capabilities(Struct, frozen=True):
    """What was found on a board."""

    profile: str
    """Id of the board profile that matched, or `generic`."""
    name: str
    arch: str
    cpu: Cpu
    core_sets: dict[str, list[int]]
    memory_bytes: int | None
    """None where the kernel does not tell, as in some recorded boards."""
    power: list[PowerSource]
    throttle: list[ThrottleSource]
    runtimes: list[RuntimeInfo]
    kernel: str
    os: str
    agent_version: str = ""
    labels: dict[str, str] = {}
    host: Host | None = None
    speeds: Speeds | None = None
    speeds_reason: str | None = None
    """Why there are no measured speeds."""
