"""Metrics of verdicts, from verdicts that are synthetic."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from edgedyno.controller.verdict_metrics import ToldGroup, ToldVerdict, verdict_families
from tests.controller.synthetic import SWEEP
from tests.controller.verdict.test_groups import group_of, pi, rock
from tests.controller.verdict.test_judging import COLLAPSED, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric

    from edgedyno.controller.lab.verdict import GroupVerdict, Verdict


class _Told(Collector):
    def __init__(self, verdicts: Sequence[Verdict], groups: Sequence[GroupVerdict]) -> None:
        self._verdicts = msgspec.json.decode(msgspec.json.encode(verdicts), type=list[ToldVerdict])
        self._groups = msgspec.json.decode(msgspec.json.encode(groups), type=list[ToldGroup])

    def collect(self) -> Iterable[Metric]:
        return verdict_families(self._verdicts, self._groups)


def metrics_of(*verdicts: Verdict, groups: Sequence[GroupVerdict] = ()) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(_Told(verdicts, groups))
    text = generate_latest(registry).decode()
    promtool = shutil.which("promtool")
    if promtool:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("edgedyno_verdict_"): float(value) for name, _, value in lines}


def test_what_is_recommended_and_which_requirements_hold() -> None:
    found = metrics_of(verdict_of(SWEEP[1], COLLAPSED, accuracy_drop=0.01))
    here = 'board="synthetic-pi",model="synthetic_net"'
    assert found[f'answer{{answer="recommended",{here}}}'] == 1
    assert found[f'requirement{{{here},outcome="met",requirement="accuracy_drop"}}'] == 1
    assert found[f'requirement{{{here},outcome="violated",requirement="accuracy_drop"}}'] == 0
    (info,) = [name for name in found if name.startswith("recommended_info")]
    assert 'precision="fp32"' in info
    assert 'threads="2"' in info


def test_a_miss_is_told_by_what_comes_nearest() -> None:
    found = metrics_of(verdict_of(COLLAPSED, accuracy_drop=0.01))
    here = 'board="synthetic-pi",model="synthetic_net"'
    assert found[f'answer{{answer="none meets",{here}}}'] == 1
    assert found[f'requirement{{{here},outcome="violated",requirement="accuracy_drop"}}'] == 1
    assert not any(name.startswith("recommended_info") for name in found)


def test_the_newest_verdict_counts() -> None:
    found = metrics_of(verdict_of(COLLAPSED), verdict_of(SWEEP[1]))
    assert found['answer{answer="recommended",board="synthetic-pi",model="synthetic_net"}'] == 1


def test_groups_tell_the_share_of_boards() -> None:
    found = metrics_of(groups=group_of(pi(), rock(), latency_p50=0.022))
    assert found['group_meets_ratio{board_type="",model="synthetic_net"}'] == 0.5
    assert found['boards_ratio{board_type="",model="synthetic_net"}'] == 1.0
