"""The broker and the PostgreSQL server of a chaos run: real ones, with state that can be kept or lost."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

from tests.chaos.fleet.processes import Process
from tests.conftest import free_port, listens, wait_until
from tests.controller.service.postgresql import PostgreSql, binaries

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
sys_interval 1
persistence true
persistence_location {folder}/
autosave_interval 2
log_type error
log_type warning
"""


class Broker(Process):
    """A mosquitto that saves its state every two seconds."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._state = folder / "broker"
        self._state.mkdir()
        self._state.chmod(0o777)  # it gives up root
        config = folder / "mosquitto.conf"
        config.write_text(CONFIG.format(port=self.port, folder=self._state))
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        super().__init__("broker", [binary, "-c", str(config)], folder, environment)

    def lose_state(self) -> None:
        """Remove its database, while it is down."""
        for path in self._state.iterdir():
            path.unlink()

    def wait(self) -> None:
        """Wait until it listens."""
        wait_until(lambda: listens(self.port), what="mosquitto listening")


class Postgres:
    """A PostgreSQL that can be killed and started again."""

    def __init__(self) -> None:
        programs = binaries()
        if programs is None:
            raise FileNotFoundError("found no initdb: install PostgreSQL")
        self._server = PostgreSql(programs)
        self._server.start()
        self.url = self._server.url()
        self._lock = threading.Lock()

    def kill(self) -> None:
        """Have every process of the server quit at once; what it had in memory is lost."""
        self._control("--mode=immediate", "stop")

    def start(self) -> None:
        """Start it again; it recovers from its log."""
        port = self.url.rpartition(":")[2].partition("/")[0]
        folder = self._server._folder
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        self._control(f"--log={folder}/log", "-o", options, "start")

    def _control(self, *arguments: str) -> None:
        with self._lock:
            data = str(self._server._folder / "data")
            self._server._run("pg_ctl", "--pgdata", data, "--wait", "--silent", *arguments)

    def stop(self) -> None:
        """End it and remove its files."""
        self._server.stop()
