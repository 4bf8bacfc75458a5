"""Predictions as a file: how a variant's predictions are written on the board and read by the lab."""

from __future__ import annotations

import msgspec

from edgedyno.core.result import Predictions

_decode = msgspec.json.Decoder(Predictions).decode


def read_predictions(data: bytes) -> Predictions:
    """Return what a predictions artifact says. Raises msgspec.MsgspecError when it is damaged."""
    return _decode(data)
