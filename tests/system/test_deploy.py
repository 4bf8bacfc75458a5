"""What deploy/ and systemd/ ship is accepted by the programs that will read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from edgedyno.controller.config import load_config
from edgedyno.controller.exporter import FleetCollector, Snapshot
from edgedyno.controller.reception import Tally
from edgedyno.controller.service_metrics import ServiceState
from tests.conftest import ROOT, free_port, listens, wait_until

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = ROOT / "deploy"


def accepted_by(*command: str) -> str:
    """Run a checker; fail with what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    found = accepted_by("promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))
    assert "rules found" in found


def test_prometheus_rules_do_what_they_say() -> None:
    accepted_by("promtool", "test", "rules", str(DEPLOY / "prometheus" / "rules.test.yml"))


def test_mosquitto_starts_with_the_loopback_configuration(tmp_path: Path) -> None:
    port = free_port()
    text = (DEPLOY / "mosquitto" / "mosquitto-loopback.conf").read_text()
    config = tmp_path / "mosquitto.conf"
    config.write_text(text.replace("listener 1883 ", f"listener {port} "))
    _starts(config, port)


def test_mosquitto_starts_with_the_fleet_configuration(tmp_path: Path) -> None:
    port = free_port()
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    accepted_by("mosquitto_passwd", "-b", str(passwords), "controller", "secret")
    acl = tmp_path / "acl"
    shutil.copy(DEPLOY / "mosquitto" / "acl", acl)
    acl.chmod(0o600)
    text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text()
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1").replace(
        "/mosquitto/config", str(tmp_path)
    )
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"user root\n{text}")
    _starts(config, port)


def _starts(config: Path, port: int) -> None:
    broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: listens(port) or broker.poll() is not None, what="mosquitto listening")
        assert broker.poll() is None, broker.stderr and broker.stderr.read()
    finally:
        broker.kill()
        broker.communicate()


def test_the_compose_file_names_what_exists() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"broker", "controller", "prometheus", "grafana"}
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
    assert (ROOT / compose["services"]["controller"]["build"]["dockerfile"]).exists()


def test_the_composed_controller_lets_nobody_in_without_a_token() -> None:
    """It listens beyond loopback: `controller.security.exposure` refuses to start before a token is made."""
    text = (DEPLOY / "compose.yaml").read_text()
    environment = yaml.safe_load(text)["services"]["controller"]["environment"]
    flags = {name.removeprefix("EDGEDYNO_").lower(): value for name, value in environment.items()}
    config = load_config(None, environ={}, flags={"listen_host": flags["listen_host"]})
    assert config.listen_host == "0.0.0.0"
    assert "allow_anonymous" not in flags
    assert "controller token create" in text


def test_the_dashboard_is_what_its_generator_makes() -> None:
    done = accepted_by("python", str(DEPLOY / "grafana" / "dashboard.py"), "--check")
    assert "current" in done


def test_every_panel_has_title_description_and_unit() -> None:
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "edgedyno.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) >= 8
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        if panel["type"] != "table":
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_and_rules_ask_for_metrics_that_the_controller_has() -> None:
    """A query of a metric that nobody exports is an empty panel, or an alert that never fires."""
    collector = FleetCollector()
    service = ServiceState(Tally(), 0, 0, mqtt_connected=True, leads=True, builds=0, build_seconds_sum=0.0)
    collector.snapshot = Snapshot([], {}, {}, {}, [], [], [], [], service)
    exported = {family.name.removeprefix("edgedyno_") for family in collector.collect()}
    shipped = (DEPLOY / "grafana/dashboards/edgedyno.json").read_text() + (
        DEPLOY / "prometheus/rules.yml"
    ).read_text()
    asked = set(re.findall(r"(?<![:\w])edgedyno_(\w+)", shipped))
    assert {"board_outlier", "board_throttled"} <= asked
    assert {name.removesuffix("_total").removesuffix("_bucket") for name in asked} <= exported


def test_every_alert_has_its_place_in_the_runbook() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
    headings = {
        line.removeprefix("## ").lower().replace(" ", "-")
        for line in (ROOT / "docs/runbook.md").read_text().splitlines()
        if line.startswith("## ")
    }
    alerts = [rule for rule in rules if "alert" in rule]
    assert len(alerts) >= 7
    for rule in alerts:
        assert rule["annotations"]["runbook_url"].partition("#")[2] in headings, rule["alert"]


@pytest.mark.parametrize("unit", ["edgedyno-agent.service", "edgedyno-controller.service"])
def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    """The unit is checked as it is, but for the program, which is not installed under /usr here."""
    text = (ROOT / "systemd" / unit).read_text()
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    copy = tmp_path / unit
    copy.write_text(text.replace(start.split("=", 1)[1].split()[0], "/bin/true"))
    accepted_by("systemd-analyze", "verify", "--man=no", str(copy))
