"""The guide to certificates as it stands: broker, controller and agent as processes, a job, and the board's end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import ROOT, free_port, wait_until
from tests.controller.security.broker import context_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUIDE = ROOT / "docs" / "enrolment.md"
FOREVER = ("mosquitto ", "edgedyno controller run", "edgedyno agent run")


def blocks(language: str) -> list[str]:
    """Return the guide's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


class Guide:
    """Follows the guide in one folder, on free ports of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        http, broker = free_port(), free_port()
        self.url = f"https://127.0.0.1:{http}"
        self._places = {
            "/etc/edgedyno": str(folder / "etc"),
            "/var/lib/edgedyno-controller": str(folder / "controller"),
            "/var/lib/edgedyno": str(folder / "agent"),
            "0.0.0.0": "127.0.0.1",
            "controller.lan": "127.0.0.1",
            "8443": str(http),
            "8883": str(broker),
            "--user mosquitto": f"--user root --port {broker} --state {folder}",
        }
        self._token = ""
        self._running: list[subprocess.Popen[bytes]] = []
        (folder / "etc").mkdir()
        (folder / "etc" / "controller.yaml").write_text(self._here(blocks("yaml")[0]))

    def _here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def follow(self, block: int, **words: str) -> str:
        """Run a block's lines; return what they printed. What runs for ever goes on beside."""
        printed = ""
        for line in self._here(blocks("sh")[block]).splitlines():
            for word, value in words.items():
                line = line.replace(word, value)  # noqa: PLW2901 the same line, with the reader's own words
            if line.startswith(FOREVER):
                self.begin(line)
            else:
                said = self.run(line)
                self._token = said.strip() if "token create" in line else self._token
                printed += said
                words = {"TOKEN": printed.split()[-1]} if "controller enroll" in line else words
        return printed

    def begin(self, line: str) -> None:
        """Start what runs for ever."""
        name = "-".join(line.split()[:3]).replace("/", "-")
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(self._command(line), stdout=log, stderr=log, start_new_session=True)
            )
        if line.startswith("edgedyno controller run"):
            wait_until(self.answers, seconds=60, what=f"controller, see {self.folder}")

    def run(self, line: str, *, check: bool = True) -> str:
        """Run a command that ends."""
        environment = {
            **os.environ,
            "EDGEDYNO_CONTROLLER_URL": self.url,
            "EDGEDYNO_CONTROLLER_CA": str(self.ca_file),
            "EDGEDYNO_TOKEN": self._token,
        }
        done = subprocess.run(
            self._command(line), capture_output=True, text=True, timeout=250, env=environment, check=False
        )
        assert not check or done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    @staticmethod
    def _command(line: str) -> list[str]:
        words = shlex.split(line)
        return [sys.executable, "-m", "edgedyno.cli.main", *words[1:]] if words[0] == "edgedyno" else words

    @property
    def ca_file(self) -> Path:
        """The roots."""
        return self.folder / "controller" / "security" / "ca.pem"

    def get(self, path: str) -> Any:
        """Return an answer of the API."""
        headers = {"Authorization": f"Bearer {self._token}"}
        with httpx.Client(
            verify=context_of(self.ca_file, None), trust_env=False, timeout=30, headers=headers
        ) as http:
            return http.get(f"{self.url}/api/v1{path}").raise_for_status().json()

    def answers(self) -> bool:
        """Tell whether the controller answers."""
        try:
            return self.ca_file.exists() and bool(self.get("/healthz"))
        except httpx.HTTPError:
            return False

    def board(self) -> dict[str, Any] | None:
        """Return the board as the controller sees it."""
        boards = self.get("/boards")["boards"]
        return boards[0] if boards else None

    def close(self) -> None:
        """End everything."""
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def guide(tmp_path: Path) -> Iterator[Guide]:
    """Give a reader of the guide."""
    reader = Guide(tmp_path)
    yield reader
    reader.close()


@pytest.fixture
def small_job(tmp_path: Path) -> Path:
    """Write a job of one trial."""
    path = tmp_path / "small.yaml"
    path.write_text(
        "name: small\nmodel: fastestdet\ndataset: coco_ccby\nsweep: {precisions: [fp32], threads: [1]}\n"
        "measure: {precision: 20%, max_seconds: 2}\n"
    )
    return path


def test_the_guide_leads_to_a_measured_job_and_out_again(guide: Guide, small_job: Path) -> None:
    assert "ca " in guide.follow(0)
    guide.follow(1)
    wait_until(lambda: (guide.board() or {}).get("online"), seconds=120, what="board online")
    board = guide.board()
    assert board is not None
    assert board["board"] == "rpi4"
    job = json.loads(guide.run(f"edgedyno jobs submit {small_job} --json"))["job"]
    wait_until(
        lambda: guide.get(f"/jobs/{job}")["state"] in ("succeeded", "failed"), seconds=200, what="job over"
    )
    results = guide.get(f"/results?job={job}")["results"]
    assert guide.get(f"/jobs/{job}")["state"] == "succeeded"
    assert {one["status"] for one in results} == {"ok"}
    guide.follow(2)
    wait_until(lambda: not (guide.board() or {})["online"], seconds=60, what="board offline")
    identity = guide.folder / "agent" / "identity"
    with (
        httpx.Client(verify=context_of(guide.ca_file, identity), trust_env=False) as http,
        pytest.raises(httpx.TransportError),
    ):
        http.get(f"{guide.url}/api/v1/healthz")
