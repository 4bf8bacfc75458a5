"""What smart plugs say on MQTT: topics, questions and payloads of each make. Pure; no connection.

Sources: Tasmota docs "Commands" (Status 8, TelePeriod) and "MQTT"; Shelly API docs, Gen1 "MQTT" and Gen2 "Switch";
Zigbee2MQTT docs "MQTT topics and messages".
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edgedyno.core.meters import MeterSettings

# Tasmota's WattRes is 0 by default: whole watts. A payload with decimals has a finer step.
COARSEST_STEP = Decimal(1)


class Report(NamedTuple):
    """One measurement of a plug."""

    watts: float
    step_watts: float
    """The place of the last digit that it wrote."""
    stamp: str | None
    """The plug's own time, where it tells one."""
    mark: Hashable
    """All that it measured: a plug that repeats every digit has not measured anew."""


class Question(NamedTuple):
    """What to publish for a plug to report at once. It changes no setting."""

    topic: str
    payload: str


class Dialect(NamedTuple):
    """One make's way to talk."""

    topics: Callable[[MeterSettings, str], list[str]]
    ask: Callable[[MeterSettings, str], Question]
    parse: Callable[[MeterSettings, str, bytes], Report | Unavailable]
    silence: str
    """What to look at when a plug of this make says nothing."""


def _outlet(settings: MeterSettings) -> int:
    return (settings.channel or 1) - 1


def _read(payload: bytes) -> Any:
    try:
        return json.loads(payload, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        return None


def _report(watts: object, stamp: object, others: tuple[object, ...] = ()) -> Report | Unavailable:
    if not isinstance(watts, Decimal) or not watts.is_finite():
        return Unavailable(f"the plug's power is {watts!r}, not a number")
    if watts < 0:
        return Unavailable(
            f"the plug says {watts} W: it meters what flows back, or it is wired the wrong way"
        )
    if watts == 0:
        return Unavailable("the plug says 0 W for a board that runs: too little for it to see, or not in use")
    if watts > PLAUSIBLE_WATTS:
        return Unavailable(f"the plug says {watts:.0f} W, which cannot be")
    exponent = watts.as_tuple().exponent
    step = min(COARSEST_STEP, Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0))
    when = str(stamp) if stamp is not None else None
    return Report(float(watts), float(step), when, (watts, when, *map(str, others)))


def _tasmota_topic(settings: MeterSettings, prefix: str) -> str:
    topic = settings.topic or ""
    return topic.replace("%prefix%", prefix) if "%prefix%" in topic else f"{prefix}/{topic}"


def _tasmota_topics(settings: MeterSettings, _reply: str) -> list[str]:
    return [
        f"{_tasmota_topic(settings, 'tele')}/SENSOR",
        f"{_tasmota_topic(settings, 'stat')}/STATUS8",
        f"{_tasmota_topic(settings, 'stat')}/STATUS10",
    ]


def _tasmota_ask(settings: MeterSettings, _reply: str) -> Question:
    return Question(f"{_tasmota_topic(settings, 'cmnd')}/STATUS", "8")


def _tasmota_parse(settings: MeterSettings, _topic: str, payload: bytes) -> Report | Unavailable:
    data = _read(payload)
    if isinstance(data, dict) and isinstance(data.get("StatusSNS"), dict):
        data = data["StatusSNS"]
    energy = data.get("ENERGY") if isinstance(data, dict) else None
    if not isinstance(energy, dict) or "Power" not in energy:
        return Unavailable(f"no ENERGY.Power in the payload: {payload[:80]!r}")
    watts = energy["Power"]
    if isinstance(watts, list):
        if settings.channel is None:
            return Unavailable(
                f"the plug has {len(watts)} outlets; say which one: channel: 1 to {len(watts)}"
            )
        if settings.channel > len(watts):
            return Unavailable(
                f"the plug has {len(watts)} outlets, channel {settings.channel} is none of them"
            )
        watts = watts[settings.channel - 1]
    elif (settings.channel or 1) > 1:
        return Unavailable(f"the plug has one outlet, channel {settings.channel} is none of them")
    return _report(
        watts, data.get("Time"), (energy.get("Voltage"), energy.get("Current"), energy.get("Total"))
    )


def _gen1_topics(settings: MeterSettings, _reply: str) -> list[str]:
    return [f"shellies/{settings.topic}/relay/{_outlet(settings)}/power"]


def _gen1_ask(settings: MeterSettings, _reply: str) -> Question:
    return Question(f"shellies/{settings.topic}/command", "update")


def _gen1_parse(_settings: MeterSettings, _topic: str, payload: bytes) -> Report | Unavailable:
    data = _read(payload)
    return _report(data if isinstance(data, Decimal) else payload[:80].decode("utf-8", "replace"), None)


def _gen2_topics(settings: MeterSettings, reply: str) -> list[str]:
    return [f"{settings.topic}/status/switch:{_outlet(settings)}", f"{reply}/rpc"]


def _gen2_ask(settings: MeterSettings, reply: str) -> Question:
    call = {"id": 1, "src": reply, "method": "Switch.GetStatus", "params": {"id": _outlet(settings)}}
    return Question(f"{settings.topic}/rpc", json.dumps(call))


def _gen2_parse(_settings: MeterSettings, _topic: str, payload: bytes) -> Report | Unavailable:
    data = _read(payload)
    if isinstance(data, dict) and isinstance(data.get("error"), dict):
        return Unavailable(f"the plug answered: {data['error'].get('message')}")
    if isinstance(data, dict) and isinstance(data.get("result"), dict):
        data = data["result"]
    if not isinstance(data, dict) or "apower" not in data:
        return Unavailable(f"no apower in the payload: {payload[:80]!r}")
    total = data.get("aenergy", {}).get("total") if isinstance(data.get("aenergy"), dict) else None
    return _report(data["apower"], None, (data.get("voltage"), data.get("current"), total))


def _zigbee_topic(settings: MeterSettings) -> str:
    topic = settings.topic or ""
    return topic if topic.startswith("zigbee2mqtt/") else f"zigbee2mqtt/{topic}"


def _zigbee_topics(settings: MeterSettings, _reply: str) -> list[str]:
    return [_zigbee_topic(settings)]


def _zigbee_ask(settings: MeterSettings, _reply: str) -> Question:
    return Question(f"{_zigbee_topic(settings)}/get", json.dumps({_zigbee_key(settings): ""}))


def _zigbee_key(settings: MeterSettings) -> str:
    return "power" if settings.channel is None else f"power_l{settings.channel}"


def _zigbee_parse(settings: MeterSettings, _topic: str, payload: bytes) -> Report | Unavailable:
    data = _read(payload)
    key = _zigbee_key(settings)
    if not isinstance(data, dict) or key not in data:
        outlets = [name for name in data if name.startswith("power_l")] if isinstance(data, dict) else []
        hint = f"; it has {', '.join(outlets)}: say channel: 1 to {len(outlets)}" if outlets else ""
        return Unavailable(f"no {key} in the payload{hint}: {payload[:80]!r}")
    others = (data.get("voltage"), data.get("current"), data.get("energy"))
    return _report(data[key], data.get("last_seen"), others)


DIALECTS = {
    "tasmota": Dialect(
        _tasmota_topics,
        _tasmota_ask,
        _tasmota_parse,
        "Tasmota reports by itself every 300 s only (TelePeriod); let edgedyno ask (ask_every), or set TelePeriod 10",
    ),
    "shelly_gen1": Dialect(
        _gen1_topics, _gen1_ask, _gen1_parse, "a Shelly needs MQTT switched on in its settings"
    ),
    "shelly_gen2": Dialect(
        _gen2_topics,
        _gen2_ask,
        _gen2_parse,
        "a Shelly needs 'RPC status notifications over MQTT' or 'RPC over MQTT' switched on",
    ),
    "zigbee2mqtt": Dialect(
        _zigbee_topics, _zigbee_ask, _zigbee_parse, "look for the friendly name in Zigbee2MQTT"
    ),
}
