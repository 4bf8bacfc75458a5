"""What every execution of a daemon works with, and where it works. No decisions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.dialogue import Dialogue
from edgedyno.agent.events import AnyWake
from edgedyno.agent.journal import Journal
from edgedyno.agent.outbox import Outbox
from edgedyno.agent.room import Room
from edgedyno.agent.spool import Spool
from edgedyno.core.board import Capabilities
from edgedyno.core.manifest import Manifest
from edgedyno.core.meters import MeterSettings
from edgedyno.core.run import Environment, Fence

if TYPE_CHECKING:
    from edgedyno.agent.journal import Entry


class Surroundings(Struct, frozen=True, kw_only=True):
    """The daemon's parts, as its executions see them."""

    board: str
    capabilities: Capabilities
    environments: list[Environment]
    meters: list[MeterSettings] = []
    work_dir: Path
    fence: Fence
    journal: Journal
    outbox: Outbox
    room: Room
    spool: Spool
    dialogue: Dialogue
    fetch: Callable[[int, Manifest, threading.Event], None]
    deliver: Callable[[AnyWake], None]
    clock: Callable[[], float]
    runner_command: Sequence[str]
    silence_seconds: float


def folder_of(work_dir: Path, entry: Entry) -> Path:
    """Return the folder of an attempt; ids come from outside and are never used as names of files."""
    return work_dir / hashlib.sha256(f"{entry.execution}\n{entry.attempt}".encode()).hexdigest()[:16]


def silence_seconds(manifest: Manifest, at_least: float) -> float:
    """Return how long a runner may say nothing: at least as long as the job lets it measure."""
    scenario = manifest.sweep.scenario
    soak = scenario.soak if not isinstance(scenario, str) else None
    soak_seconds = soak.minutes * 60.0 if soak else 0.0
    return max(at_least, manifest.measure.max_seconds + soak_seconds + 60.0)
