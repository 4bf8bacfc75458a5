"""The brokers that the protocol is tried on, each a process of its own on a loopback port."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest import mock

from edgedyno.cli import broker as up
from tests.conftest import Mosquitto, free_port, listens, wait_until

# rumqttd with a listener for MQTT 3.1.1 alone: it closes a connection that says 5.
OLD_ONLY = {"[v5.1": "[v4.1", 'name = "v5"': 'name = "v4"'}


class Iotcore:
    """The pip-installable rumqttd, started as `edgedyno up` starts it where there is no mosquitto."""

    def __init__(self, folder: Path, *, old_only: bool = False) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        with mock.patch("edgedyno.cli.broker.shutil.which", return_value=None):
            _, self._command = up.broker_command(folder, self.port)
        if old_only:
            config = Path(self._command[-1])
            text = config.read_text()
            for found, wanted in OLD_ONLY.items():
                text = text.replace(found, wanted)
            config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port), what="rumqttd listening")

    def kill(self) -> None:
        """Kill it; it keeps nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


Broker = Mosquitto | Iotcore
KINDS: dict[str, type[Mosquitto | Iotcore]] = {"mosquitto": Mosquitto, "iotcore": Iotcore}
