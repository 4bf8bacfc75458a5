"""What a disk holds when the power goes: all that was synced, and any part of what was not.

The model is harsher than file systems with a journal are: unsynced writes of a file survive in any order and by
sectors, names by directory in order up to any point. A synced file has its name.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.power.syscalls import Call

SECTOR_BYTES = 512


class _File:
    def __init__(self, content: bytes = b"") -> None:
        self.safe = bytearray(content)
        self.pending: list[tuple[int, bytes] | int] = []
        """Writes at an offset, or new sizes, since the file was last synced."""
        self.copy: Path | None = None
        """A file that holds `safe`."""

    def sync(self) -> None:
        if self.pending:
            self.copy = None
        for change in self.pending:
            _apply(self.safe, change)
        self.pending.clear()

    def survive(self, chance: random.Random, share: float) -> bytes:
        content = bytearray(self.safe)
        for change in self.pending:
            if isinstance(change, int):
                if chance.random() < share:
                    _apply(content, change)
                continue
            offset, data = change
            for part in _sectors(offset, data):
                if chance.random() < share:
                    _apply(content, part)
        return bytes(content)


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    end = offset + len(data)
    edges = [offset, *range(offset - offset % SECTOR_BYTES + SECTOR_BYTES, end, SECTOR_BYTES), end]
    return [(low, data[low - offset : high - offset]) for low, high in pairwise(edges)]


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    offset, data = change
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


class Disk:
    """The files under one folder.

    Safe files outside of `rewritten`, which nobody writes in place, are kept in `copies` and linked.
    """

    def __init__(self, folder: Path, *, copies: Path, rewritten: str) -> None:
        self._root = str(folder)
        self._copies = copies
        self._rewritten = f"{folder}/{rewritten}/"
        copies.mkdir()
        self._names = {str(path): _File(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
        self._safe_names = dict(self._names)
        self._pending_names: list[tuple[str, _File | None]] = []
        self._positions: dict[int, int] = {}
        self._count = 0

    def apply(self, call: Call) -> None:
        """Do what a call did."""
        if not call.path.startswith(self._root):
            return
        getattr(self, f"_{call.name}")(call)

    def _open(self, call: Call) -> None:
        self._positions[call.descriptor] = 0
        if call.path in self._names:
            if "O_TRUNC" in call.flags:
                self._names[call.path].pending.append(0)
        elif "O_CREAT" in call.flags:
            self._name(call.path, _File())

    def _write(self, call: Call) -> None:
        at = self._positions.get(call.descriptor, 0)
        self._names[call.path].pending.append((at, call.data))
        self._positions[call.descriptor] = at + len(call.data)

    def _pwrite(self, call: Call) -> None:
        self._names[call.path].pending.append((call.offset, call.data))

    def _truncate(self, call: Call) -> None:
        self._names[call.path].pending.append(call.size)

    def _extend(self, call: Call) -> None:
        file = self._names[call.path]
        file.pending.append(max(call.size, len(file.safe)))

    def _sync(self, call: Call) -> None:
        if call.path in self._names:
            file = self._names[call.path]
            file.sync()
            self._make_safe(lambda _, named: named is file)
        else:
            self._make_safe(lambda path, _: str(Path(path).parent) == call.path)

    def _unlink(self, call: Call) -> None:
        if call.path in self._names:
            self._name(call.path, None)

    def _rename(self, call: Call) -> None:
        file = self._names[call.path]
        self._name(call.other, file)
        self._name(call.path, None)

    def _link(self, call: Call) -> None:
        if call.path in self._names:
            self._name(call.other, self._names[call.path])

    def _mkdir(self, call: Call) -> None:
        """Folders are taken to be safe: they are made before anything is promised."""

    def _name(self, path: str, file: _File | None) -> None:
        self._pending_names.append((path, file))
        _give(self._names, path, file)

    def _make_safe(self, which: Callable[[str, _File | None], bool]) -> None:
        rest = []
        for path, file in self._pending_names:
            if which(path, file):
                _give(self._safe_names, path, file)
            else:
                rest.append((path, file))
        self._pending_names = rest

    def cut_power(self, chance: random.Random, target: Path) -> None:
        """Write into the empty folder `target` what could be there after the power came back."""
        names = dict(self._safe_names)
        for path, file in self._pending_names[: chance.randint(0, len(self._pending_names))]:
            _give(names, path, file)
        share = chance.choice([0.0, 0.5, 0.9, 1.0])
        for path, file in names.items():
            place = target / os.path.relpath(path, self._root)
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.pending or path.startswith(self._rewritten):
                _write(place, file.survive(chance, share))
            else:
                place.hardlink_to(self._copy_of(file))

    def _copy_of(self, file: _File) -> Path:
        if file.copy is None:
            file.copy = self._copies / str(self._count)
            self._count += 1
            _write(file.copy, bytes(file.safe))
        return file.copy


def _give(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _write(path: Path, content: bytes) -> None:
    """Write a file; one of zeros, such as reserved space, without its blocks."""
    with path.open("wb") as file:
        if content and content == bytes(len(content)):
            file.truncate(len(content))
        else:
            file.write(content)
