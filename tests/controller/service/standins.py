"""Stand-ins for what is not here: a lab that builds at once, a board that speaks the protocol by script, a clock."""

from __future__ import annotations

import datetime as dt
import os
import queue
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.core.manifest import ResolvedJob, Variant
from edgedyno.core.messages import (
    Ack,
    Caps,
    Desired,
    Message,
    Next,
    Renew,
    Response,
    ResultMessage,
    State,
    Update,
    decode,
    encode,
)
from edgedyno.core.result import Accuracy, Result
from edgedyno.core.topics import of_board
from tests.conftest import wait_until
from tests.controller.service.samples import capabilities, ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.laboratory import Context
    from edgedyno.core.board import Capabilities
    from edgedyno.core.errors import EdgedynoError
    from edgedyno.core.job import JobSpec, Precision


class ScriptedLaboratory:
    """Builds from the precisions' names, scores 0.5, recommends the first trial of each board."""

    def __init__(self) -> None:
        self.build_error: EdgedynoError | None = None
        self.score_error: EdgedynoError | None = None
        self.builds: list[bool] = []
        self.formats: list[list[str]] = []
        self.judged = 0
        self.contexts: list[Context] = []

    async def build(
        self,
        resolved: ResolvedJob,
        precisions: list[Precision],
        *,
        reduce_range: bool,
        formats: list[str],
    ) -> list[Variant]:
        """Return one variant for each format and precision."""
        self.builds.append(reduce_range)
        self.formats.append(formats)
        if self.build_error is not None:
            raise self.build_error
        return [
            Variant(precision, name, ref(f"{name} {precision} {reduce_range}".encode()))
            for name in formats
            for precision in precisions
        ]

    async def score(self, results: list[Result], resolved: ResolvedJob) -> list[Result]:
        """Give every result the same accuracy."""
        if self.score_error is not None:
            raise self.score_error
        accuracy = Accuracy("map50_95", 0.5, 0.4, 0.6, 1)
        return [msgspec.structs.replace(one, accuracy=accuracy) for one in results]

    async def judge(self, results: list[Result], spec: JobSpec, context: Context) -> bytes:
        """Recommend each board's first trial."""
        self.judged += 1
        self.contexts.append(context)
        first = {one.board: one for one in reversed(results)}
        verdicts = [
            {
                "board": b,
                "model": one.model,
                "answer": "recommended",
                "recommended": [one.trial],
                "choices": [one],
            }
            for b, one in sorted(first.items())
        ]
        return msgspec.json.encode({"verdicts": verdicts, "groups": []})

    async def report(
        self, results: list[Result], resolved: ResolvedJob, context: Context, *, images: bool
    ) -> str:
        """Return a page that counts the results and tells how it was asked for."""
        words = f"{len(results)} results of {resolved.spec.name}"
        return f"<!doctype html><html lang={context.language}><p>{words}{'' if images else ', no images'}</p>"

    async def close(self) -> None:
        """Do nothing: nothing runs."""


class Board:
    """A board's side of the protocol on a real connection; every call waits for its answer."""

    def __init__(
        self, port: int, name: str = "rpi4", *, session_epoch: int = 1, state_will: bool = True
    ) -> None:
        self.name = name
        self.session_epoch = session_epoch
        self.acks: list[Ack] = []
        self.desired: list[Desired] = []
        self._responses: queue.Queue[Response] = queue.Queue()
        self._count = 0
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{os.urandom(4).hex()}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.on_message = self._received
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(of_board(name, "ack"), 1), (of_board(name, "desired"), 1), (of_board(name, "rsp/+"), 1)]
        )
        self._subscribed = False
        self._client.on_subscribe = self._on_subscribe
        if state_will:
            self._client.will_set(
                of_board(name, "state"), encode(self.state(online=False)), qos=1, retain=True
            )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self._subscribed, what="subscription")

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def _received(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        leaf = message.topic.split("/", 3)[3]
        if not message.payload:
            return  # a doorbell that was taken down with its board
        if leaf == "ack":
            self.acks.append(decode(bytes(message.payload), Ack))
        elif leaf == "desired":
            self.desired.append(decode(bytes(message.payload), Desired))
        else:
            self._responses.put(decode(bytes(message.payload), Response))

    def state(self, *, online: bool = True) -> State:
        """Return this board's state."""
        return State(board=self.name, online=online, boot_id="b", session_epoch=self.session_epoch)

    def send(self, leaf: str, content: Message | bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish on one of this board's topics."""
        payload = content if isinstance(content, bytes) else encode(content)
        self._client.publish(of_board(self.name, leaf), payload, qos=qos, retain=retain)

    def be_born(self, found: Capabilities | None = None) -> None:
        """Say that the board is there, and what it is."""
        self.send("state", self.state(), retain=True)
        caps = Caps(board=self.name, session_epoch=self.session_epoch, capabilities=found or capabilities())
        self.send("caps", caps, retain=True)

    def ask(self, leaf: str, make: Callable[[str], Message]) -> Response:
        """Send a request and return its answer."""
        self._count += 1
        request_id = f"{self.name}-{self._count}"
        return self.say(f"req/{leaf}", make(request_id), request_id)

    def say(self, leaf: str, request: Message | bytes, request_id: str) -> Response:
        """Send a request as it stands and return the first answer to its id from now on."""
        self.send(leaf, request)
        while True:
            response = self._responses.get(timeout=20)
            if response.request_id == request_id:
                return response

    def next(self) -> Response:
        """Ask for work."""
        return self.ask("next", lambda request_id: Next(request_id=request_id))

    def update(self, answer: Response, state: str, **changes: Any) -> Response:
        """Report on the execution of an earlier answer."""
        assert answer.record is not None
        assert answer.lease is not None
        record, lease = answer.record, answer.lease
        return self.ask(
            "update",
            lambda request_id: msgspec.structs.replace(
                Update(
                    request_id=request_id,
                    execution=record.execution,
                    lease_id=lease.lease_id,
                    expected_version=record.version,
                    state=state,  # type: ignore[arg-type]
                ),
                **changes,
            ),
        )

    def renew(self, answer: Response, **changes: Any) -> Response:
        """Renew the lease of an earlier answer."""
        assert answer.record is not None
        assert answer.lease is not None
        record, lease = answer.record, answer.lease
        return self.ask(
            "renew",
            lambda request_id: msgspec.structs.replace(
                Renew(request_id=request_id, execution=record.execution, lease_id=lease.lease_id), **changes
            ),
        )

    def deliver(self, *messages: ResultMessage) -> Ack:
        """Send results and wait until the last of them is acknowledged or refused."""
        for one in messages:
            self.send("result", one)
        last = messages[-1]
        self.wait_acknowledged(last.stream_epoch, last.seq)
        return self.acks[-1]

    def wait_acknowledged(self, epoch: str, seq: int) -> None:
        """Wait for the ack of a seq."""
        wait_until(
            lambda: any(ack.stream_epoch == epoch and ack.up_to >= seq for ack in list(self.acks)),
            what=f"ack of {epoch} {seq}",
        )

    def leave(self) -> None:
        """Disconnect cleanly: no last will."""
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Break the connection, so that the broker publishes the last will."""
        connection = self._client.socket()
        self._client.reconnect_delay_set(3600, 3600)
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


class WallClock:
    """A time of day that a test moves: noon of a Monday in winter."""

    def __init__(self) -> None:
        self.utc = dt.datetime(2024, 1, 15, 12, tzinfo=dt.timezone.utc)

    def __call__(self) -> dt.datetime:
        """Return the time."""
        return self.utc
