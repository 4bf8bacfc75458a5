"""What confines workers on this system, found out by a child that confines itself in the same way."""

from __future__ import annotations

import os
import subprocess
import sys

from edgedyno.agent.finding import Finding
from edgedyno.agent.worker import landlock, optouts

_SECONDS = 20.0
_PROBE = (
    "import runpy, sys\n"
    f"left = runpy.run_path({optouts.__file__!r})['leave_network']()\n"
    "sys.exit(0 if left else 1)"
)


def confinement_findings() -> list[Finding]:
    """Say whether workers are without network here, and whether the agent has rights that it does not need."""
    findings = [_network(), _files()]
    if os.geteuid() == 0:
        text = "this is root: a model that breaks a runtime open would have the whole machine"
        findings.append(
            Finding("user", "warn", text, "run the agent as a user of its own, as its systemd unit does")
        )
    return findings


def _files() -> Finding:
    if landlock.version():
        return Finding(
            "workers' files", "ok", "the agent's key, token, results and journal are out of their reach"
        )
    return Finding(
        "workers' files",
        "info",
        "a model that breaks a runtime open could read and write the agent's files",
        "a kernel with Landlock (5.13 and newer, `landlock` among its lsm=) keeps workers from them",
    )


def _network() -> Finding:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], timeout=_SECONDS, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("workers", "warn", f"cannot tell whether they have network: {error}")
    if done.returncode == 0:
        return Finding("workers", "ok", "run without network, new privileges, or the agent's environment")
    return Finding(
        "workers",
        "warn",
        "keep the network: this system lets the agent make no namespace for them",
        "kernel.unprivileged_userns_clone, AppArmor's userns rule or systemd's RestrictNamespaces forbids it",
    )
