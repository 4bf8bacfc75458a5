"""The first code of a builder: run by path in the tool's own interpreter, with nothing on PYTHONPATH.

It builds the namespace of this folder by hand, so that a foreign interpreter sees the builders and nothing
else of edgedyno's packages. It leaves the network, where the system lets it: a tool may neither fetch nor
report. Usage: PYTHON bootstrap.py BUILDER REQUEST.json, where BUILDER is a module here.
"""

import ctypes
import importlib
import os
import signal
import sys
import types
from pathlib import Path

_PACKAGE = "edgedyno.controller.lab.variants.tools"
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1  # prctl(2)


def _leave_network() -> bool:
    """Move into a network namespace without interfaces; before any thread is started. Root needs no other."""
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def _build_namespace(folder: str) -> None:
    names = _PACKAGE.split(".")
    for end in range(1, len(names) + 1):
        name = ".".join(names[:end])
        module = types.ModuleType(name)
        module.__path__ = [folder] if name == _PACKAGE else []
        sys.modules[name] = module
        if end > 1:
            setattr(sys.modules[".".join(names[: end - 1])], names[end - 1], module)


def _main() -> int:
    here = Path(__file__).resolve().parent
    # Else a builder would import its own neighbours in place of its tool.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    _build_namespace(str(here))
    # A build that nobody waits for any more would go on for minutes.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _leave_network()
    # OpenVINO reports every import and heeds no variable; without this package it has nothing to report with.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    toolkit = importlib.import_module(_PACKAGE + ".toolkit")
    return int(toolkit.serve(_PACKAGE + "." + sys.argv[1], sys.argv[2]))


if __name__ == "__main__":
    sys.exit(_main())
