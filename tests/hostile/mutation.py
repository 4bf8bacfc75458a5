"""Makes hostile inputs of good ones: bytes flipped, cut, doubled; JSON with a value of another kind, size or depth."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What has broken parsers, paths, shells, databases and clocks elsewhere.
TEXTS = (
    "", "\0", "..", "../../../../etc/passwd", "/etc/passwd", "~root", "a/b", "C:\\x", "$(touch /tmp/hostile)", "`id`",
    "; rm -rf /", "| sh", "'; DROP TABLE jobs; --", "%s%n%x", "{{7*7}}", "<script>", "\u202e", "\ud800", "é" * 40,
    "x" * 5000, "-rf", "--help", "\n\r\t", "edgedyno/v1/+/#", "NaN", "true", "null", "0", "1e999", "IN_PROGRESS",
    "SUCCEEDED", "nope",
)  # fmt: skip
NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**32,
    2**53,
    2**53 + 1,
    2**63,
    -(2**63),
    2**64,
    10**30,
    1e308,
    -1e308,
    5e-324,
    0.1,
)
_MAX_BYTES = 1 << 16


class Mutator:
    """A stream of inputs that follows from its seed alone."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._random = random.Random(seed)
        self._seeds = list(seeds)
        self._most = max(_MAX_BYTES, *map(len, self._seeds))
        self._kinds: list[Callable[[bytes], bytes]] = [
            self._flip, self._cut, self._double, self._insert, self._splice, self._number, self._json, self._json,
            self._json, self._noise,
        ]  # fmt: skip

    def next(self) -> bytes:
        """Return the next input."""
        data = self._random.choice(self._seeds)
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3, 6))):
            data = self._random.choice(self._kinds)(data)[: self._most]
        return data

    def _at(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(min(len(changed), self._random.choice((1, 1, 2, 8)))):
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _cut(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:first] if self._random.random() < 0.5 else data[:first] + data[last:]

    def _double(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:last] + data[first:last] * self._random.choice((1, 2, 50)) + data[last:]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        what = self._random.choice(TEXTS).encode("utf-8", "surrogatepass")
        return data[:at] + what + data[at:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._at(data)] + other[self._at(other) :]

    def _number(self, data: bytes) -> bytes:
        """Write a size or an offset over four or eight bytes, as binary formats have them."""
        if len(data) < 8:
            return data
        at = self._random.randrange(len(data) - 7)
        value = self._random.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data), 46))
        order = self._random.choice(("little", "big"))
        return data[:at] + value.to_bytes(4, order) + data[at + 4 :]  # type: ignore[arg-type]

    def _noise(self, data: bytes) -> bytes:
        return self._random.randbytes(self._random.choice((1, 16, 300)))

    def _json(self, data: bytes) -> bytes:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return self._flip(data)
        return json.dumps(self._changed(value)).encode("utf-8", "surrogatepass")

    def _changed(self, value: Any) -> Any:
        """Change one place of a tree."""
        if isinstance(value, dict) and value and self._random.random() < 0.85:
            key = self._random.choice(list(value))
            changed = dict(value)
            if self._random.random() < 0.1:
                del changed[key]
            else:
                changed[key] = self._changed(changed[key])
            return changed
        if isinstance(value, list) and value and self._random.random() < 0.85:
            at = self._random.randrange(len(value))
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        return self._other(value)

    def _other(self, value: Any) -> Any:
        made: list[Callable[[], Any]] = [
            lambda: self._random.choice(TEXTS),
            lambda: self._random.choice(NUMBERS),
            lambda: self._random.choice((None, True, False, [], {}, [[]], {"": ""})),
            lambda: [value] * self._random.choice((2, 300)),
            lambda: self._deep(value),
            lambda: dict.fromkeys(TEXTS[:5], value),
            lambda: value + 1 if isinstance(value, int) else str(value) + "x",
        ]
        return self._random.choice(made)()

    def _deep(self, value: Any) -> Any:
        for _ in range(self._random.choice((5, 200))):
            value = [value] if self._random.random() < 0.5 else {"x": value}
        return value
