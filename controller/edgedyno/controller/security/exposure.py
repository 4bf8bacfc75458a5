"""Whether a controller may start where it listens: beyond this machine nobody comes in without showing who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.security.tokens import read_tokens
from edgedyno.controller.server import is_loopback
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from sqlalchemy import Connection

    from edgedyno.controller.config import ControllerConfig


def check_exposure(connection: Connection, config: ControllerConfig, listener: socket.socket) -> None:
    """Raise ConfigError where the API would be open to the network by accident."""
    if is_loopback(listener) or config.allow_anonymous or read_tokens(connection):
        return
    host, port = listener.getsockname()[:2]
    raise ConfigError(
        f"listen_host: found {host} (port {port}), which others reach, and no token: anybody could submit jobs. "
        "Make one first, with the same configuration: `edgedyno controller token create me --scope admin`; or "
        "listen on 127.0.0.1; or, on a network that you trust wholly, set `allow_anonymous: true`",
        code="access.open",
    )
