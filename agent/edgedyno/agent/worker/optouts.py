"""Telemetry of runtimes is switched off before any of them is imported.

ONNX Runtime 1.31 and newer writes a device id and contacts its maker unless told not to before import. OpenVINO
does so at every import (seen in 2026.4.1 with openvino-telemetry 2025.2.0) and heeds no variable but CI=true;
without its reporting package it has nothing to report with, and says nothing.
"""

import ctypes
import os
import sys

OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENVINO_TELEMETRY_OPT_OUT": "1",
    "NNCF_TELEMETRY_OPT_OUT": "1",
    "DO_NOT_TRACK": "1",  # consoledonottrack.com; some honour only this
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MPLBACKEND": "Agg",
}

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def opt_out() -> None:
    """Set every opt-out in this process's environment, and let reporting packages count as not installed."""
    os.environ.update(OPT_OUTS)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def leave_network() -> bool:
    """Move this process into a network namespace without interfaces, where the system lets it.

    Has to run before any thread is started. Root needs no user namespace for it; others try one.
    """
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)
