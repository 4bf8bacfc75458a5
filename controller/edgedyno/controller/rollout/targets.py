"""Chooses boards by a selector, and says of each other board why it was left out. Pure: it reads no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.controller.store.boards import Board
from edgedyno.core.document import nearest
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.targets import BoardSelector, Except

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedyno.core.targets import Labels

_SHOWN = 10


class Targets(Struct, frozen=True):
    """The boards that a job goes to, and the others with the reason."""

    chosen: list[Board]
    left_out: dict[str, str]


def check_selector(
    boards: Sequence[Board], wanted: BoardSelector, groups: Mapping[str, BoardSelector], place: str = "boards"
) -> None:
    """Raise UnsupportedError for an id, label or group that there is not, naming the nearest that there is."""
    for part, prefix in ((wanted, place), (wanted.except_, f"{place}.except")):
        _check_names(part.ids, [board.board for board in boards], f"{prefix}.ids", "board")
        _check_names(part.groups, groups, f"{prefix}.groups", "group")
        _check_labels(part.labels, boards, f"{prefix}.labels")


def check_groups(wanted: BoardSelector, groups: Mapping[str, BoardSelector], place: str = "boards") -> None:
    """Raise UnsupportedError for a group that there is not; boards may come later, groups do not by themselves."""
    _check_names(wanted.groups, groups, f"{place}.groups", "group")
    _check_names(wanted.except_.groups, groups, f"{place}.except.groups", "group")


def _check_names(names: list[str], known: Iterable[str], place: str, kind: str) -> None:
    there = list(known)
    for name in names:
        if name not in there:
            hint = nearest(name, there) or f"; {kind}s known: {_some(there)}"
            raise UnsupportedError(f"{place}: found no {kind} {name!r}{hint}", code=f"{kind}.unknown")


def _check_labels(labels: Labels, boards: Sequence[Board], place: str) -> None:
    keys = sorted({key for board in boards for key in board.labels})
    for key, allowed in labels.items():
        if key not in keys:
            hint = nearest(key, keys) or f"; boards known: {_some(board.board for board in boards)}"
            raise UnsupportedError(f"{place}: no board has a label {key!r}{hint}", code="board.none")
        values = sorted({board.labels[key] for board in boards if key in board.labels})
        for value in _values(allowed):
            if value not in values:
                hint = nearest(value, values) or f"; values known: {_some(values)}"
                raise UnsupportedError(
                    f"{place}.{key}: no board has the value {value!r}{hint}; boards known: "
                    f"{_some(board.board for board in boards)}",
                    code="board.none",
                )


def choose(boards: Sequence[Board], wanted: BoardSelector, groups: Mapping[str, BoardSelector]) -> Targets:
    """Return the boards that a selector means; drained ones get no job. Groups must be known."""
    chosen, left_out = [], {}
    for board in boards:
        reason = _left_out(board, wanted, groups)
        if reason is None:
            chosen.append(board)
        else:
            left_out[board.board] = reason
    return Targets(chosen, left_out)


def choose_some(
    boards: Sequence[Board], wanted: BoardSelector, groups: Mapping[str, BoardSelector]
) -> Targets:
    """Return the boards of a job that is to start now.

    Raises UnsupportedError for names that there are not, for a drained board that is named, and when none is left.
    """
    check_selector(boards, wanted, groups)
    for board in boards:
        if board.drained and board.board in wanted.ids:
            raise UnsupportedError(f"boards.ids: the board {board.board!r} is drained", code="board.drained")
    targets = choose(boards, wanted, groups)
    if not targets.chosen:
        raise UnsupportedError(
            f"boards: none matches {msgspec.json.encode(wanted).decode()}; boards known: "
            f"{_some(board.board for board in boards)}",
            code="board.none",
        )
    return targets


def _left_out(board: Board, wanted: BoardSelector, groups: Mapping[str, BoardSelector]) -> str | None:
    reason = _unmatched(board, wanted, groups) or _excluded(board, wanted.except_, groups, "boards.except")
    if reason is None and board.drained:
        return "the board is drained"
    return reason


def _unmatched(board: Board, wanted: BoardSelector, groups: Mapping[str, BoardSelector]) -> str | None:
    """Return why nothing in the selector means this board; None when something does."""
    means_all = wanted.all or not (wanted.ids or wanted.labels or wanted.groups)
    if (means_all and (wanted.all or wanted.except_ != Except())) or board.board in wanted.ids:
        return None
    reasons = []
    if wanted.ids:
        reasons.append("not among boards.ids")
    if wanted.labels:
        wrong = _wrong_label(board, wanted.labels)
        if wrong is None:
            return None
        reasons.append(wrong)
    for name in wanted.groups:
        if _in_group(board, name, groups):
            return None
        reasons.append(f"not in the group {name!r}")
    return "; ".join(reasons) or "boards names none"


def _wrong_label(board: Board, labels: Labels) -> str | None:
    for key, allowed in labels.items():
        if board.labels.get(key) not in _values(allowed):
            found = repr(board.labels[key]) if key in board.labels else "nothing"
            return f"its label {key!r} is {found}, expected {' or '.join(map(repr, _values(allowed)))}"
    return None


def _excluded(board: Board, without: Except, groups: Mapping[str, BoardSelector], place: str) -> str | None:
    if board.board in without.ids:
        return f"left out by {place}.ids"
    if without.labels and _wrong_label(board, without.labels) is None:
        return f"left out by {place}.labels"
    for name in without.groups:
        if _in_group(board, name, groups):
            return f"left out by {place}.groups: it is in {name!r}"
    return None


def _in_group(board: Board, name: str, groups: Mapping[str, BoardSelector]) -> bool:
    group = groups.get(name)
    if group is None:
        return False
    return _unmatched(board, group, {}) is None and _excluded(board, group.except_, {}, name) is None


def _values(allowed: str | list[str]) -> list[str]:
    return [allowed] if isinstance(allowed, str) else allowed


def _some(names: Iterable[str]) -> str:
    there = sorted(names)
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return ", ".join(there[:_SHOWN]) + more or "none"
