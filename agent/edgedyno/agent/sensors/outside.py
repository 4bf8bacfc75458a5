"""Makes the sensors of meters outside the board from the configuration's entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.core.meters import PLUGS

if TYPE_CHECKING:
    from edgedyno.agent.sensors.base import Sensor
    from edgedyno.core.meters import MeterSettings


def make_outside(settings: MeterSettings) -> Sensor:
    """Return the sensor for an entry; nothing is read, connected or imported that is not needed."""
    if settings.source in PLUGS:
        from edgedyno.agent.sensors.plug import MqttPlug

        return MqttPlug(settings)
    if settings.source == "file":
        from edgedyno.agent.sensors.file import ExternalFile

        return ExternalFile(settings)
    from edgedyno.agent.sensors.usb_meter import Tc66

    return Tc66(settings)
