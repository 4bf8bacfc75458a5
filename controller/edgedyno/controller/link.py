"""The MQTT link: connects, subscribes, fills the inbox, publishes. It knows topics, not meanings."""

from __future__ import annotations

import logging
import ssl
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.controller.inbox import Inbox, Incoming
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import ControllerState, Desired, Message, encode
from edgedyno.core.topics import CONTROLLER_STATE, of_board

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edgedyno.controller.config import ControllerConfig

log = logging.getLogger(__name__)
# Shared by all replicas: each message once. Retained messages never come by share: those go to every replica.
SHARED = ("result", "req/+")
TO_ALL = (("state", 1), ("caps", 1), ("tele", 0))
KEEPALIVE_SECONDS = 30
RECONNECT_SECONDS = (1, 30)


class Link:
    """One connection to the broker, kept up by paho's network thread."""

    def __init__(
        self, config: ControllerConfig, inbox: Inbox, *, api_url: str, on_connected: Callable[[], object]
    ) -> None:
        self._config = config
        self._inbox = inbox
        self._api_url = api_url
        self._on_connected = on_connected
        self._client = self._make_client()
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Tell whether the broker is there."""
        return self._client.is_connected()

    def start(self) -> None:
        """Begin to connect; a broker that is not there yet is waited for."""
        self._client.connect_async(self._config.broker_host, self._config.broker_port, KEEPALIVE_SECONDS)
        self._client.loop_start()

    def stop(self) -> None:
        """Say that the controller goes, and disconnect."""
        self._stopping = True
        if self._client.is_connected():
            sent = self._client.publish(
                CONTROLLER_STATE, encode(ControllerState(online=False)), qos=1, retain=True
            )
            try:
                sent.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                log.warning("the broker went before it heard that the controller goes")
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, board: str, leaf: str, message: Message) -> None:
        """Publish to a board, or nothing while the broker is away: boards ask and are rung again."""
        if not self._client.is_connected():
            return
        retain = isinstance(message, Desired)
        self._client.publish(of_board(board, leaf), encode(message), qos=1, retain=retain)

    def _make_client(self) -> Client:
        config = self._config
        protocol = MQTTProtocolVersion.MQTTv5 if config.mqtt_protocol == "5" else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, client_id=config.mqtt_client_id or "", protocol=protocol)
        client.max_queued_messages_set(10_000)
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        if config.broker_username is not None:
            client.username_pw_set(config.broker_username, config.broker_password())
        if config.broker_ca_file is not None:
            _use_tls(client, config)
        client.will_set(CONTROLLER_STATE, encode(ControllerState(online=False)), qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        # Answers are small, and a board waits for each: Nagle's algorithm would hold them back.
        client.on_socket_open = lambda _client, _data, sock: sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # type: ignore[attr-defined]
        return client

    def _connected(
        self,
        client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.error("the broker refused the connection: %s", reason)
            return
        log.info("connected to the broker at %s:%d", self._config.broker_host, self._config.broker_port)
        group = self._config.shared_group
        share = f"$share/{group}/" if group else ""
        client.subscribe(
            [(share + of_board("+", leaf), 1) for leaf in SHARED]
            + [(of_board("+", leaf), qos) for leaf, qos in TO_ALL]
            + ([(CONTROLLER_STATE, 1)] if group else [])
        )
        self._say_online(client)
        self._on_connected()

    def _say_online(self, client: Client) -> None:
        state = ControllerState(online=True, api_url=self._api_url)
        client.publish(CONTROLLER_STATE, encode(state), qos=1, retain=True)

    def _disconnected(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._stopping:
            log.warning("disconnected from the broker: %s", reason)

    def _received(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if topic == CONTROLLER_STATE:
            # Another replica's last will would tell the boards that nobody is there.
            if not self._stopping and b'"online":false' in message.payload:
                self._say_online(client)
            return
        if not self._inbox.put(Incoming(topic, bytes(message.payload))):
            log.error("a message was dropped: the database does not keep up")


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
