"""Files that exist here, would be of use, and may not be read by this user; with what exactly grants it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.finding import Finding, Status
from edgedyno.agent.host.read import read_int

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.host.place import Place

GROUP = "edgedyno"
# From this level on an ordinary user may not even count events of his own processes (kernel, admin-guide/sysctl).
PARANOID_ALL = 3


class _Files(Struct, frozen=True):
    """Files of one purpose."""

    name: str
    pattern: str
    """Below the root."""
    purpose: str
    remedy: str
    status: Status = "warn"


def _tmpfiles(name: str, *lines: str) -> str:
    """Return the command that keeps a permission in /sys over reboots (tmpfiles.d(5))."""
    text = "".join(f"{line}\\n" for line in lines)
    file = f"/etc/tmpfiles.d/edgedyno-{name}.conf"
    return f"printf '{text}' | sudo tee {file} && sudo systemd-tmpfiles --create {file}"


def _udev(name: str, rule: str) -> str:
    """Return the command that keeps a permission in /dev over reboots (udev(7))."""
    file = f"/etc/udev/rules.d/60-edgedyno-{name}.rules"
    return f"echo '{rule}' | sudo tee {file} && sudo udevadm control --reload && sudo udevadm trigger"


_RAPL = "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:*"
FILES = (
    _Files(
        "rapl",
        "sys/class/powercap/intel-rapl:*/energy_uj",
        "energy per inference",
        _tmpfiles(
            "rapl",
            f"z {_RAPL}/energy_uj 0440 root {GROUP}",
            f"z {_RAPL}/intel-rapl:*/energy_uj 0440 root {GROUP}",
        ),
    ),
    _Files(
        "ipmi_dcmi",
        "dev/ipmi[0-9]*",
        "the machine's power",
        _udev("ipmi", f'KERNEL=="ipmi*", GROUP="{GROUP}", MODE="0660"'),
    ),
    _Files("pmic", "dev/vcio", "the Pi's power and throttling", f"sudo usermod -aG video {GROUP}"),
    _Files(
        "thermal",
        "sys/class/thermal/thermal_zone*/temp",
        "temperatures",
        _tmpfiles("thermal", "z /sys/class/thermal/thermal_zone*/temp 0444"),
    ),
    _Files(
        "throttling",
        "sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count",
        "throttling",
        _tmpfiles("throttle", "z /sys/devices/system/cpu/cpu*/thermal_throttle/*_count 0444"),
    ),
    _Files(
        "msr",
        "dev/cpu/0/msr",
        "tools such as turbostat; edgedyno does without",
        _udev("msr", f'KERNEL=="msr*", GROUP="{GROUP}", MODE="0640"'),
        "info",
    ),
)


def remedy_for(source: str) -> str:
    """Return what grants reading a power source."""
    known = {files.name: files.remedy for files in FILES}
    return known.get(source, f"let the agent's user read it, such as by the group {GROUP}")


def forbidden(place: Place) -> Iterator[Finding]:
    """Find what may not be read here."""
    for files in FILES:
        denied = [path for path in sorted(place.root.glob(files.pattern)) if not os.access(path, os.R_OK)]
        if denied:
            text = f"{denied[0]} may not be read: {files.purpose}"
            yield Finding("permissions", files.status, text, files.remedy)
    paranoid = read_int(place.path("proc/sys/kernel/perf_event_paranoid"))
    if paranoid is not None and paranoid >= PARANOID_ALL:
        text = (
            f"perf_event_paranoid is {paranoid}: profilers of runtimes count nothing; edgedyno does without"
        )
        yield Finding("permissions", "info", text, "sudo sysctl kernel.perf_event_paranoid=2")
