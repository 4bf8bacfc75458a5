"""What the API's handlers work with, and how they read bodies and write answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import Response

from edgedyno.controller.api.refusals import TooLargeError
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request

    from edgedyno.controller.api.holdings import Holdings
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.doorbell import Doorbell
    from edgedyno.controller.exporter import FleetCollector
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.scheduler import Scheduler
    from edgedyno.controller.security.board_rights import BoardRights
    from edgedyno.controller.security.keeper import Keeper
    from edgedyno.controller.security.tokens import TokenBook
    from edgedyno.controller.snapshot import SnapshotTaker
    from edgedyno.controller.store.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """The service's parts."""

    config: ControllerConfig
    database: Database
    store: ContentStore
    scheduler: Scheduler
    doorbell: Doorbell
    laboratory: Laboratory
    clock: FleetClock
    presence: Presence
    registry: CollectorRegistry
    collector: FleetCollector
    snapshots: SnapshotTaker
    mqtt_connected: Callable[[], bool]
    forget: Callable[[str], None]
    """Has the broker drop what it retains of a board."""
    tokens: TokenBook
    holdings: Holdings
    loopback: bool
    """Whether only this machine reaches the API."""
    board_rights: BoardRights
    url: str
    """Where boards and people reach the API."""
    keeper: Keeper | None = None
    """Of certificates; None where no TLS is configured."""
    signing_keys: Callable[[], list[str]] = list
    """Public keys that job manifests are signed by, as boards get them when they join and with each renewal."""


def parts_of(request: Request) -> Parts:
    """Return the parts of the service that serves this request."""
    parts: Parts = request.app.state.parts
    return parts


async def read_body(request: Request, kind: type[T]) -> T:
    """Decode a JSON body; raises TooLargeError, or ConfigError naming the place."""
    limit = int(parts_of(request).config.max_request_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLargeError(f"the body is larger than {limit} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"body: {error}", code="request.invalid") from error


def json_answer(value: Any, *, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def choice(request: Request, name: str, known: Sequence[str]) -> str:
    """Return a query parameter that has to be one of `known`, the first where it is not given."""
    found = request.query_params.get(name, known[0])
    if found not in known:
        raise ConfigError(
            f"{name}: found {found!r}, expected one of {', '.join(known)}", code="request.invalid"
        )
    return found
