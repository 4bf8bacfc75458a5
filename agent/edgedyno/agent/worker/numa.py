"""Memory on the node of the cores: asked of the kernel before a runtime is loaded, and checked afterwards.

Pages that are there already, the interpreter's own, stay where they are. Nothing here raises: a system that
refuses says why, and the answer goes with the result.
"""

import ctypes
import os
import platform
import sys
from typing import Dict, NamedTuple, Optional, Tuple

_MPOL_BIND = 2
_MAX_NODES = 1024  # MAX_NUMNODES of the largest kernel configurations
# get_mempolicy and set_mempolicy; glibc has no wrapper. Sources: the kernel's arch/x86/entry/syscalls/
# syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_SYSCALLS = {"x86_64": (239, 238), "aarch64": (236, 237), "riscv64": (236, 237)}


class Bound(NamedTuple):
    """Whether memory was bound to the node, or why not."""

    bound: bool
    reason: Optional[str] = None


def bind_memory(node: int) -> Bound:
    """Let this process and its later threads take memory from `node` only; verified by asking back."""
    numbers = _syscalls()
    if numbers is None:
        return Bound(False, "no system call number is known for %s" % platform.machine())
    get_number, set_number = numbers
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong * (_MAX_NODES // _word_bits()))()
    words[node // _word_bits()] = 1 << (node % _word_bits())
    # The kernel looks at one bit less than it is told (set_mempolicy(2), under notes).
    if libc.syscall(set_number, _MPOL_BIND, words, ctypes.c_ulong(_MAX_NODES + 1)) != 0:
        return Bound(False, _refusal("set_mempolicy", node))
    mode = ctypes.c_int()
    seen = (ctypes.c_ulong * len(words))()
    arguments = (ctypes.byref(mode), seen, ctypes.c_ulong(_MAX_NODES + 1), None, ctypes.c_ulong(0))
    if libc.syscall(get_number, *arguments) != 0:
        return Bound(False, _refusal("get_mempolicy", node))
    if mode.value != _MPOL_BIND or list(seen) != list(words):
        return Bound(False, "the kernel took memory node %d and keeps another policy" % node)
    return Bound(True)


def _syscalls() -> Optional[Tuple[int, int]]:
    """Return the numbers for this process; a 32-bit one on a 64-bit kernel has others, and one node."""
    return _SYSCALLS.get(platform.machine()) if sys.maxsize > 2**32 else None


def _word_bits() -> int:
    return 8 * ctypes.sizeof(ctypes.c_ulong)


def _refusal(call: str, node: int) -> str:
    return "%s of memory node %d: %s" % (call, node, os.strerror(ctypes.get_errno()))


def strayed_ratio(node: int, maps: str = "/proc/self/numa_maps") -> Optional[float]:
    """Return the share of this process's anonymous memory that lies on other nodes; None where nothing tells.

    Pages of files are left out: who read a file first decided where its pages are.
    """
    try:
        with open(maps) as file:
            pages = anonymous_bytes(file.read())
    except OSError:
        return None
    total = sum(pages.values())
    return (total - pages.get(node, 0)) / total if total else None


def anonymous_bytes(text: str) -> Dict[int, int]:
    """Return the anonymous bytes on each node as /proc/PID/numa_maps tells them (proc(5))."""
    found: Dict[int, int] = {}
    for line in text.splitlines():
        words = line.split()[2:]
        if any(word.startswith("file=") for word in words):
            continue
        pairs = dict(word.split("=", 1) for word in words if "=" in word)
        page_bytes = int(pairs.get("kernelpagesize_kB", "4")) * 1024
        for key, count in pairs.items():
            if key[0] == "N" and key[1:].isdigit():
                found[int(key[1:])] = found.get(int(key[1:]), 0) + int(count) * page_bytes
    return found
