"""Lets boards in and out at the broker: the dynamic security plugin's commands, and ending a board's connection.

Short connections of the controller's own, made in the caller's thread; nothing is kept between them.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.controller.security.broker_rights import (
    CONTROL,
    admit_commands,
    board_of_role,
    expel_commands,
)
from edgedyno.core.errors import RetryableError, RunError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

SECONDS = 10.0
# One message of commands; the plugin answers each message at once.
BATCH = 200


class BrokerDoor(Struct, frozen=True):
    """Where the broker is."""

    host: str
    port: int

    def end_connection(self, context: ssl.SSLContext) -> None:
        """Take the place of the client whose certificate `context` has, and leave: its connection is closed.

        Raises RetryableError.
        """
        with _Session(self, context):
            pass

    def set_boards(self, context: ssl.SSLContext, boards: Iterable[str]) -> list[str]:
        """Have the plugin know exactly these boards; return those it was told of.

        `context` has the keeper's certificate. Raises RetryableError, and RunError for a refused command.
        """
        wanted = set(boards)
        with _Session(self, context) as session:
            found = {board for role in session.roles() if (board := board_of_role(role))}
            changed = sorted(wanted ^ found)
            commands = [
                command
                for board in changed
                for command in (admit_commands(board) if board in wanted else expel_commands(board))
            ]
            for first in range(0, len(commands), BATCH):
                session.send(commands[first : first + BATCH])
        return changed


class _Session:
    """One connection; a context manager."""

    def __init__(self, door: BrokerDoor, context: ssl.SSLContext) -> None:
        self._door = door
        self._connected: Any = None
        self._answers: list[dict[str, Any]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        try:
            self._client.connect(self._door.host, self._door.port)
        except OSError as error:
            raise self._unreachable(str(error)) from error
        self._wait(lambda: self._connected is not None)
        if self._connected.is_failure:
            raise self._unreachable(f"it refused: {self._connected}")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop(0.1)

    def roles(self) -> list[str]:
        """Return the names of the plugin's roles."""
        self._client.subscribe(f"{CONTROL}/response", 1)
        answer = self.send([{"command": "listRoles"}])[0]
        return list(answer["data"]["roles"])

    def send(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send commands and return the answers. Raises RunError for one that the plugin refuses."""
        tag = secrets.token_hex(8)
        marked = [
            {**command, "correlationData": f"{tag}-{number}"} for number, command in enumerate(commands)
        ]
        expected = [command["correlationData"] for command in marked]
        self._answers = []
        self._client.publish(CONTROL, json.dumps({"commands": marked}), qos=1)
        self._wait(lambda: len(self._answers) >= len(commands))
        by_mark = {answer.get("correlationData"): answer for answer in self._answers}
        answers = [by_mark[mark] for mark in expected if mark in by_mark]
        for answer in answers:
            # Somebody was there before, or has removed it: what was wanted is so.
            if answer.get("error") not in _FINE:
                raise RunError(
                    f"the broker's dynamic security refused {answer['command']}: {answer['error']}",
                    code="broker.dynsec",
                )
        return answers

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not done():
            code = self._client.loop(1.0)
            if int(code) != 0 and not done():
                raise self._unreachable(f"the connection ended: {code!s}")
            if time.monotonic() > deadline:
                raise self._unreachable("it does not answer")

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connected = reason

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        self._answers += json.loads(message.payload)["responses"]

    def _unreachable(self, text: str) -> RetryableError:
        return RetryableError(
            f"broker {self._door.host}:{self._door.port}: {text}", code="broker.unreachable"
        )


_FINE = (None, "Role already exists", "Client already exists", "Role not found", "Client not found")
