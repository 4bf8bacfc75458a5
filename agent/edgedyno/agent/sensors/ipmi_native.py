"""Asks the BMC for its power by the Python package pyghmi, for boards without ipmitool. Reads no meaning into it."""

from __future__ import annotations

from typing import Any

from edgedyno.agent.sensors.base import Unavailable
from edgedyno.agent.sensors.extras import IPMI, load

# DCMI 1.5, section 6.6.1: Get Power Reading of the system's statistics.
_GROUP_NETFN, _GET_POWER_READING = 0x2C, 0x02
_GROUP, _SYSTEM_STATISTICS = 0xDC, 0x01


def ask_dcmi_power() -> bytes | Unavailable:
    """Return the answer of this machine's BMC after its group byte, or why there is none."""
    command: Any = load(IPMI, "a BMC is here, and reading its power needs ipmitool or")
    if isinstance(command, Unavailable):
        return command
    try:
        answer = command.Command().raw_command(
            netfn=_GROUP_NETFN, command=_GET_POWER_READING, data=(_GROUP, _SYSTEM_STATISTICS, 0, 0)
        )
    except Exception as error:  # noqa: BLE001  (the library's own errors, which are not ours to import)
        return Unavailable(f"pyghmi: {type(error).__name__}: {error}")
    if answer.get("error") or answer.get("code"):
        return Unavailable(f"pyghmi: {answer.get('error') or 'code {:#x}'.format(answer['code'])}")
    return bytes(answer.get("data") or b"")[1:]
