"""When a trial is settled, and which are beaten on every objective."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgedyno.agent.measure.contender import Shape, burst_shape
from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.race import HOPELESS_VOID_ROUNDS, is_hopeless
from edgedyno.agent.measure.stopping import (
    estimate,
    is_dominated,
    is_settled,
    least_samples,
    remaining_seconds,
)
from edgedyno.core.manifest import ArtifactRef, Variant
from edgedyno.core.result import Burst

DRIFT = np.exp(0.02 * np.sin(np.arange(60)))


def log(name: str, seconds: float, noise: float, *, blocks: int = 60, valid: bool = True) -> TrialLog:
    rng = np.random.default_rng(len(name))
    levels = seconds * DRIFT[:blocks] * np.exp(noise * rng.standard_normal(blocks))
    bursts = [
        Burst(block, float(block), [9 * level, level, 1.01 * level, 0.99 * level], valid=valid)
        for block, level in enumerate(levels.tolist())
    ]
    return TrialLog(name, bursts=bursts)


def cell(threads: int, cpus: list[int], sha256: str = "a") -> Cell:
    return Cell(
        trial=f"{threads}{cpus}",
        variant=Variant("fp32", "onnx", ArtifactRef(sha256 * 64, 1)),
        runtime="onnxruntime",
        runtime_version="1",
        environment="default",
        threads=threads,
        cores="all",
        cpus=cpus,
        batch=1,
        scenario="single-stream",
    )


def test_quiet_trial_is_settled_and_noisy_one_is_not() -> None:
    leader = log("leader", 0.010, 0.001)
    quiet = estimate(log("quiet", 0.012, 0.001), leader, alpha=0.001, count_void=False)
    assert quiet.different
    assert quiet.ratio is not None
    assert quiet.ratio.value == pytest.approx(1.2, rel=0.01)
    assert is_settled(quiet, precision=0.02, least_samples=130)
    noisy = estimate(log("noise", 0.0101, 0.5), leader, alpha=0.001, count_void=False)
    assert not noisy.different
    assert not is_settled(noisy, precision=0.02, least_samples=130)


def test_samples_after_a_switch_do_not_count() -> None:
    now = estimate(log("leader", 0.010, 0.001), None, alpha=0.001, count_void=False)
    assert now.samples == 60 * 3
    assert now.median is not None
    assert now.median.value == pytest.approx(0.010, rel=0.02)


def test_void_bursts_count_only_when_asked() -> None:
    void = log("void", 0.010, 0.001, valid=False)
    assert estimate(void, None, alpha=0.001, count_void=False).precision() == math.inf
    assert estimate(void, None, alpha=0.001, count_void=True).samples == 180


def test_few_samples_are_not_enough_however_quiet() -> None:
    now = estimate(log("leader", 0.010, 0.0, blocks=10), None, alpha=0.001, count_void=False)
    assert not is_settled(now, precision=0.05, least_samples=130)


def test_tails_are_asked_for_only_where_cheap() -> None:
    assert least_samples(0.005, 6, 40) == 130
    assert least_samples(0.5, 6, 40) == 8


def test_only_more_threads_on_the_same_or_more_cores_are_dominated() -> None:
    assert is_dominated(cell(2, [0, 1]), cell(1, [0, 1]))
    assert is_dominated(cell(2, [0, 1]), cell(1, [0]))
    assert not is_dominated(cell(1, [0, 1]), cell(2, [0, 1]))
    assert not is_dominated(cell(2, [0, 1]), cell(1, [2]))
    assert not is_dominated(cell(2, [0, 1]), cell(1, [0, 1], sha256="b"))


def test_remaining_time_follows_the_root_law() -> None:
    now = estimate(log("leader", 0.010, 0.001), None, alpha=0.001, count_void=False)
    half = now.precision() / 2
    assert remaining_seconds([now], precision=half, gone_seconds=10) == pytest.approx(30)
    assert remaining_seconds([], precision=half, gone_seconds=10) is None


def test_bursts_are_short_and_slow_models_get_single_inferences() -> None:
    assert burst_shape(0.0001) == Shape(25, 1)
    assert burst_shape(0.005) == Shape(3, 1)
    assert burst_shape(0.015) == Shape(2, 1)
    assert burst_shape(0.05) == Shape(1, 0)
    assert [burst_shape(1.0).in_block(block) for block in range(8)] == [1, 1, 1, 1, 1, 1, 1, 2]


def test_board_that_is_never_quiet_is_given_up() -> None:
    assert not is_hopeless(TrialLog("t", void_rounds=HOPELESS_VOID_ROUNDS - 1))
    assert is_hopeless(TrialLog("t", void_rounds=HOPELESS_VOID_ROUNDS))
    assert not is_hopeless(TrialLog("t", void_rounds=HOPELESS_VOID_ROUNDS, quiet_rounds=HOPELESS_VOID_ROUNDS))
