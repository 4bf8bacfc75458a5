"""Wire messages: round trips, tolerance of newer senders, refusal of anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.core import messages, topics
from edgedyno.core.errors import ConfigError


def test_a_message_survives_the_wire() -> None:
    state = messages.State(board="rpi5", online=True, boot_id="b", session_epoch=3)
    assert messages.decode(messages.encode(state), messages.State) == state


def test_unknown_fields_of_a_newer_sender_are_ignored() -> None:
    ack = messages.decode(b'{"type":"ack","v":1,"stream_epoch":"e","up_to":7,"shiny":true}', messages.Ack)
    assert ack.up_to == 7


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"type":"ack","v":2,"stream_epoch":"e","up_to":7}', "message.version"),
        (b'{"type":"next","request_id":"1"}', "message.invalid"),
        (b'{"type":"nonsense"}', "message.invalid"),
        (b'{"type":"ack","stream_epoch":"e","up_to":"seven"}', "message.invalid"),
        (b"", "message.invalid"),
        (b"\xff\xfe", "message.invalid"),
        (b"[" * 100_000, "message.invalid"),
    ],
)
def test_anything_else_is_refused(payload: bytes, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        messages.decode(payload, messages.Ack)
    assert caught.value.code == code


@given(st.binary(max_size=300))
def test_no_payload_breaks_the_decoder(payload: bytes) -> None:
    with pytest.raises(ConfigError):
        messages.decode(payload, messages.Ack)


def test_topics() -> None:
    assert topics.of_board("rpi5", "req/next") == "edgedyno/v1/rpi5/req/next"
    assert topics.parse("edgedyno/v1/rpi5/req/next") == ("rpi5", "req/next")
    assert topics.parse(topics.CONTROLLER_STATE) is None
    assert topics.parse("elsewhere/edgedyno/v1/rpi5/state") is None


@pytest.mark.parametrize("board", ["", "controller", "a/b", "+", "#", "-x", "a" * 64, "a b", "../x"])
def test_what_cannot_be_a_board_id(board: str) -> None:
    with pytest.raises(ConfigError, match="as a board id"):
        topics.check_board_id(board)
