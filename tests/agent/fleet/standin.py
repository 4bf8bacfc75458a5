"""Stands in for the controller: speaks the protocol over a real broker and serves artifacts over HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.core import topics
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import (
    TERMINAL_STATES,
    Ack,
    ControllerState,
    Desired,
    ExecutionRecord,
    Get,
    Lease,
    Message,
    Next,
    Refusal,
    Renew,
    Response,
    ResultMessage,
    State,
    Update,
    decode,
    encode,
)

if TYPE_CHECKING:
    from edgedyno.core.manifest import Manifest


class Standin:
    """Keeps executions and results in memory; every answer comes from one lock-protected place."""

    def __init__(self, host: str, port: int, *, board: str = "board", lease_seconds: float = 30.0) -> None:
        self.board = board
        self.lease_seconds = lease_seconds
        self.lock = threading.RLock()
        self.records: dict[str, ExecutionRecord] = {}
        self.manifests: dict[str, Any] = {}
        self.leases: dict[str, str] = {}
        self.requests: list[Message] = []
        self.states: list[State] = []
        self.leaves: list[str] = []
        self.results: list[ResultMessage] = []
        """Every arrival, duplicates too."""
        self.counted: dict[tuple[str, int], ResultMessage] = {}
        self.acks = True
        self.deaf = False
        """Answers no request."""
        self.refuse: dict[str, str] = {}
        """Trials to refuse, with the reason."""
        self.stale_updates = 0
        self._numbers = itertools.count(1)
        self.artifacts = ArtifactServer()
        # With a name of its own: rumqttd takes no session of a nameless client up again.
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"standin-{os.urandom(4).hex()}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_socket_open = _send_at_once
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(host, port)
        self._client.loop_start()

    def close(self) -> None:
        """End everything."""
        self._client.disconnect()
        self._client.loop_stop()
        self.artifacts.close()

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(topics.of_board("+", "#"), qos=1)
        self.say_online()

    def say_online(self) -> None:
        """Publish that the controller is there: boards ask again."""
        state = ControllerState(online=True, api_url=self.artifacts.url)
        self._client.publish(topics.CONTROLLER_STATE, encode(state), 1, retain=True)

    def send(self, leaf: str, message: Message | bytes, *, retain: bool = False) -> None:
        """Publish on a leaf of the board."""
        payload = message if isinstance(message, bytes) else encode(message)
        self._client.publish(topics.of_board(self.board, leaf), payload, qos=1, retain=retain)

    def submit(self, manifest: Manifest | bytes, execution: str | None = None, *, attempt: int = 1) -> str:
        """Queue an execution and ring; `manifest` may be bytes that are no manifest."""
        name = execution or manifest.execution  # type: ignore[union-attr]
        with self.lock:
            self.records[name] = ExecutionRecord(
                execution=name, job="job-1", board=self.board, state="QUEUED", version=1, attempt=attempt
            )
            self.manifests[name] = manifest
        self.ring()
        return name

    def ring(self) -> None:
        """Publish the doorbell."""
        head = self._head()
        desired = Desired(
            execution=head.execution if head else None,
            version=head.version if head else 0,
            cancel_requested=bool(head and head.cancel_requested),
        )
        self.send("desired", desired, retain=True)

    def cancel(self, execution: str) -> None:
        """Ask the board to stop."""
        with self.lock:
            self._change(execution, cancel_requested=True)
        self.ring()

    def change(self, execution: str, **fields: Any) -> None:
        """Change a record behind the board's back."""
        with self.lock:
            self._change(execution, **fields)

    def state_of(self, execution: str) -> str:
        """Return an execution's state."""
        with self.lock:
            return self.records[execution].state

    def trials(self, execution: str) -> list[str]:
        """Return the trials that have a counted result, sorted."""
        with self.lock:
            return sorted(m.record.trial for m in self.counted.values() if m.execution == execution)

    def asked(self, kind: type[Message]) -> list[Any]:
        """Return the requests of a kind."""
        with self.lock:
            return [request for request in self.requests if isinstance(request, kind)]

    def _head(self) -> ExecutionRecord | None:
        return next((r for r in self.records.values() if r.state not in TERMINAL_STATES), None)

    def _change(self, execution: str, **fields: Any) -> ExecutionRecord:
        record = self.records[execution]
        changed = msgspec.structs.replace(record, version=record.version + 1, **fields)
        self.records[execution] = changed
        return changed

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        _, leaf = topics.parse(message.topic) or ("", "")
        with self.lock:
            self.leaves.append(leaf)
            payload = bytes(message.payload)
            if leaf == "state":
                # Tests say nonsense there too.
                with contextlib.suppress(ConfigError):
                    self.states.append(decode(payload, State))
            elif leaf == "result":
                self._take_result(decode(payload, ResultMessage))
            elif leaf.startswith("req/"):
                self._take_request(leaf.removeprefix("req/"), payload)

    def _take_result(self, message: ResultMessage) -> None:
        self.results.append(message)
        if not self.acks:
            return
        refused = []
        reason = self.refuse.get(message.record.trial)
        if reason is not None:
            refused.append(Refusal(message.seq, "result.refused", reason))
        else:
            self.counted.setdefault((message.stream_epoch, message.seq), message)
        self.send("ack", Ack(stream_epoch=message.stream_epoch, up_to=message.seq, refused=refused))

    def _take_request(self, operation: str, payload: bytes) -> None:
        kinds: dict[str, type[Message]] = {"next": Next, "get": Get, "update": Update, "renew": Renew}
        request: Any = decode(payload, kinds[operation])
        self.requests.append(request)
        if self.deaf:
            return
        if isinstance(request, Next):
            self.send("rsp/next", self._next(request))
        else:
            self.send(f"rsp/{operation}", self._answer(request))

    def _next(self, request: Next) -> bytes:
        head = self._head()
        if head is None:
            return encode(Response(request_id=request.request_id))
        if head.state == "QUEUED":
            head = self._change(head.execution, state="IN_PROGRESS")
        lease_id = self.leases[head.execution] = f"lease-{next(self._numbers)}"
        manifest = self.manifests[head.execution]
        answer = {
            "type": "response",
            "v": 1,
            "request_id": request.request_id,
            "record": head,
            "lease": Lease(lease_id, self.lease_seconds),
            "manifest": msgspec.Raw(manifest) if isinstance(manifest, bytes) else manifest,
        }
        return msgspec.json.encode(answer)

    def _answer(self, request: Get | Update | Renew) -> Response:
        record = self.records.get(request.execution)
        if record is None:
            return Response(
                request_id=request.request_id, error="execution.unknown", text="no such execution"
            )
        if isinstance(request, Get):
            return Response(request_id=request.request_id, record=record)
        if record.state in TERMINAL_STATES:
            return Response(request_id=request.request_id, error="execution.ended", record=record)
        if request.lease_id != self.leases.get(request.execution):
            return Response(request_id=request.request_id, error="lease.stale", record=record)
        if isinstance(request, Update):
            if request.expected_version != record.version:
                self.stale_updates += 1
                return Response(request_id=request.request_id, error="version.stale", record=record)
            record = self._change(
                request.execution, state=request.state, progress=request.progress, reason=request.reason
            )
        lease = Lease(request.lease_id, self.lease_seconds)
        return Response(request_id=request.request_id, record=record, lease=lease)


def _send_at_once(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class ArtifactServer:
    """A real HTTP server with the controller's artifact calls, and with faults on demand."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.log: list[tuple[str, str, str | None]] = []
        """Method, sha256, Range header."""
        self.break_after: int | None = None
        """Break the next GET off after so many bytes."""
        self.ignore_range = False
        self.status: int | None = None
        """Answer everything with this status."""
        outer = self

        class Handler(_ArtifactHandler):
            server_state = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def add(self, data: bytes) -> str:
        """Offer a file."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.files[sha256] = data
        return sha256

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _ArtifactHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: ArtifactServer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _begin(self) -> str | None:
        sha256 = self.path.removeprefix("/api/v1/artifacts/")
        self.server_state.log.append((self.command, sha256, self.headers.get("Range")))
        if self.server_state.status is not None:
            self._answer(self.server_state.status, b"no")
            return None
        return sha256

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Say whether a file is there."""
        sha256 = self._begin()
        if sha256 is not None:
            self._answer(200 if sha256 in self.server_state.files else 404)

    def do_GET(self) -> None:
        """Send a file or its rest."""
        sha256 = self._begin()
        if sha256 is None:
            return
        data = self.server_state.files.get(sha256)
        if data is None:
            self._answer(404, b"no such artifact")
            return
        start = self._start()
        if start and start >= len(data):
            self._answer(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        limit, self.server_state.break_after = self.server_state.break_after, None
        self.wfile.write(data[start:] if limit is None else data[start : start + limit])
        if limit is not None:
            self.wfile.flush()
            self.close_connection = True

    def _start(self) -> int:
        header = self.headers.get("Range")
        if not header or self.server_state.ignore_range:
            return 0
        return int(header.removeprefix("bytes=").partition("-")[0])

    def do_PUT(self) -> None:
        """Take a file whose hash is its name."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        sha256 = self._begin()
        if sha256 is None:
            return
        if hashlib.sha256(data).hexdigest() != sha256:
            self._answer(422, b"the bytes do not hash to the name")
            return
        self.server_state.files[sha256] = data
        self._answer(201)
