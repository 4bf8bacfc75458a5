"""Wire messages of fleet protocol 1. Unknown fields are ignored: old agents meet new controllers."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from edgedyno.core.board import Capabilities
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Manifest
from edgedyno.core.result import Result
from edgedyno.core.signing import Signed

VERSION = 1

# As AWS IoT Jobs names them.
ExecutionState = Literal[
    "QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"
]
TERMINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"})
Phase = Literal["fetch", "verify", "settle", "warm-up", "measure", "accuracy", "upload"]
# As they stand in a message: a newer side may know more of them, and its messages are taken all the same.
AnyPhase = Annotated[str, Meta(max_length=32)]
AnyState = Annotated[str, Meta(max_length=16)]


class Message(Struct, frozen=True, tag_field="type", tag=str.lower, kw_only=True):
    """Base of all messages."""

    v: int = VERSION


class State(Message, frozen=True):
    """A board's birth, death (last will) and change of execution; retained."""

    board: str
    online: bool
    boot_id: str
    session_epoch: int
    """Rises with every start of the agent; an older one is a late last will and is ignored."""
    capabilities_sha256: str = ""
    execution: str | None = None
    agent_version: str = ""
    refuses: str | None = None
    """Why the board takes no new executions for now, such as a full disk; None: it does."""


class Caps(Message, frozen=True):
    """A board's capabilities; retained."""

    board: str
    session_epoch: int
    capabilities: Capabilities


class Progress(Struct, frozen=True):
    """How far an execution has come; `eta_seconds` is None while nothing is known."""

    phase: AnyPhase
    trials_done: int
    trials_total: int
    current: str = ""
    elapsed_seconds: float = 0.0
    eta_seconds: float | None = None
    images_done: int = 0
    """Of the accuracy pass, counted once for each turn of variants."""
    images_total: int = 0
    """0 outside of the accuracy pass."""


class ExecutionRecord(Struct, frozen=True):
    """An execution as the controller has it."""

    execution: str
    job: str
    board: str
    state: AnyState
    """An ExecutionState; one that a board does not know is like IN_PROGRESS to it."""
    version: int
    attempt: int
    phase: AnyPhase | None = None
    progress: Progress | None = None
    reason: str | None = None
    stalled: bool = False
    cancel_requested: bool = False


class Lease(Struct, frozen=True):
    """The right to run an execution, for a duration from receipt; `lease_id` fences late writers."""

    lease_id: str
    duration_seconds: float


class Next(Message, frozen=True):
    """Ask for the head of this board's queue; answered with an assignment or nothing."""

    request_id: str


class Get(Message, frozen=True):
    """Ask for the record of an execution."""

    request_id: str
    execution: str


class Update(Message, frozen=True):
    """Report state and progress; refused with the current record when `expected_version` is stale."""

    request_id: str
    execution: str
    lease_id: str
    expected_version: int
    state: ExecutionState
    progress: Progress | None = None
    reason: str | None = None


class Renew(Message, frozen=True):
    """Keep a lease."""

    request_id: str
    execution: str
    lease_id: str


class Response(Message, frozen=True):
    """Answer to any request: `error` is None when it was granted."""

    request_id: str
    error: str | None = None
    text: str | None = None
    record: ExecutionRecord | None = None
    lease: Lease | None = None
    manifest: Manifest | None = None
    """Only in answer to `next`."""
    signed: Signed | None = None
    """The controller's name under `manifest`; boards with pinned keys take none without it."""


class Desired(Message, frozen=True):
    """Doorbell: the head of the board's queue; retained."""

    execution: str | None
    version: int
    cancel_requested: bool = False


class ResultMessage(Message, frozen=True, tag="result"):
    """A result on its way up; the key is (board, stream_epoch, seq), and `msg_id` is unique."""

    msg_id: str
    board: str
    stream_epoch: str
    """Names one outbox; a new one begins when its database is lost."""
    seq: int
    execution: str
    attempt: int
    lease_id: str
    record: Result
    oldest_seq: int = 1
    """The oldest seq that the outbox still holds: none before it will ever come, so the controller may acknowledge
    past a gap that a restored backup or a new stream left."""


class Refusal(Struct, frozen=True):
    """A result that the controller will never take, and why: the board may forget it."""

    seq: int
    code: str
    text: str


class Ack(Message, frozen=True):
    """After the database commit: all up to `up_to` is safe, but for the refused ones, which are final."""

    stream_epoch: str
    up_to: int
    refused: list[Refusal] = []


class Telemetry(Message, frozen=True):
    """Heartbeat with live readings; never stored."""

    board: str
    session_epoch: int
    uptime_seconds: float
    load: float | None = None
    temperature_celsius: dict[str, float] = {}
    frequency_hz: dict[str, float] = {}
    power_watts: dict[str, float] = {}
    throttled: list[str] = []
    """Flags that are set, and counters that moved since the last heartbeat."""
    throttle_visible: bool = False
    """Whether the board has files that tell of throttling."""
    outbox_depth: int = 0
    outbox_bytes: int | None = None
    heartbeat_seconds: float | None = None
    """When the next one is due; two missed ones make these readings stale."""
    rss_bytes: int | None = None


class ControllerState(Message, frozen=True, tag="controller"):
    """Tells boards that a controller is there, and where its HTTP API is; retained, and the last will."""

    online: bool
    api_url: str | None = None
    fleet: str | None = None
    """Names the controller's database: one broker serves one. None from controllers before this was told."""
    seniority_seconds: float = 0.0
    """How long this fleet has been served: of two that both serve, the younger one gives way."""


AnyMessage = (
    State
    | Caps
    | Next
    | Get
    | Update
    | Renew
    | Response
    | Desired
    | ResultMessage
    | Ack
    | Telemetry
    | ControllerState
)
M = TypeVar("M", bound=Message)
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """Encode one message as JSON."""
    return _encoder.encode(message)


def decode(payload: bytes | str, expected: type[M]) -> M:
    """Decode a message that must be of type `expected`.

    Raises ConfigError (code `message.invalid`) for anything else, another major version included.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not a message of protocol v{VERSION}: {error}", code="message.invalid") from error
    if message.v != VERSION:
        raise ConfigError(f"found protocol v{message.v}, expected v{VERSION}", code="message.version")
    if not isinstance(message, expected):
        found, wanted = type(message).__name__, expected.__name__
        raise ConfigError(f"found a {found} message, expected {wanted}", code="message.invalid")
    return message
