"""MQTT packets in a stream of bytes: where each ends, and what may be done to one that carries a message."""

from __future__ import annotations

PUBLISH, PUBACK = 3, 4
_MORE, _BITS = 0x80, 7


def split(buffer: bytearray) -> list[bytes]:
    """Take all complete packets off the front of `buffer`."""
    packets = []
    while (size := _size(buffer)) is not None and len(buffer) >= size:
        packets.append(bytes(buffer[:size]))
        del buffer[:size]
    return packets


def _size(buffer: bytearray) -> int | None:
    """Return the bytes of the first packet with its header (MQTT 5, section 2.1.4); None when they are not known."""
    length = 0
    for position, byte in enumerate(buffer[1:5]):
        length |= (byte & ~_MORE) << (_BITS * position)
        if not byte & _MORE:
            return 2 + position + length
    return None


def is_message(packet: bytes) -> bool:
    """Tell whether a packet carries a message."""
    return packet[0] >> 4 == PUBLISH


def again(packet: bytes) -> bytes:
    """Return a message as it is sent a second time: with the DUP flag where its sender waits for an answer."""
    return bytes([packet[0] | 0x08]) + packet[1:] if _level(packet) else packet


def acknowledge(packet: bytes) -> bytes:
    """Return the answer that makes a message's sender believe that it has arrived; empty where it waits for none."""
    if not _level(packet):
        return b""
    start = 1
    while packet[start] & _MORE:
        start += 1
    start += 1
    topic = int.from_bytes(packet[start : start + 2], "big")
    identifier = packet[start + 2 + topic : start + 4 + topic]
    return bytes([PUBACK << 4, 2]) + identifier


def _level(packet: bytes) -> int:
    return packet[0] >> 1 & 3
