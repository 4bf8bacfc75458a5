"""Keeps a worker from the agent's own files by Landlock, where the kernel has it (5.13 and newer; no rights needed).

Landlock only grants: so everything is granted but what is hidden, folder by folder on the way to it. Whoever is
fenced in cannot look into processes outside either, nor signal them, nor use TCP, as far as the kernel's version
goes. Numbers and layouts: https://docs.kernel.org/userspace-api/landlock.html and linux/landlock.h.
"""

import ctypes
import os
import stat
from typing import Iterator, List, Sequence, Set, Tuple

# The same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READING = _EXECUTE | _READ_FILE | _READ_DIR
# Versions of the interface, and what they know of: removing and making came first, then moving, then truncating.
_FIRST, _WITH_REFER, _WITH_TRUNCATE, _WITH_TCP, _WITH_SCOPES = 1, 2, 3, 4, 6
_ALL_OF_FIRST = (1 << 13) - 1
_REFER = 1 << 13
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract sockets, signals


class _RulesetAttr(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("folder_fd", ctypes.c_int32)]


def version() -> int:
    """Return the version of the kernel's interface, 0 where there is none."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def fence_in(hidden: Sequence[str], read_only: Sequence[str], opened: Sequence[str]) -> bool:
    """Give up what is at or below `hidden`, and writing at or below `read_only`; tell whether it is so now.

    What is `read_only` or `opened` inside of something hidden can be reached. For good, and for all threads and
    programs that this one starts later. Needs `no_new_privileges` before.
    """
    number = version()
    if not number:
        return False
    rights = _known_rights(number)
    attr = _RulesetAttr(rights, _TCP if number >= _WITH_TCP else 0, _SCOPES if number >= _WITH_SCOPES else 0)
    # An older kernel refuses fields that it does not know.
    size = 24 if number >= _WITH_SCOPES else 16 if number >= _WITH_TCP else 8
    ruleset = _syscall(_CREATE_RULESET, ctypes.byref(attr), size, 0)
    if ruleset < 0:
        return False
    try:
        for path, access in _grants(hidden, read_only, opened, rights):
            _grant(ruleset, path, access)
        return _syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _known_rights(number: int) -> int:
    known = _ALL_OF_FIRST
    if number >= _WITH_REFER:
        known |= _REFER
    if number >= _WITH_TRUNCATE:
        known |= _TRUNCATE
    return known


def _grants(
    hidden: Sequence[str], read_only: Sequence[str], opened: Sequence[str], rights: int
) -> Iterator[Tuple[str, int]]:
    # Names may be seen everywhere, or nobody could list a folder on the way.
    yield "/", _READ_DIR
    for path in _on_the_way("/", {os.path.realpath(path) for path in (*hidden, *read_only)}):
        yield path, rights
    for path in read_only:
        yield path, rights & _READING
    for path in opened:
        yield path, rights


def _on_the_way(folder: str, special: Set[str]) -> Iterator[str]:
    """Return all in this folder that is not special; of folders that hold something special, what is in them."""
    for name in _names(folder, special):
        path = os.path.join(folder, name)
        if path in special or os.path.islink(path):
            continue  # what a link leads to is met where it really is
        if any(each.startswith(path + "/") for each in special):
            for found in _on_the_way(path, special):
                yield found
        else:
            yield path


def _names(folder: str, special: Set[str]) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:  # may be passed through, not listed
        start = folder.rstrip("/") + "/"
        return sorted({each[len(start) :].split("/")[0] for each in special if each.startswith(start)})


def _grant(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # gone, or out of reach anyway
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _OF_FILES
        attr = _PathBeneathAttr(access, fd)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(attr), 0)
    finally:
        os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return int(call(ctypes.c_long(number), *(_long(argument) for argument in arguments)))


def _long(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
