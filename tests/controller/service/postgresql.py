"""A real PostgreSQL of the tests' own, as an unprivileged user, on a free loopback port."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.conftest import free_port

UNPRIVILEGED = 65534  # nobody: PostgreSQL refuses to run as root


def binaries() -> Path | None:
    """Return the folder of the newest server's programs, as Debian lays them out, or of the one on PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda folder: int(folder.split("/")[4]))  # noqa: PTH207
    if found:
        return Path(found[-1])
    program = shutil.which("initdb")
    return Path(program).parent if program else None


class PostgreSql:
    """One server with its own folder; `url()` gives an empty database."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="edgedyno-postgresql-"))
        self._port = free_port()
        if os.geteuid() == 0:
            os.chown(self._folder, UNPRIVILEGED, UNPRIVILEGED)

    def _run(self, program: str, *arguments: str) -> None:
        as_root = os.geteuid() == 0
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            user=UNPRIVILEGED if as_root else None,
            group=UNPRIVILEGED if as_root else None,
            extra_groups=[] if as_root else None,
        )

    def start(self) -> None:
        """Make a cluster and start the server."""
        data = str(self._folder / "data")
        self._run(
            "initdb", "--pgdata", data, "--auth=trust", "--username=edgedyno", "--no-sync", "--encoding=UTF8"
        )
        # fsync off: no test pulls this server's power.
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        self._run(
            "pg_ctl",
            "--pgdata",
            data,
            "--wait",
            "--silent",
            f"--log={self._folder}/log",
            "-o",
            options,
            "start",
        )

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._run(
            "pg_ctl", "--pgdata", str(self._folder / "data"), "--wait", "--silent", "--mode=immediate", "stop"
        )
        shutil.rmtree(self._folder)

    def url(self) -> str:
        """Empty the database and return its URL; much faster than another database for each test."""
        url = f"postgresql://edgedyno@127.0.0.1:{self._port}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return url
