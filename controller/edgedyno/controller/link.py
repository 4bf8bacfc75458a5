"""The MQTT link: connects, subscribes, fills the inbox, publishes. It knows topics, not meanings.

Before it serves, it looks, with a client that has no will, who does already (see claim.py).
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.controller.inbox import Inbox, Incoming
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import ControllerState, Desired, Message, decode, encode
from edgedyno.core.topics import CONTROLLER_STATE, of_board

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edgedyno.controller.claim import Claim
    from edgedyno.controller.config import ControllerConfig

log = logging.getLogger(__name__)
# Shared by all replicas: each message once. Retained messages never come by share: those go to every replica.
SHARED = ("result", "req/+")
TO_ALL = (("state", 1), ("caps", 1), ("tele", 0))
KEEPALIVE_SECONDS = 30
CONNECT_SECONDS = 5.0
# Full jitter, as the boards do it, with a lower ceiling: they all wait for the controller.
BACKOFF_FIRST_SECONDS, BACKOFF_LAST_SECONDS = 0.5, 15.0
VERSIONS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}
# Retained messages come on the heels of the subscription's acknowledgement.
LOOK_SECONDS = 0.15


class Link:
    """One connection to the broker that comes back by itself, in a thread of its own."""

    def __init__(
        self,
        config: ControllerConfig,
        inbox: Inbox,
        *,
        api_url: str,
        claim: Claim,
        on_connected: Callable[[], object],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._tls = tls
        self._inbox = inbox
        self._api_url = api_url
        self._claim = claim
        self._on_connected = on_connected
        self._turn = threading.Lock()
        self._serving = False
        self._stopping = threading.Event()
        self._version = VERSIONS[config.mqtt_protocol][0]
        # Of the present connection: whether the broker accepted it, and whether it was given up for another.
        self._accepted = self._turned = False
        # Made here too, so that a wrong file is told before anything runs.
        self._client = self._make_scout()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def connected(self) -> bool:
        """Tell whether the broker is there, and this controller serves its boards."""
        return self._serving and self._client.is_connected()

    def start(self) -> None:
        """Begin to connect; a broker that is not there yet is waited for."""
        self._thread.start()

    def stop(self) -> None:
        """Say that the controller goes, and disconnect."""
        with self._turn:
            self._stopping.set()
            client = self._client
        if self.connected:
            sent = client.publish(CONTROLLER_STATE, self._word(online=False), qos=1, retain=True)
            try:
                sent.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                log.warning("the broker went before it heard that the controller goes")
        client.disconnect()
        self._thread.join(CONNECT_SECONDS + 5.0)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._serve()
            except OSError as error:
                log.warning("the broker is out of reach: %s", error)
            except Exception:
                log.exception("the connection to the broker failed")
            if self._turned:
                continue
            failures = 0 if self._accepted else failures + 1
            ceiling = min(BACKOFF_LAST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 10))
            self._stopping.wait(random.uniform(0, ceiling))  # noqa: S311 jitter is no secret

    def _serve(self) -> None:
        """Connect, and serve or stand by until the connection ends."""
        with self._turn:
            if self._stopping.is_set():
                return
            self._accepted = self._turned = False
            # A client for each connection: its protocol version may differ, nothing precious is in an old one, and
            # a broker may refuse to take up the session of a nameless one (rumqttd).
            client = self._client = self._make_server() if self._serving else self._make_scout()
        client.connect(self._config.broker_host, self._config.broker_port, KEEPALIVE_SECONDS)
        client.loop_forever()
        versions = VERSIONS[self._config.mqtt_protocol]
        if not self._accepted and not self._stopping.is_set():
            self._version = versions[(versions.index(self._version) + 1) % len(versions)]
            log.warning("the broker did not accept; next try with %s", self._version.name)

    def _turn_to(self, *, serve: bool) -> None:
        """Begin to serve, or to stand by, on another connection."""
        with self._turn:
            if self._stopping.is_set() or self._serving == serve:
                return
            self._serving, self._turned = serve, True
            # Without its will: whoever stands by has nothing to say.
            self._client.disconnect()

    def _word(self, *, online: bool) -> bytes:
        claim = self._claim
        state = ControllerState(
            online=online,
            api_url=self._api_url if online else None,
            fleet=claim.fleet,
            seniority_seconds=claim.seniority_seconds(),
        )
        return encode(state)

    def send(self, board: str, leaf: str, message: Message) -> None:
        """Publish to a board, or nothing while the broker is away: boards ask and are rung again."""
        if not self.connected:
            return
        retain = isinstance(message, Desired)
        self._client.publish(of_board(board, leaf), encode(message), qos=1, retain=retain)

    def forget(self, board: str) -> None:
        """Have the broker drop what it retains of a board, or it would tell the next controller of it."""
        for leaf in ("state", "caps", "desired"):
            self._client.publish(of_board(board, leaf), b"", qos=1, retain=True)

    def _make_scout(self) -> Client:
        client = self._make_client()

        def connected(
            client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
        ) -> None:
            if self._is_accepted(client, reason):
                client.subscribe(CONTROLLER_STATE, 1)

        def subscribed(*_: Any) -> None:
            look = threading.Timer(LOOK_SECONDS, self._looked, (client,))
            look.daemon = True
            look.start()

        client.on_connect = connected
        client.on_subscribe = subscribed
        return client

    def _looked(self, scout: Client) -> None:
        """Serve, if nobody else was heard in all the time that the first word may take."""
        if self._client is scout and scout.is_connected() and self._claim.may_serve:
            self._turn_to(serve=True)

    def _make_server(self) -> Client:
        client = self._make_client()
        client.max_queued_messages_set(10_000)
        client.will_set(CONTROLLER_STATE, self._word(online=False), qos=1, retain=True)
        client.on_connect = self._connected
        return client

    def _make_client(self) -> Client:
        config = self._config
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.mqtt_client_id or "",
            protocol=self._version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        if config.broker_username is not None:
            client.username_pw_set(config.broker_username, config.broker_password())
        if self._tls is not None:
            client.tls_set_context(self._tls)
        elif config.broker_ca_file is not None:
            _use_tls(client, config)
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        # Answers are small, and a board waits for each: Nagle's algorithm would hold them back.
        client.on_socket_open = lambda _client, _data, sock: sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # type: ignore[attr-defined]
        return client

    def _is_accepted(self, client: Client, reason: ReasonCode) -> bool:
        if reason.is_failure:
            log.error("the broker refused the connection: %s", reason)
            client.disconnect()
            return False
        self._accepted = True
        return True

    def _connected(
        self,
        client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._is_accepted(client, reason):
            return
        log.info("connected to the broker at %s:%d", self._config.broker_host, self._config.broker_port)
        group = self._config.shared_group
        share = f"$share/{group}/" if group else ""
        client.subscribe(
            [(share + of_board("+", leaf), 1) for leaf in SHARED]
            + [(of_board("+", leaf), qos) for leaf, qos in TO_ALL]
            + [(CONTROLLER_STATE, 1)]
        )
        self._claim.hold()
        self._say_online(client)
        self._on_connected()

    def _say_online(self, client: Client) -> None:
        client.publish(CONTROLLER_STATE, self._word(online=True), qos=1, retain=True)

    def _disconnected(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._stopping.is_set() and not self._turned:
            log.warning("disconnected from the broker: %s", reason)

    def _received(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if topic == CONTROLLER_STATE:
            self._heard(client, bytes(message.payload))
            return
        if not self._inbox.put(Incoming(topic, bytes(message.payload), time.monotonic())):
            log.error("a message was dropped: the database does not keep up")

    def _heard(self, client: Client, payload: bytes) -> None:
        """Take the word of a controller: of another replica, of another fleet, or this one's own."""
        if self._stopping.is_set() or client is not self._client:
            return None
        if not payload:
            self._claim.cleared()
            return self._turn_to(serve=True)
        try:
            heard = self._claim.hear(decode(payload, ControllerState))
        except ConfigError as error:
            return log.warning("the word of a controller cannot be read: %s", error)
        if not heard.serve:
            self._turn_to(serve=False)
        elif heard.answer and self._serving:
            # Another replica's last will, or another fleet, would have the boards believe that nobody is there.
            self._say_online(client)
        return None


def _use_tls(client: Client, config: ControllerConfig) -> None:
    try:
        client.tls_set(
            ca_certs=config.broker_ca_file,
            certfile=config.broker_cert_file,
            keyfile=config.broker_key_file,
            tls_version=ssl.PROTOCOL_TLS_CLIENT,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"broker_ca_file, broker_cert_file: {error}", code="config.tls") from error
