"""What the daemon's main thread is woken by. Each is put into its queue by another thread or by a signal."""

from __future__ import annotations

from msgspec import Struct

from edgedyno.core.errors import EdgedynoError
from edgedyno.core.run import AnyEvent


class Connected(Struct, frozen=True):
    """The broker accepted this agent and the subscriptions were sent."""


class Disconnected(Struct, frozen=True):
    """The connection is gone; another try follows by itself."""

    reason: str


class Received(Struct, frozen=True):
    """An MQTT message."""

    topic: str
    payload: bytes
    retained: bool


class RunnerSaid(Struct, frozen=True):
    """A line of the runner that was started as number `run`."""

    run: int
    event: AnyEvent


class RunnerGone(Struct, frozen=True):
    """The runner has ended and all its lines were delivered before."""

    run: int
    returncode: int


class Fetched(Struct, frozen=True):
    """Fetching for ticket `ticket` is over: paths by sha256, or why not."""

    ticket: int
    files: dict[str, str]
    error: EdgedynoError | None = None


class Uploaded(Struct, frozen=True):
    """An upload is over; `error` is None when the controller has the file."""

    sha256: str
    error: EdgedynoError | None = None


class Renewed(Struct, frozen=True):
    """The child that renews the board's certificate has ended; `error` is None when there is a new one."""

    error: str | None = None


class StopAsked(Struct, frozen=True):
    """A signal asked the daemon to end."""

    signal_number: int


AnyWake = (
    Connected | Disconnected | Received | RunnerSaid | RunnerGone | Fetched | Uploaded | Renewed | StopAsked
)
