"""MQTT topics of protocol v1, and the ids that may stand in them."""

from __future__ import annotations

import re

from edgedyno.core.errors import ConfigError

ROOT = "edgedyno/v1"
CONTROLLER_STATE = f"{ROOT}/controller/state"
_BOARD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
RESERVED_IDS = frozenset({"controller"})


def check_board_id(board: str) -> str:
    """Return `board` if it can be a board's id; raise ConfigError otherwise."""
    if not _BOARD_ID.fullmatch(board) or board in RESERVED_IDS:
        raise ConfigError(
            f"found {board!r} as a board id, expected 1 to 63 letters, digits, '_', '.' or '-', "
            "beginning with a letter or digit, and not 'controller'",
            code="board.id",
        )
    return board


def of_board(board: str, leaf: str) -> str:
    """Return a topic of one board, or of any for `+`; `leaf` is state, caps, desired, req/OP and so on."""
    return f"{ROOT}/{board}/{leaf}"


def parse(topic: str) -> tuple[str, str] | None:
    """Split a topic into board and leaf; None for a topic that is not a board's."""
    root, _, rest = topic.partition(ROOT + "/")
    board, _, leaf = rest.partition("/")
    if root or not leaf or board in RESERVED_IDS or not _BOARD_ID.fullmatch(board):
        return None
    return board, leaf
