"""Power meters outside the board, as the agent's configuration names them. Reads none of them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edgedyno.core.broker import Broker
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import Seconds, Watts

PLUGS = ("tasmota", "shelly_gen1", "shelly_gen2", "zigbee2mqtt")
MeterSource = Literal["tasmota", "shelly_gen1", "shelly_gen2", "zigbee2mqtt", "file", "tc66"]

# What an entry has to name, and what else it may, by its source; `source` and `scope` belong to every one.
_NEEDS = {**dict.fromkeys(PLUGS, "topic"), "file": "file", "tc66": "port"}
_MAY = {
    **dict.fromkeys(PLUGS, ("channel", "broker", "ask_every")),
    "file": ("clock_offset", "resolution"),
    "tc66": (),
}


class MeterSettings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A smart plug on MQTT, a file that a lab meter writes, or a USB meter on a serial port."""

    source: MeterSource
    scope: str | None = None
    """What is metered; None: the wall for a plug, the DC input for a USB meter. A file has to say it."""
    topic: str | None = None
    """A plug's own name on the broker: Tasmota's %topic%, a Shelly's prefix, a friendly name of Zigbee2MQTT."""
    channel: Annotated[int, Meta(ge=1, le=8)] | None = None
    """Which outlet, counted from 1; has to be given where the plug has several."""
    broker: Broker | None = None
    """Where the plug publishes; None: the agent's own broker."""
    ask_every: Annotated[Seconds, Meta(ge=0, le=3600)] = 1.0
    """How often the plug is asked while something is measured; 0: only listen to what it says by itself."""
    file: str | None = None
    """CSV (`time,watts`) or JSON lines (`{"time": …, "watts": …}`), lengthened by the meter's program."""
    clock_offset: Annotated[Seconds, Meta(ge=-1e6, le=1e6)] | None = None
    """How far the file's clock is ahead of this board's; None: found from when the load begins and ends."""
    resolution: Annotated[Watts, Meta(gt=0)] | None = None
    """Smallest step of the file's figures; None: taken from its digits."""
    port: str | None = None
    """Serial port of a USB meter, such as /dev/ttyACM0."""


def check_meters(meters: list[MeterSettings]) -> list[MeterSettings]:
    """Return the entries if each has what its source needs and nothing else. Raises ConfigError."""
    for index, meter in enumerate(meters):
        where, needed = f"power[{index}]", _NEEDS[meter.source]
        if not getattr(meter, needed):
            raise ConfigError(
                f"{where}: found no {needed!r}, expected it for {meter.source}", code="config.power"
            )
        if meter.source == "file" and not meter.scope:
            raise ConfigError(
                f"{where}: found no 'scope', expected what the meter's leads are wired to, such as 'DC input'",
                code="config.power",
            )
        strange = [
            name
            for name in {name for names in _MAY.values() for name in names} | set(_NEEDS.values())
            if name not in (needed, *_MAY[meter.source])
            and getattr(meter, name) != getattr(MeterSettings(meter.source), name)
        ]
        if strange:
            raise ConfigError(
                f"{where}.{min(strange)}: found it for {meter.source}, "
                f"expected only {', '.join(('source', 'scope', needed, *_MAY[meter.source]))}",
                code="config.power",
            )
    return meters
