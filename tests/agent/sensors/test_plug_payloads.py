"""What plugs say: real payloads, and every way they can be wrong. Nothing wrong becomes 0 W."""

from __future__ import annotations

import json

import pytest

from edgedyno.agent.sensors.base import Unavailable
from edgedyno.agent.sensors.plugs import DIALECTS, Report
from edgedyno.core.meters import MeterSettings, MeterSource
from tests.conftest import ROOT

PAYLOADS = ROOT / "tests/fixtures/power-meters"


def parse(source: MeterSource, payload: bytes | str, channel: int | None = None) -> Report | Unavailable:
    data = payload.encode() if isinstance(payload, str) else payload
    return DIALECTS[source].parse(MeterSettings(source, topic="plug", channel=channel), "topic", data)


@pytest.mark.parametrize(
    ("source", "name", "channel", "watts", "step"),
    [
        ("tasmota", "tasmota_tele_SENSOR.json", None, 56.0, 1.0),
        ("tasmota", "tasmota_status8.json", None, 2.0, 1.0),
        ("tasmota", "tasmota_tele_SENSOR.two_channels.json", 1, 52.0, 1.0),
        ("tasmota", "tasmota_tele_SENSOR.two_channels.json", 2, 5.0, 1.0),
        ("shelly_gen2", "shelly_gen2_switch_status.json", None, 4.1, 0.1),
        ("shelly_gen2", "shelly_gen2_switch_status.by_minute.json", None, 10.7, 0.1),
    ],
)
def test_recorded_payloads(
    source: MeterSource, name: str, channel: int | None, watts: float, step: float
) -> None:
    report = parse(source, (PAYLOADS / name).read_bytes(), channel)
    assert isinstance(report, Report)
    assert report.watts == watts
    assert report.step_watts == pytest.approx(step)


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


def test_two_outlets_are_never_added_nor_guessed() -> None:
    payload = (PAYLOADS / "tasmota_tele_SENSOR.two_channels.json").read_bytes()
    assert "say which one: channel: 1 to 2" in reason(parse("tasmota", payload))
    assert "channel 3 is none of them" in reason(parse("tasmota", payload, 3))
    one = (PAYLOADS / "tasmota_tele_SENSOR.json").read_bytes()
    assert "one outlet" in reason(parse("tasmota", one, 2))


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        (b"", "no ENERGY.Power"),
        (b"\xff\xfe", "no ENERGY.Power"),
        (b"[]", "no ENERGY.Power"),
        (b'{"ENERGY": 3}', "no ENERGY.Power"),
        (b'{"ENERGY": {"Power": "5,3"}}', "not a number"),
        (b'{"ENERGY": {"Power": null}}', "not a number"),
        (b'{"ENERGY": {"Power": NaN}}', "not a number"),
        (b'{"ENERGY": {"Power": -4}}', "flows back"),
        (b'{"ENERGY": {"Power": 0}}', "0 W for a board that runs"),
        (b'{"ENERGY": {"Power": 4294967295}}', "cannot be"),
        (b'{"ENERGY": {"Power": []}, "Time": "x"}', "0 outlets"),
        (b"[" * 100_000, "no ENERGY.Power"),
    ],
)
def test_bad_payloads_are_named(payload: bytes, part: str) -> None:
    assert part in reason(parse("tasmota", payload))


def test_shelly_gen1_is_a_plain_number() -> None:
    report = parse("shelly_gen1", "60.53")
    assert isinstance(report, Report)
    assert report.watts == 60.53
    assert report.step_watts == pytest.approx(0.01)
    assert "not a number" in reason(parse("shelly_gen1", "on"))


def test_shelly_gen2_answers_and_errors() -> None:
    report = parse("shelly_gen2", json.dumps({"id": 1, "src": "s", "result": {"apower": 7.25}}))
    assert isinstance(report, Report)
    assert report.watts == 7.25
    assert "No handler" in reason(parse("shelly_gen2", '{"error": {"code": 404, "message": "No handler"}}'))


def test_zigbee2mqtt_with_one_and_with_two_outlets() -> None:
    report = parse("zigbee2mqtt", '{"power": 6.5, "voltage": 231, "last_seen": "2026-11-01T10:00:00Z"}')
    assert isinstance(report, Report)
    assert report.stamp == "2026-11-01T10:00:00Z"
    two = '{"power_l1": 6, "power_l2": 9}'
    assert "say channel: 1 to 2" in reason(parse("zigbee2mqtt", two))
    second = parse("zigbee2mqtt", two, 2)
    assert isinstance(second, Report)
    assert second.watts == 9


def test_the_mark_is_all_that_was_measured() -> None:
    line = '{{"Time": "2026-01-01T00:00:0{}", "ENERGY": {{"Power": 5, "Voltage": 230}}}}'
    reports = [parse("tasmota", line.format(second)) for second in (1, 1, 2)]
    marks = [report.mark for report in reports if isinstance(report, Report)]
    assert marks[0] == marks[1] != marks[2]


@pytest.mark.parametrize(
    ("settings", "topics", "question"),
    [
        (MeterSettings("tasmota", topic="desk"), "tele/desk/SENSOR", "cmnd/desk/STATUS"),
        (MeterSettings("tasmota", topic="home/%prefix%/x"), "home/tele/x/SENSOR", "home/cmnd/x/STATUS"),
        (MeterSettings("shelly_gen1", topic="s1"), "shellies/s1/relay/0/power", "shellies/s1/command"),
        (MeterSettings("shelly_gen2", topic="s2", channel=2), "s2/status/switch:1", "s2/rpc"),
        (MeterSettings("zigbee2mqtt", topic="lab/plug"), "zigbee2mqtt/lab/plug", "zigbee2mqtt/lab/plug/get"),
    ],
)
def test_topics(settings: MeterSettings, topics: str, question: str) -> None:
    dialect = DIALECTS[settings.source]
    assert dialect.topics(settings, "reply")[0] == topics
    assert dialect.ask(settings, "reply").topic == question
