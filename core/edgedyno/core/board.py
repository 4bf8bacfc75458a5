"""Capabilities: what was found on a board. Also what `edgedyno agent caps --json` prints."""

from __future__ import annotations

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


class PowerSource(Struct, frozen=True):
    """A power sensor, or why it cannot be used."""

    source: str
    scope: str
    available: bool
    reason: str | None = None
    rails: list[str] = []
    watts: float | None = None
    """As read once; only with --root."""


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
