"""MQTT 5 packets that a light client sends and reads (OASIS MQTT 5.0, chapter 3). No sockets, no state."""

from __future__ import annotations

from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    *(1, 2, 3, 4, 8, 9, 12, 13, 14),
)
_LAST_WILL, _WILL_QOS_1, _WILL_RETAIN, _CLEAN_START = 0x04, 0x08, 0x20, 0x02
PING = bytes([PINGREQ << 4, 0])
FAREWELL = bytes([DISCONNECT << 4, 0])


class Packet(NamedTuple):
    """One packet: its type, the flags beside it, and what follows the length."""

    kind: int
    flags: int
    body: bytes


class Publication(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    level: int
    retained: bool
    identifier: int


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _varint(len(body)) + body


def connect(client_id: str, *, will_topic: str, will: bytes, keepalive_seconds: int) -> bytes:
    """Return CONNECT with a clean start and a retained last will of QoS 1."""
    flags = _LAST_WILL | _WILL_QOS_1 | _WILL_RETAIN | _CLEAN_START
    head = _text("MQTT") + bytes([5, flags]) + keepalive_seconds.to_bytes(2, "big") + b"\0"
    return _packet(CONNECT << 4, head + _text(client_id) + b"\0" + _text(will_topic) + _text(will))


def subscribe(identifier: int, topics: list[str]) -> bytes:
    """Return SUBSCRIBE with QoS 1."""
    asked = b"".join(_text(topic) + b"\x01" for topic in topics)
    return _packet(SUBSCRIBE << 4 | 2, identifier.to_bytes(2, "big") + b"\0" + asked)


def publish(topic: str, payload: bytes, *, identifier: int = 0, retain: bool = False) -> bytes:
    """Return PUBLISH: QoS 1 with an identifier, QoS 0 without."""
    level = 2 if identifier else 0
    name = identifier.to_bytes(2, "big") if identifier else b""
    return _packet(PUBLISH << 4 | level | retain, _text(topic) + name + b"\0" + payload)


def acknowledge(identifier: int) -> bytes:
    """Return PUBACK."""
    return bytes([PUBACK << 4, 2]) + identifier.to_bytes(2, "big")


def take(buffer: bytearray) -> list[Packet]:
    """Take all complete packets off the front of `buffer`."""
    packets, start = [], 0
    while True:
        length, position, shift = 0, start + 1, 0
        while position < len(buffer):
            length |= (buffer[position] & 0x7F) << shift
            shift += 7
            position += 1
            if not buffer[position - 1] & 0x80:
                break
        else:
            break
        if len(buffer) < position + length:
            break
        packets.append(
            Packet(buffer[start] >> 4, buffer[start] & 0x0F, bytes(buffer[position : position + length]))
        )
        start = position + length
    del buffer[:start]
    return packets


def read_publication(packet: Packet) -> Publication:
    """Read a PUBLISH."""
    body, level = packet.body, packet.flags >> 1 & 3
    end = 2 + int.from_bytes(body[:2], "big")
    topic, identifier = body[2:end].decode(), 0
    if level:
        identifier, end = int.from_bytes(body[end : end + 2], "big"), end + 2
    properties, shift = 0, 0
    while True:
        properties |= (body[end] & 0x7F) << shift
        shift, end = shift + 7, end + 1
        if not body[end - 1] & 0x80:
            break
    return Publication(topic, body[end + properties :], level, bool(packet.flags & 1), identifier)
