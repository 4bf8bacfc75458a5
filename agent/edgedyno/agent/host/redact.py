"""Take out of a text what names a person, a machine or a network. Pure text; not responsible for which files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Match

# Names that come with an image and tell nothing about anybody; several are words of device trees too.
COMMON_NAMES = frozenset(
    (
        *(
            "admin",
            "administrator",
            "arm",
            "debian",
            "default",
            "edgedyno",
            "fedora",
            "jetson",
            "linux",
            "localhost",
        ),
        *(
            "nobody",
            "nvidia",
            "openeuler",
            "orangepi",
            "pi",
            "radxa",
            "raspberrypi",
            "rock",
            "root",
            "server",
        ),
        *("system", "test", "ubuntu", "user", "vagrant"),
    )
)
LEAST_NAME = 3
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_MAC = re.compile(r"\b[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}\b")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
# Three colons or more: `0::/` of a control group and `intel-rapl:0:0` are none.
_IPV6 = re.compile(r"(?<![\w:])[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){3,7}(?![\w:])")
_SERIAL = re.compile(r"(?i)(\bserial(?:[ _-]?(?:number|num|no))?\b[\"']?[ \t]*[:=][ \t]*)(\S+)")
# Ids of containers and machines; a hash of 32 digits or more names something.
_LONG_ID = re.compile(r"\b[0-9a-fA-F]{32,128}\b")
_BUILDER = re.compile(r"\(([^()\s@]+)@([^()\s@]+)\)")


class Redacted(NamedTuple):
    """A text without what names anybody, and the kinds of things that were taken out."""

    text: str
    kinds: tuple[str, ...]


class Redactor:
    """Redacts the same thing the same way everywhere, so that paths and texts still agree."""

    def __init__(self, hosts: Iterable[str] = (), users: Iterable[str] = ()) -> None:
        self._names = {
            **dict.fromkeys(_telling(users), ("user name", "someone")),
            **dict.fromkeys(_telling(hosts), ("host name", "somewhere")),
        }
        names = sorted(map(re.escape, self._names), key=len, reverse=True)
        self._pattern = (
            re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(names)})(?![A-Za-z0-9])") if names else None
        )

    def apply(self, text: str) -> Redacted:
        """Return the text without serial numbers, addresses, ids and names."""
        kinds: list[str] = []
        for kind, pattern, replacement in (
            ("UUID", _UUID, "00000000-0000-0000-0000-000000000000"),
            ("MAC address", _MAC, "00:00:00:00:00:00"),
            ("IP address", _IPV6, "::"),
            ("serial number", _SERIAL, _zeroed),
            ("id", _LONG_ID, lambda match: "0" * len(match[0])),
            ("builder", _BUILDER, "(someone@somewhere)"),
        ):
            changed = pattern.sub(replacement, text)
            kinds += [kind] * (changed != text)
            text = changed
        text, count = _subn_ipv4(text)
        kinds += ["IP address"] * bool(count)
        if self._pattern:
            found = {self._names[match[0]][0] for match in self._pattern.finditer(text)}
            kinds += sorted(found)
            text = self._pattern.sub(lambda match: self._names[match[0]][1], text)
        return Redacted(text, tuple(dict.fromkeys(kinds)))


def _telling(names: Iterable[str]) -> list[str]:
    """Return the names that tell something: not those that come with an image."""
    return [
        name
        for name in names
        if len(name) >= LEAST_NAME and name.lower() not in COMMON_NAMES and not name.isdecimal()
    ]


def _zeroed(match: Match[str]) -> str:
    return match[1] + re.sub(r"[0-9A-Za-z]", "0", match[2])


def _subn_ipv4(text: str) -> tuple[str, int]:
    """Replace what is an address by its numbers; 127.0.0.1 and 0.0.0.0 name nobody."""
    count = 0

    def replaced(match: Match[str]) -> str:
        nonlocal count
        parts = [int(part) for part in match[0].split(".")]
        if max(parts) > 255 or parts[0] in (0, 127):  # noqa: PLR2004 - an octet; loopback
            return match[0]
        count += 1
        return "0.0.0.0"  # noqa: S104 - a text, no socket

    return _IPV4.sub(replaced, text), count
