"""Profiles by operator and simulated trials, with real workers: what comes of them in the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.measure.supervisor import Deadlines
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Variant
from edgedyno.core.result import OperatorProfile
from tests.agent.measure.requests import FASTESTDET, SCRIPTED, Bench, install_scripted, onnxruntime
from tests.agent.measure.test_runner import artifact, assert_explained

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = Deadlines()  # nothing hangs here, and the machine may be crowded
SHORT = Measure(precision=0.5, max_seconds=2, profile=True)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    install_scripted(monkeypatch, tmp_path / "site")
    return Bench(tmp_path)


def test_each_trial_tells_where_its_time_goes(bench: Bench) -> None:
    request = bench.request(
        [Variant("fp32", "onnx", bench.add(FASTESTDET), name="mine")],
        runtimes=[onnxruntime()],
        sweep=Sweep(precisions=["fp32"], threads=[1, 2]),
        measure=SHORT,
    )
    results = bench.run(request, deadlines=PATIENT)
    assert bench.ended.failure is None
    for result in results:
        assert result.variant == "mine"
        assert result.profile_reason is None
        profile = msgspec.json.decode(artifact(bench, result.profile_sha256), type=OperatorProfile)
        assert profile.trial == result.trial
        assert profile.inferences >= 3
        by_type = {operator.type for operator in profile.operators}
        assert {"Conv", "MaxPool"} <= {name.replace("Fused", "") for name in by_type}
        assert {operator.precision for operator in profile.operators} == {"fp32", "converting"}
        assert result.latency_seconds is not None
        whole = sum(operator.seconds for operator in profile.operators)
        assert 0.1 < whole / result.latency_seconds.p50 < 20  # the same work, whatever else runs here


def test_profile_that_cannot_be_had_says_why(bench: Bench) -> None:
    good = Variant("fp32", "script", bench.script("good", seconds=0.001))
    bad = Variant("int8", "script", bench.script("bad", load="refuse"))
    sweep = Sweep(precisions=["int8", "fp32"], threads=[1])
    request = bench.request([bad, good], runtimes=[SCRIPTED], sweep=sweep, measure=SHORT)
    results = bench.run(request, deadlines=PATIENT)
    reasons = {result.precision: result.profile_reason or "" for result in results}
    assert reasons["fp32"].startswith("profile.unsupported")
    assert reasons["int8"].startswith("model.invalid")


def test_nobody_asked_for_a_profile(bench: Bench) -> None:
    variant = Variant("fp32", "script", bench.script("good", seconds=0.001))
    (result,) = bench.run(bench.request([variant], runtimes=[SCRIPTED]), deadlines=PATIENT)
    assert (result.profile_sha256, result.profile_reason) == (None, None)


def test_simulated_trial_has_accuracy_and_no_latency(bench: Bench) -> None:
    """The real ONNX Runtime, which says here that it only imitates another device."""
    simulator = msgspec.structs.replace(onnxruntime(), details={"timing": "simulated"})
    request = bench.request(
        [Variant("fp32", "onnx", bench.add(FASTESTDET))],
        runtimes=[simulator],
        images=2,
        sweep=Sweep(precisions=["fp32"], threads=[1, 2]),
        measure=SHORT,
    )
    one, other = sorted(bench.run(request, deadlines=PATIENT), key=lambda result: result.status)
    assert bench.ended.failure is None
    assert bench.phases == ["settle", "accuracy"]
    assert_explained(one)
    assert (one.status, one.effective_precision) == ("ok", "fp32")
    assert one.predictions_sha256
    assert one.latency_seconds is None
    assert one.throughput_per_second is None
    assert (one.latency_seconds_reason or "").startswith("simulated")
    assert (one.profile_reason or "").startswith("simulated")
    assert (other.status, other.failure and other.failure.code) == ("skipped", "threads.ignored")


def test_simulated_trial_beside_a_timed_one(bench: Bench) -> None:
    simulator = msgspec.structs.replace(
        SCRIPTED, name="scripted", version="sim", details={"timing": "simulated"}
    )
    script = Variant("fp32", "script", bench.script("good", seconds=0.001))
    by_version = {
        result.runtime_version: result
        for result in bench.run(bench.request([script], runtimes=[SCRIPTED, simulator]), deadlines=PATIENT)
    }
    assert by_version["1.0"].latency_seconds is not None
    assert by_version["sim"].latency_seconds is None
    assert by_version["sim"].status == "ok"


def test_simulated_trial_that_cannot_load_failed(bench: Bench) -> None:
    simulator = msgspec.structs.replace(SCRIPTED, details={"timing": "simulated"})
    variant = Variant("fp32", "script", bench.script("bad", load="refuse"))
    (result,) = bench.run(bench.request([variant], runtimes=[simulator]), deadlines=PATIENT)
    assert (result.status, result.failure and result.failure.code) == ("failed", "model.invalid")


def test_runtime_that_ran_as_another_fails(bench: Bench) -> None:
    """It measured, and what it measured stands under a wrong name."""
    variant = Variant("fp32", "script", bench.script("good", seconds=0.001, precision="provider.unused"))
    (result,) = bench.run(bench.request([variant], runtimes=[SCRIPTED]), deadlines=PATIENT)
    assert (result.status, result.failure and result.failure.code) == ("failed", "provider.unused")
    assert result.latency_seconds is None
