"""Tells which modules an interpreter has, by looking (`find`) or by importing (`import`). Standard library only.

Run by the bootstrap in the interpreter that is surveyed: one look for all runtimes, so that only those that are
there cost a child of their own.
"""

import importlib
import importlib.util
import json
import os
import platform
import sys
import sysconfig
from typing import Any, Dict, List, Optional

from edgedyno.agent.worker import optouts


def main(arguments: List[str]) -> int:
    """Write one JSON object to standard output; what modules print while they are imported goes to stderr."""
    how, modules = arguments[0], arguments[1:]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        look = _import if how == "import" else _find
        answer.write(json.dumps(dict(describe(), missing=_missing(look, modules))))
    return 0


def describe() -> Dict[str, Any]:
    """Tell what the interpreter is; its architecture is that of its own code, not the kernel's."""
    machine = sysconfig.get_platform().rpartition("-")[2]
    narrow = " (32-bit Python)" if sys.maxsize < 2**32 and machine in ("x86_64", "aarch64") else ""
    return {"python": platform.python_version(), "architecture": machine + narrow}


def _missing(look: Any, modules: List[str]) -> Dict[str, str]:
    found = {name: look(name) for name in modules}
    return {name: reason for name, reason in found.items() if reason is not None}


def _find(name: str) -> Optional[str]:
    try:
        return None if importlib.util.find_spec(name) is not None else "not installed"
    except (ImportError, ValueError) as error:
        return str(error)


def _import(name: str) -> Optional[str]:
    optouts.opt_out()
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
        return "%s: %s" % (type(error).__name__, error)
    return None
