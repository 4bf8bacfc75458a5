"""A real Prometheus on loopback that scrapes one controller, to run the dashboard's queries against."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.conftest import ROOT, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "edgedyno.json"


class Prometheus:
    """Use it as a context manager."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self._target = target
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:  # noqa: PYI034 - nobody inherits from it
        self._folder.mkdir()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "deploy" / "prometheus" / "rules.yml")],
            "scrape_configs": [{"job_name": "edgedyno", "static_configs": [{"targets": [self._target]}]}],
        }
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={path}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, seconds=60, what="Prometheus ready")
            wait_until(lambda: self.query("edgedyno_board_online"), seconds=60, what="a first scrape")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector that a query gives now; fail on an error such as duplicate matching."""
        answer = httpx.get(
            f"{self.url}/api/v1/query", params={"query": expression}, timeout=10, trust_env=False
        )
        found = answer.json()
        assert found["status"] == "success", f"{expression}: {found}"
        result: list[dict[str, Any]] = found["data"]["result"]
        return result


def panel_queries() -> dict[str, list[str]]:
    """Return the queries of each panel with every variable set to all."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return {
        panel["title"]: [
            target["expr"].replace("$board", ".*").replace("$model", ".*").replace("$__rate_interval", "1m")
            for target in panel["targets"]
        ]
        for panel in panels
    }
