"""A real mosquitto with the configuration that the tool generates, and clients with certificates on it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgedyno.controller.security.broker_files import write_broker_folder, write_trust
from edgedyno.controller.security.broker_rights import BrokerFiles, find_plugin
from tests.conftest import free_port, listens, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from typing_extensions import Self

    from edgedyno.controller.security.authority import Authority
    from edgedyno.controller.security.certificates import Revoked

NOT_AUTHORIZED = 135


class TlsMosquitto:
    """A broker that takes certificates only."""

    def __init__(
        self, folder: Path, authority: Authority, *, dynsec: bool, boards: Iterable[str] = ()
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.pid_file = folder / "pid"
        self.ca_file = folder / "ca.pem"
        self.dynsec = dynsec
        self._authority = authority
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "state").mkdir(parents=True)
        files = BrokerFiles(
            folder=str(folder),
            port=self.port,
            address="127.0.0.1",
            user="root",  # the tests' user: it may read what the tests write
            state=str(folder / "state"),
            pid_file=str(self.pid_file),
            plugin=find_plugin() if dynsec else None,
        )
        write_broker_folder(
            folder,
            authority,
            files,
            names=["127.0.0.1"],
            revocations=authority.revocations([]),
            boards=boards,
        )

    def start(self) -> None:
        """Start it and wait until it listens."""
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [binary, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        wait_until(lambda: listens(self.port), what="mosquitto listening")

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def revoke(self, revoked: Iterable[Revoked]) -> None:
        """Write the list of revoked certificates where mosquitto reads it."""
        write_trust(self.folder, self._authority, self._authority.revocations(revoked))

    def identity(self, name: str, *, seconds: float = 600.0) -> Path:
        """Return the folder of a client's key and certificate."""
        folder = self.folder / "clients" / name
        self._authority.identity(folder, name, seconds=seconds)
        return folder

    def client(self, name: str, **options: Any) -> Probe:
        """Connect as `name`."""
        return Probe(self.port, context_of(self.ca_file, self.identity(name)), **options)


def context_of(ca_file: Path, identity: Path | None) -> ssl.SSLContext:
    """Return a client's context."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if identity is not None:
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    return context


class Probe:
    """An MQTT client whose every answer is looked at; it connects at once. A context manager."""

    def __init__(
        self, port: int, context: ssl.SSLContext, *, client_id: str = "", will: str | None = None
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.connected: Any = None
        self._answers: dict[int, Any] = {}
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.tls_set_context(context)
        if will is not None:
            self._client.will_set(will, b"forged", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _c, _u, message: self.messages.append(
            (message.topic, bytes(message.payload))
        )
        self._client.on_publish = lambda _c, _u, number, reason, _p: self._answer(number, reason)
        self._client.on_subscribe = lambda _c, _u, number, reasons, _p: self._answer(number, reasons)
        self.ended = False
        try:
            self._client.connect("127.0.0.1", port, keepalive=30)
            self.until(lambda: self.connected is not None or self.ended)
        except OSError:
            self.ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop(0.05)

    def until(self, done: Callable[[], object], *, seconds: float = 10.0) -> bool:
        """Serve the connection until something is so; False when it did not come."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.ended or time.monotonic() > deadline:
                return bool(done())
            self.ended = int(self._client.loop(0.05)) != 0
        return True

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> bool:
        """Publish and return whether the broker took it."""
        number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        self.until(lambda: number in self._answers)
        return not self._answers[number].is_failure

    def subscribe(self, topic: str) -> bool:
        """Subscribe and return whether the broker said yes."""
        _, number = self._client.subscribe(topic, options=SubscribeOptions(qos=1))
        assert number is not None
        self.until(lambda: number in self._answers)
        return not self._answers[number][0].is_failure

    def vanish(self) -> None:
        """Close the connection without a farewell."""
        sock = self._client.socket()
        assert sock is not None
        sock.close()
        self.ended = True

    def _answer(self, number: int, reason: Any) -> None:
        self._answers[number] = reason

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected = reason


def all_leaves() -> Iterator[str]:
    """Return every leaf of a board's topics, and some that there are not."""
    yield from ("state", "caps", "desired", "ack", "result", "tele", "anything", "state/deeper")
    for operation in ("next", "get", "update", "renew", "other"):
        yield from (f"req/{operation}", f"rsp/{operation}")
