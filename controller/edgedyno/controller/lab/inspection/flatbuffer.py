"""As much of the FlatBuffers wire format as reading one table after another takes.

Source: the format's own description, flatbuffers.dev, "FlatBuffer internals". Offsets are from where they
stand; a table begins with the distance back to its vtable, which holds a field's place or 0.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Damaged(Exception):  # noqa: N818 - what is found, not a class of programming error
    """An offset leads out of the file."""


class Table:
    """One table of a flatbuffer."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - self._read("<i", at)
        self._vtable_size = self._read("<H", self._vtable)

    @classmethod
    def root(cls, data: bytes) -> Table:
        """Return the table that the file begins with. Raises Damaged."""
        if len(data) < 8:  # noqa: PLR2004 - an offset and an identifier
            raise Damaged(f"found {len(data)} bytes")
        return cls(data, struct.unpack_from("<I", data)[0])

    def _read(self, form: str, at: int) -> int:
        if not 0 <= at <= len(self._data) - struct.calcsize(form):
            raise Damaged(f"an offset leads to byte {at} of {len(self._data)}")
        return int(struct.unpack_from(form, self._data, at)[0])

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot + 2 > self._vtable_size:
            return None
        offset = self._read("<H", self._vtable + slot)
        return self._at + offset if offset else None

    def integer(self, field: int, form: str = "<i", default: int = 0) -> int:
        """Return a scalar field."""
        place = self._place(field)
        return default if place is None else self._read(form, place)

    def _indirect(self, place: int) -> int:
        return place + self._read("<I", place)

    def text(self, field: int) -> str:
        """Return a string field; empty where there is none."""
        place = self._place(field)
        return "" if place is None else self._string(self._indirect(place))

    def _string(self, start: int) -> str:
        length = self._read("<I", start)
        raw = self._data[start + 4 : start + 4 + length]
        if len(raw) != length:
            raise Damaged("a string leads out of the file")
        return raw.decode("utf-8", errors="replace")

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        start = self._indirect(place)
        count = self._read("<I", start)
        if count > len(self._data):
            raise Damaged(f"a list claims {count} entries")
        return start + 4, count

    def count(self, field: int) -> int:
        """Return the number of entries of a list field."""
        return self._vector(field)[1]

    def numbers(self, field: int, form: str = "<i") -> list[float]:
        """Return a list of scalars."""
        start, count = self._vector(field)
        size = struct.calcsize(form)
        if start + count * size > len(self._data):
            raise Damaged("a list leads out of the file")
        return [struct.unpack_from(form, self._data, start + index * size)[0] for index in range(count)]

    def child(self, field: int) -> list[Table]:
        """Return a table field: one table, or none."""
        place = self._place(field)
        return [] if place is None else [Table(self._data, self._indirect(place))]

    def tables(self, field: int) -> Iterator[Table]:
        """Go through a list of tables."""
        start, count = self._vector(field)
        for index in range(count):
            yield Table(self._data, self._indirect(start + 4 * index))
