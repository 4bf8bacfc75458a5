"""Makes paho clients: protocol version, credentials, TLS; and tries a broker out. Keeps no connection."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgedyno.core.broker import Tls
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from edgedyno.core.broker import Broker

CONNECT_SECONDS = 5.0
TURNED_AWAY_SECONDS = 1.0
# The protocol levels in CONNECT: 5 is MQTT 5, 4 is MQTT 3.1.1.
Version = Literal[4, 5]
NEWEST_VERSION: Version = 5


def other_version(version: Version) -> Version:
    """Return the version to try after one that the broker did not answer."""
    return 4 if version == NEWEST_VERSION else NEWEST_VERSION


def new_client(broker: Broker, *, client_id: str, version: Version) -> Client:
    """Make a client that is driven by its owner's loop. Raises ConfigError and OSError for files."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion(version),
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_SECONDS
    if broker.username is not None:
        client.username_pw_set(broker.username, read_password(broker))
    if tls := broker.tls:
        client.tls_set(ca_certs=tls.ca_file, certfile=tls.cert_file, keyfile=tls.key_file)
    # With a writer registered, paho leaves all writing to the loop's thread instead of the caller's.
    client.on_socket_register_write = _leave_to_loop
    client.on_socket_open = _send_at_once
    return client


def _leave_to_loop(*_: object) -> None:
    """Do nothing: being there is enough."""


def _send_at_once(_client: Client, _data: object, sock: Any) -> None:
    """Turn Nagle's algorithm off: it holds a request back for 40 ms when an acknowledgement is under way."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def try_broker(broker: Broker, *, seconds: float) -> str | None:
    """Connect under a name of its own and say nothing; return what is wrong, None when it works."""
    problem = None
    for version in (NEWEST_VERSION, other_version(NEWEST_VERSION)):
        problem = _try_version(broker, version, time.monotonic() + seconds / 2)
        if problem is None:
            return None
    return problem


def _try_version(broker: Broker, version: Version, deadline: float) -> str | None:
    answers: list[Any] = []
    try:
        client = new_client(broker, client_id="", version=version)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
        client.connect(broker.host, broker.port_or_default)
        while not answers and int(client.loop(1.0)) == 0 and time.monotonic() < deadline:
            pass
        client.disconnect()
        client.loop(1.0)
    except (OSError, ValueError) as error:
        return str(error)
    if not answers:
        return "it does not answer"
    return str(answers[0]) if answers[0].is_failure else None


def try_tls(broker: Broker, *, seconds: float) -> str | None:
    """Shake hands and go before a word of MQTT; return what is wrong, None when it works.

    A broker that names clients by their certificates throws out the one that is there when another of its name comes.
    """
    tls = broker.tls or Tls()
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        with (
            socket.create_connection((broker.host, broker.port_or_default), seconds) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secure,
        ):
            return _turned_away(secure)
    except (OSError, ValueError) as error:
        return str(error)


def _turned_away(secure: ssl.SSLSocket) -> str | None:
    """Return why the other end closes at once: in TLS 1.3 the client is looked at after the handshake."""
    secure.settimeout(TURNED_AWAY_SECONDS)
    try:
        said = secure.recv(1)
    except TimeoutError:
        return None
    return None if said else "it closed the connection"


def read_password(broker: Broker) -> str | None:
    """Return the password. Raises ConfigError when its file cannot be read."""
    if broker.password_file is None:
        return None
    try:
        return Path(broker.password_file).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"broker.password_file: {broker.password_file} cannot be read: {error}", code="config.password"
        ) from error
