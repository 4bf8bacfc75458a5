"""Plugs through a real broker: asked and answering, silent, pulled out in mid-run, with the broker gone."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.sensors import plug as plug_module
from edgedyno.agent.sensors.base import Available, Reading, Recorder, Unavailable
from edgedyno.agent.sensors.plug import MqttPlug
from edgedyno.core.broker import Broker
from edgedyno.core.meters import MeterSettings, MeterSource
from tests.agent.plugs import Publisher, TasmotaLike
from tests.conftest import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Mosquitto


class Plugs:
    """Makes sensors that are closed at the end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._made: list[MqttPlug] = []

    def make(
        self,
        source: MeterSource = "tasmota",
        *,
        topic: str = "plug1",
        ask_every: float = 0.1,
        channel: int | None = None,
        port: int | None = None,
    ) -> MqttPlug:
        broker = Broker("127.0.0.1", port or self._port)
        settings = MeterSettings(source, topic=topic, channel=channel, broker=broker, ask_every=ask_every)
        self._made.append(MqttPlug(settings))
        return self._made[-1]

    def close(self) -> None:
        for sensor in self._made:
            sensor.close()


@pytest.fixture
def plugs(mosquitto: Mosquitto) -> Iterator[Plugs]:
    made = Plugs(mosquitto.port)
    yield made
    made.close()


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


def test_a_plug_is_asked_and_every_answer_is_kept(mosquitto: Mosquitto, plugs: Plugs) -> None:
    with TasmotaLike(mosquitto.port, lambda: 7.3):
        sensor = plugs.make()
        found = sensor.probe()
        assert isinstance(found, Available)
        assert (found.scope, found.period_seconds) == ("wall", 0.1)
        assert found.resolution == pytest.approx(0.1)
        assert isinstance(sensor, Recorder)
        began = time.monotonic()
        wait_until(
            lambda: isinstance(sensor.read(), Reading) and len(sensor.between(began, time.monotonic())) >= 5,
            what="five answers",
        )
        kept = sensor.between(began, time.monotonic())
        assert {reading.value for reading in kept} == {7.3}
        assert all(began <= reading.at_seconds <= time.monotonic() for reading in kept)


def test_a_plug_that_only_reports_by_itself(mosquitto: Mosquitto, plugs: Plugs) -> None:
    with TasmotaLike(mosquitto.port, lambda: 5.0, tele_seconds=0.3, answers=False):
        found = plugs.make(ask_every=0).probe()
        assert isinstance(found, Available)
        assert found.period_seconds is None


def test_a_plug_that_says_nothing_names_what_to_do(
    mosquitto: Mosquitto, plugs: Plugs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(plug_module, "LISTEN_SECONDS", 0.3)
    with TasmotaLike(mosquitto.port, lambda: 5.0, answers=False):
        assert "TelePeriod" in reason(plugs.make().probe())


def test_a_retained_message_is_of_unknown_age(
    mosquitto: Mosquitto, plugs: Plugs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(plug_module, "LISTEN_SECONDS", 0.3)
    with Publisher(mosquitto.port) as publisher:
        publisher.say("tele/plug1/SENSOR", '{"ENERGY": {"Power": 9}}', retain=True)
        assert "said nothing" in reason(plugs.make().probe())


def test_a_broker_that_is_not_there(plugs: Plugs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plug_module, "CONNECT_SECONDS", 0.5)
    port = free_port()
    assert f"broker 127.0.0.1:{port} of plug plug1" in reason(plugs.make(port=port).probe())


def test_a_plug_that_is_pulled_out_in_mid_run(
    mosquitto: Mosquitto, plugs: Plugs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_module, "SILENT_SECONDS", 0.3)
    sensor = plugs.make(ask_every=0.05)
    with TasmotaLike(mosquitto.port, lambda: 5.0) as tasmota:
        assert isinstance(sensor.probe(), Available)
        tasmota.stop()
    wait_until(lambda: isinstance(sensor.read(), Unavailable), what="silence being noticed")
    assert "said nothing for" in reason(sensor.read())


def test_it_comes_back_with_the_broker(
    mosquitto: Mosquitto, plugs: Plugs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.agent.sensors.subscription.RECONNECT_SECONDS", 0.1)
    monkeypatch.setattr(plug_module, "SILENT_SECONDS", 0.2)
    sensor = plugs.make(ask_every=0.05)
    with TasmotaLike(mosquitto.port, lambda: 5.0):
        assert isinstance(sensor.probe(), Available)
    mosquitto.kill()
    wait_until(lambda: isinstance(sensor.read(), Unavailable), what="the broker's end being noticed")
    mosquitto.start()
    with TasmotaLike(mosquitto.port, lambda: 6.0):
        wait_until(lambda: getattr(sensor.read(), "value", None) == 6.0, what="a reading after the restart")


def test_a_report_that_was_held_up_keeps_its_own_time(mosquitto: Mosquitto, plugs: Plugs) -> None:
    sensor = plugs.make(ask_every=0)
    line = '{{"Time": "2026-01-01T00:00:{:02}", "ENERGY": {{"Power": 5}}}}'
    with Publisher(mosquitto.port) as publisher:
        sensor.read()
        for second in (30, 20):  # The second was measured 10 s before the first and came after it.
            publisher.say("tele/plug1/SENSOR", line.format(second))
        now = time.monotonic()
        wait_until(lambda: len(sensor.between(now - 60, now + 60)) == 2, what="two reports")
    early, late = sensor.between(now - 60, now + 60)
    assert late.at_seconds - early.at_seconds == pytest.approx(10, abs=1)


def test_shelly_gen2_by_its_rpc(mosquitto: Mosquitto, plugs: Plugs) -> None:
    def answer(payload: bytes) -> tuple[str, str]:
        call = json.loads(payload)
        assert call["method"] == "Switch.GetStatus"
        result = {"id": call["params"]["id"], "apower": 12.4, "voltage": 231.2}
        return f"{call['src']}/rpc", json.dumps({"id": call["id"], "result": result})

    with Publisher(mosquitto.port, {"shelly-1/rpc": answer}):
        sensor = plugs.make("shelly_gen2", topic="shelly-1")
        assert isinstance(sensor.probe(), Available)
        reading = sensor.read()
        assert isinstance(reading, Reading)
        assert reading.value == 12.4


def test_zigbee2mqtt_is_asked_for_power(mosquitto: Mosquitto, plugs: Plugs) -> None:
    answers = {"zigbee2mqtt/lamp/get": lambda _payload: ("zigbee2mqtt/lamp", '{"power": 3.5}')}
    with Publisher(mosquitto.port, answers):
        found = plugs.make("zigbee2mqtt", topic="lamp").probe()
        assert isinstance(found, Available)
        assert found.resolution == pytest.approx(0.1)


def test_shelly_gen1_is_told_to_update(mosquitto: Mosquitto, plugs: Plugs) -> None:
    answers = {"shellies/s1/command": lambda _payload: ("shellies/s1/relay/0/power", "8.81")}
    with Publisher(mosquitto.port, answers):
        found = plugs.make("shelly_gen1", topic="s1").probe()
        assert isinstance(found, Available)
        assert found.resolution == pytest.approx(0.01)
