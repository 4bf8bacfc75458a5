"""What a process asked of the file system, as strace saw it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TRACED = (
    "openat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,ftruncate,truncate,fallocate,unlink,unlinkat,"
    "rename,renameat,renameat2,link,linkat,mkdir,sync_file_range,copy_file_range,sendfile"
)
_CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+)")
_HEX = r'"((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?'
_DESCRIPTOR = r"(\d+)<((?:\\x[0-9a-f]{2})*)(?:\(deleted\))?>"


class Call(NamedTuple):
    """One call that succeeded; which fields count depends on `name`."""

    name: str
    path: str
    data: bytes = b""
    offset: int = 0
    size: int = 0
    other: str = ""
    flags: str = ""
    descriptor: int = -1


def trace(command: Sequence[str], log: Path) -> None:
    """Run a command to its end under strace; CalledProcessError when it fails."""
    arguments = ["strace", "-f", "-y", "-xx", "-s", str(1 << 24), "-e", f"trace={TRACED}", "-o", str(log)]
    subprocess.run([*arguments, *command], check=True, timeout=240)


def read_calls(log: Path) -> Iterator[Call]:
    """Yield the calls in the order in which they returned; raises ValueError for one that is not understood."""
    with log.open() as lines:
        for line in lines:
            found = _CALL.match(line)
            if found and int(found[3]) >= 0:
                yield _read(found[1], found[2], int(found[3]))


def _read(name: str, arguments: str, answer: int) -> Call:
    texts = [_bytes(text) for text in re.findall(_HEX, arguments)]
    numbers = [int(number) for number in re.findall(r", (-?\d+)(?=,|$)", arguments)]
    on = re.match(_DESCRIPTOR, arguments)
    if on is None or name == "openat":
        return _read_named(name, [text.decode() for text in texts], arguments, answer)
    path, descriptor = _bytes(on[2]).decode(), int(on[1])
    known = {
        "write": lambda: Call("write", path, data=texts[0][:answer], descriptor=descriptor),
        "pwrite64": lambda: Call("pwrite", path, data=texts[0][:answer], offset=numbers[-1]),
        "fsync": lambda: Call("sync", path),
        "fdatasync": lambda: Call("sync", path),
        "ftruncate": lambda: Call("truncate", path, size=numbers[-1]),
        "fallocate": lambda: Call("extend", path, size=numbers[-2] + numbers[-1]),
    }
    if name not in known:
        raise ValueError(f"found {name}({arguments[:200]}), which the model of the disk does not know")
    return known[name]()


def _read_named(name: str, paths: list[str], arguments: str, answer: int) -> Call:
    if name == "openat":
        return Call("open", paths[0], flags=arguments.rsplit('"', 1)[1], descriptor=answer)
    if name in {"unlink", "mkdir", "rename", "link"}:
        return Call(name, paths[0], other=paths[1] if len(paths) > 1 else "")
    raise ValueError(f"found {name}({arguments[:200]}), which the model of the disk does not know")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
