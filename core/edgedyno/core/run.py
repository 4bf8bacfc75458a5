"""What a runner is asked to do and what it says while doing it: JSON lines between daemon and runner."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edgedyno.core.board import Capabilities
from edgedyno.core.manifest import Failure, Manifest
from edgedyno.core.messages import Progress
from edgedyno.core.meters import MeterSettings
from edgedyno.core.result import Result


class Environment(Struct, frozen=True):
    """An interpreter that has a runtime."""

    name: str
    python: str
    runtimes: list[str] = []
    """Which to look for in it; empty: every one."""


class Fence(Struct, frozen=True):
    """Files and folders that the process of a model is kept from, where the system can."""

    hidden: list[str] = []
    read_only: list[str] = []
    opened: list[str] = []
    """Inside of what is hidden."""


class RunRequest(Struct, frozen=True):
    """One execution to run; `files` maps each sha256 of the manifest to a verified local path."""

    manifest: Manifest
    board: str
    attempt: int
    capabilities: Capabilities
    files: dict[str, str]
    work_dir: str
    """The runner's own folder: samples, predictions, scratch. It survives a restart of the runner."""
    environments: list[Environment] = []
    done_trials: list[str] = []
    """Ids of trials that have a result already, from before a restart."""
    meters: list[MeterSettings] = []
    """Power meters outside the board, each with all that is needed to read it."""
    fence: Fence | None = None


class Event(Struct, frozen=True, tag_field="event", tag=str.lower):
    """Base of all events."""


class Progressed(Event, frozen=True):
    """The phase or the number of finished trials changed."""

    progress: Progress


class Finished(Event, frozen=True):
    """One trial has its result; `files` maps the artifacts that it names to local paths."""

    record: Result
    files: dict[str, str] = {}


class Ended(Event, frozen=True):
    """The run is over; `failure` says why it could not do its work, None when every trial has a result."""

    failure: Failure | None = None


AnyEvent = Progressed | Finished | Ended
encode_event = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(AnyEvent).decode
