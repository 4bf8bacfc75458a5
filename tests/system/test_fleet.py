"""The main job over real processes: from its file to the metrics."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import wait_until
from tests.system.prometheus import Prometheus, panel_queries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.fleet import Fleet

TRIALS = 6
KNOWN_IMAGES = 3  # of FastestDet's profile


def test_a_job_goes_from_its_file_to_a_verdict(fleet: Fleet, quick_job: Path, tmp_path: Path) -> None:
    done = fleet.edgedyno("jobs", "submit", str(quick_job), "--wait", "--json", check=False)
    answer = json.loads(done.stdout)
    results = answer["results"]
    assert len(results) == TRIALS
    assert {result["status"] for result in results} == {"ok"}
    fp32 = [result for result in results if result["precision"] == "fp32"]
    for result in fp32:
        assert result["accuracy"]["value"] == pytest.approx(0.238, abs=0.03)
    for result in results:
        assert result["latency_seconds"]["p50"] > 0
        assert result["power_watts"] is not None or result["power_watts_reason"]
        assert result["energy_joules_per_inference"] or result["energy_joules_per_inference_reason"]
    _rightness_is_told(results)
    # A machine that is busy with other work makes every trial void, and that is the right answer there.
    void = all(not result["validity"]["valid"] and result["validity"]["reasons"] for result in results)
    (verdict,) = answer["verdicts"]
    assert verdict["answer"] == ("cannot tell" if void else "recommended")
    assert done.returncode == (1 if void else 0)
    job = answer["job"]["job"]
    _metrics_are_accepted(fleet)
    _dashboard_has_data(fleet, tmp_path / "prometheus", recommended=not void)
    fleet.edgedyno("report", job, "--out", str(tmp_path / "report.html"))
    assert "<svg" in (tmp_path / "report.html").read_text()
    for command in (["jobs", "list"], ["jobs", "show", job], ["boards", "list"], ["results", "list"]):
        assert fleet.edgedyno(*command).stdout.strip()
    assert verdict["headline"].split()[0] in fleet.edgedyno("verdict", job, check=False).stdout
    lines = fleet.edgedyno("results", "export", "--job", job).stdout.splitlines()
    assert len(lines) == TRIALS


def _rightness_is_told(results: list[dict[str, Any]]) -> None:
    """Known images reached the board, and what it made of them and of FP32's outputs came back."""
    for result in results:
        assert result["selftest"]["passed"], result["selftest"]
        assert result["selftest"]["images"] == KNOWN_IMAGES
        assert result["images"] == {"shown": 17}
        if result["precision"] == "fp32":
            assert "is FP32" in result["fidelity_reason"]
            continue
        fidelity = result["fidelity"]
        assert fidelity["reference"].startswith("FP32 on onnxruntime")
        assert fidelity["outputs"][0]["sqnr_db"] > (5 if result["precision"] == "int8" else 30)
        assert fidelity["agreement"]["matched"]["value"] > 0.5
    many_threads = len({result["threads"] for result in results}) > 1
    assert all((result["threads_check"] is not None) == many_threads for result in results)


def _metrics_are_accepted(fleet: Fleet) -> None:
    text = httpx.get(f"{fleet.url}/metrics", trust_env=False).raise_for_status().text
    assert "edgedyno_result_latency_seconds{" in text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _dashboard_has_data(fleet: Fleet, folder: Path, *, recommended: bool) -> None:
    """Run every panel's query; only what this machine or moment cannot have may be empty."""
    expected_empty = {"Energy per inference", "Temperature", "Progress"}
    expected_empty |= {"Boards that stand out", "Throttled", "Clock", "Power"}
    expected_empty |= {"Requirements", "Boards on which one deployment meets all", "What does not count"}
    if not recommended:
        expected_empty |= {"Recommended", "Median latency"}
    with Prometheus(folder, fleet.url.removeprefix("http://")) as prometheus:
        for title, queries in panel_queries().items():
            if title in expected_empty:
                for query in queries:
                    prometheus.query(query)
            else:
                check = partial(_all_answer, prometheus, queries)
                wait_until(check, seconds=30, what=f"data in the panel {title!r}")


def _all_answer(prometheus: Prometheus, queries: list[str]) -> bool:
    return all(prometheus.query(query) for query in queries)
