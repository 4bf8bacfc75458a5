"""The runner with real workers: results, failures that cost one trial, resuming, stopping."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.measure.journal import Journal
from edgedyno.agent.measure.planner import plan
from edgedyno.agent.measure.supervisor import Launch, Worker
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Failure, Variant
from edgedyno.core.predictions import read_predictions
from edgedyno.core.result import Samples
from edgedyno.core.run import Ended, Finished, Progressed, decode_event
from tests.agent.measure.requests import (
    FASTESTDET,
    SCRIPTED,
    Bench,
    install_scripted,
    onnxruntime,
)

if TYPE_CHECKING:
    from edgedyno.core.job import Precision
    from edgedyno.core.result import Burst, Result
    from edgedyno.core.run import RunRequest


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    install_scripted(monkeypatch, tmp_path / "site")
    return Bench(tmp_path)


def fastestdet(bench: Bench) -> Variant:
    return Variant("fp32", "onnx", bench.add(FASTESTDET))


def artifact(bench: Bench, sha256: str | None) -> bytes:
    """Return an artifact that a Finished event handed over, after checking its name."""
    paths = {
        name: path
        for event in bench.events
        if isinstance(event, Finished)
        for name, path in event.files.items()
    }
    data = Path(paths[sha256 or ""]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256
    return data


def assert_explained(result: Result) -> None:
    """Check that every quantity that is missing says why."""
    for name in result.__struct_fields__:
        if f"{name}_reason" in result.__struct_fields__ and getattr(result, name) is None:
            assert getattr(result, f"{name}_reason"), name


def test_real_model_gives_complete_results(bench: Bench) -> None:
    request = bench.request(
        [fastestdet(bench)],
        runtimes=[onnxruntime()],
        images=2,
        sweep=Sweep(precisions=["fp32"], threads=[1, 2]),
        measure=Measure(precision=0.5, max_seconds=6),
    )
    results = bench.run(request)
    assert bench.ended.failure is None
    assert bench.phases == ["settle", "warm-up", "measure", "accuracy"]
    assert sorted(result.threads for result in results) == [1, 2]
    for result in results:
        assert_explained(result)
        assert result.status == "ok"
        latency = result.latency_seconds
        assert latency is not None
        assert 1e-4 < latency.min <= latency.p50 < 1
        assert result.effective_precision is not None
        assert result.effective_precision.startswith("fp32")
        assert result.peak_rss_bytes is not None
        assert result.conditions.extra["input"].startswith("image ")
        samples = msgspec.json.decode(artifact(bench, result.samples_sha256), type=Samples)
        assert samples.warmup_seconds
        assert samples.bursts[0].cpu_seconds is not None
        predictions = read_predictions(artifact(bench, result.predictions_sha256))
        assert [len(image.detections) > 0 for image in predictions.images] == [True, True]
    blocks = [
        {
            burst.block
            for burst in msgspec.json.decode(artifact(bench, result.samples_sha256), type=Samples).bursts
        }
        for result in results
    ]
    assert len(blocks[0] & blocks[1]) >= 8


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ({"load": "refuse"}, "model.invalid", "refuses"),
        ({"load": "segfault"}, "worker.crashed", "SIGSEGV"),
        ({"load": "hoard"}, "worker.memory", "memory"),
        ({"invoke": "segfault", "after": 500}, "worker.crashed", "SIGSEGV"),
        ({"invoke": "kill", "after": 500}, "worker.killed", "SIGKILL"),
        ({"invoke": "raise"}, "runtime.error", "the script says so"),
        ({"invoke": "hang"}, "worker.hung", "no answer"),
    ],
)
def test_bad_trial_costs_only_itself(bench: Bench, script: dict[str, object], code: str, words: str) -> None:
    good = Variant("fp32", "script", bench.script("good", seconds=0.001))
    bad = Variant("int8", "script", bench.script("bad", **{"seconds": 0.001, **script}))
    request = bench.request(
        [bad, good], runtimes=[SCRIPTED], sweep=Sweep(precisions=["int8", "fp32"], threads=[1])
    )
    request = msgspec.structs.replace(
        request, capabilities=msgspec.structs.replace(request.capabilities, memory_bytes=400 << 20)
    )
    by_precision = {result.precision: result for result in bench.run(request)}
    assert by_precision["fp32"].status == "ok"
    failed = by_precision["int8"]
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.code == code
    assert words in failed.failure.text
    assert_explained(failed)
    assert bench.ended.failure is None


def test_file_that_is_not_a_model_fails_with_its_reason(bench: Bench) -> None:
    original = (FASTESTDET).read_bytes()
    contents = {"empty": b"", "cut": original[: len(original) // 2], "text": b"this is not ONNX\n"}
    codes = {}
    for name, content in contents.items():
        path = bench.folder / f"{name}.onnx"
        path.write_bytes(content)
        variant = Variant("fp32", "onnx", bench.add(path))
        request = bench.request([variant], runtimes=[onnxruntime()])
        (result,) = bench.run(request)
        assert result.status == "failed"
        assert result.failure is not None
        codes[name] = result.failure.code
    assert codes == {"empty": "model.empty", "cut": "model.invalid", "text": "model.invalid"}


def test_skipped_cells_become_results(bench: Bench) -> None:
    request = bench.request(
        [
            fastestdet(bench),
            Variant("int8", "onnx", failure=Failure("quantize.failed", "found no calibration images")),
        ],
        runtimes=[onnxruntime()],
        sweep=Sweep(precisions=["fp32", "int8"], threads=[64]),
    )
    results = bench.run(request)
    assert [result.status for result in results] == ["skipped", "skipped"]
    texts = {result.precision: result.failure.text for result in results if result.failure}
    assert texts == {
        "fp32": "64 threads asked, the core set 'all' has 2 CPUs",
        "int8": "found no calibration images",
    }
    for result in results:
        assert_explained(result)
    assert bench.ended.failure is None


def test_fixed_batch_skips_with_its_reason(bench: Bench) -> None:
    sweep = Sweep(precisions=["fp32"], threads=[1], batch=[4])
    (result,) = bench.run(bench.request([fastestdet(bench)], runtimes=[onnxruntime()], sweep=sweep))
    assert result.status == "skipped"
    assert result.failure == Failure("batch.fixed", "found batch 4, expected 1: the file fixes it")


def test_unreadable_image_counts_with_its_error(bench: Bench) -> None:
    request = bench.request([fastestdet(bench)], runtimes=[onnxruntime()], images=2)
    broken = request.manifest.images[0].file.sha256
    path = bench.folder / "broken.jpg"
    path.write_bytes(b"\xff\xd8 not a picture")
    bench.files[broken] = str(path)
    (result,) = bench.run(request)
    predictions = read_predictions(artifact(bench, result.predictions_sha256))
    assert [image.error is None for image in predictions.images] == [False, True]
    assert "image" in (predictions.images[0].error or "")


def test_without_images_noise_is_measured_and_said(bench: Bench) -> None:
    (result,) = bench.run(bench.request([fastestdet(bench)], runtimes=[onnxruntime()]))
    assert result.status == "ok"
    assert result.predictions_sha256 is None
    assert result.accuracy_reason == "the job has no images"
    assert result.conditions.extra["input"] == "noise"


def test_done_trials_are_neither_run_nor_emitted_again(bench: Bench) -> None:
    variant = Variant("fp32", "script", bench.script("good", seconds=0.001))
    sweep = Sweep(precisions=["fp32"], threads=[1, 2])
    first = bench.run(bench.request([variant], runtimes=[SCRIPTED], sweep=sweep))
    done = [first[0].trial]
    second = bench.run(bench.request([variant], runtimes=[SCRIPTED], sweep=sweep, done=done))
    assert [result.trial for result in second] == [first[1].trial]
    assert second[0].samples_sha256 == first[1].samples_sha256


def test_stop_ends_the_run_as_canceled(bench: Bench) -> None:
    variant = Variant("fp32", "script", bench.script("good", seconds=0.001))
    bench.stop.set()
    assert bench.run(bench.request([variant], runtimes=[SCRIPTED])) == []
    assert bench.ended.failure is not None
    assert bench.ended.failure.code == "canceled"


def runner_process(bench: Bench, request_file: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(bench.folder / "site")}
    command = [sys.executable, "-m", "edgedyno.agent.measure", str(request_file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def test_killed_runner_goes_on_where_it_was(bench: Bench) -> None:
    quick = Variant("fp32", "script", bench.script("quick", seconds=0.002))
    request = bench.request(
        [quick],
        runtimes=[SCRIPTED],
        sweep=Sweep(precisions=["fp32"], threads=[1, 2]),
        measure=Measure(precision=0.0001, max_seconds=8),
    )
    file = bench.folder / "request.json"
    file.write_bytes(msgspec.json.encode(request))
    logs = bench.folder / "work/trials"
    with runner_process(bench, file) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            if len(list(logs.glob("*.json"))) == 2:
                break
        process.send_signal(signal.SIGKILL)
    kept = {path.name: len(json.loads(path.read_bytes())["bursts"]) for path in logs.iterdir()}
    assert len(kept) == 2
    assert all(count > 0 for count in kept.values())
    with runner_process(bench, file) as process:
        assert process.stdout is not None
        events = [decode_event(line) for line in process.stdout]
    assert process.returncode == 0
    assert events[-1] == Ended(None)
    results = [event for event in events if isinstance(event, Finished)]
    assert len(results) == 2
    for event in results:
        samples = msgspec.json.decode(
            Path(event.files[event.record.samples_sha256 or ""]).read_bytes(), type=Samples
        )
        assert len(samples.bursts) > kept[f"{samples.trial}.json"]
        assert len({burst.block for burst in samples.bursts}) == len(samples.bursts)
    spent = json.loads((bench.folder / "work/run.json").read_bytes())["spent_seconds"]
    assert spent < 12


def test_sigterm_ends_the_runner_in_order(bench: Bench) -> None:
    variant = Variant("fp32", "script", bench.script("long", seconds=0.002))
    measure = Measure(precision=0.0001, max_seconds=60)
    file = bench.folder / "request.json"
    file.write_bytes(msgspec.json.encode(bench.request([variant], runtimes=[SCRIPTED], measure=measure)))
    with runner_process(bench, file) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:
            events.append(decode_event(line))
            last = events[-1]
            if isinstance(last, Progressed) and last.progress.phase == "measure":
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.failure is not None
    assert ended.failure.code == "canceled"


def test_request_that_cannot_be_read_is_a_plain_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgedyno.agent.measure", "/nonexistent"], check=False, capture_output=True
    )
    assert done.returncode == 2
    assert b"expected the path of a run request" in done.stderr


def bursts_of(bench: Bench, result: Result) -> list[Burst]:
    if result.samples_sha256 is None:
        return []
    return msgspec.json.decode(artifact(bench, result.samples_sha256), type=Samples).bursts


def test_a_reference_that_dies_is_replaced_and_groups_still_share_a_trial(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.runner.MAX_WORKERS", 2)
    dying = Variant("fp32", "script", bench.script("dying", seconds=0.001, invoke="segfault", after=600))
    good = [Variant(name, "script", bench.script(name, seconds=0.001)) for name in ("fp16", "int8")]
    sweep = Sweep(precisions=["fp32", "fp16", "int8"], threads=[1, 2])
    request = bench.request(
        [dying, *good], runtimes=[SCRIPTED], sweep=sweep, measure=Measure(precision=0.0001, max_seconds=12)
    )
    results = bench.run(request)
    assert bench.ended.failure is None
    assert [result.status for result in results] == ["failed"] * 2 + ["ok"] * 4
    blocks = [
        {burst.block for burst in bursts_of(bench, result)} for result in results if result.status == "ok"
    ]
    # Whoever became the reference after the deaths is in every later group.
    assert any(all(len(mine & other) >= 8 for other in blocks) for mine in blocks)


def test_time_too_short_for_a_burst_is_a_stated_outcome(bench: Bench) -> None:
    slow = Variant("fp32", "script", bench.script("slow", seconds=1.1))
    request = bench.request([slow], runtimes=[SCRIPTED], measure=Measure(precision=0.02, max_seconds=1.0))
    (result,) = bench.run(request)
    assert (result.status, result.latency_seconds, result.settled) == ("ok", None, False)
    reason = result.latency_seconds_reason or ""
    assert reason.startswith(
        "1 s were too short for a burst of every trial: loading and warming up this one took "
    )
    assert "one inference 1.1 s" in reason
    assert_explained(result)


def large_sweep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, seconds: float, precision: float = 0.0001
) -> RunRequest:
    """Make a sweep of six cells that counts as a large one."""
    monkeypatch.setattr("edgedyno.agent.measure.search.WHOLE_CELLS", 2)
    names: list[Precision] = ["fp32", "int8"]
    variants = [Variant(name, "script", bench.script(name, seconds=0.002)) for name in names]
    sweep = Sweep(precisions=names, threads=[1, 2], cores=["all", "big"])
    measure = Measure(precision=precision, max_seconds=seconds)
    return bench.request(variants, runtimes=[SCRIPTED], sweep=sweep, measure=measure)


def test_the_finalists_of_a_large_sweep_race_side_by_side(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.race.HOPELESS_VOID_ROUNDS", 1)  # whatever else runs here
    results = bench.run(large_sweep(bench, monkeypatch, seconds=40, precision=0.5))
    assert bench.ended.failure is None
    assert len({result.trial for result in results}) == len(results) == 6
    tried = [result for result in results if result.status == "ok"]
    finalists = json.loads((bench.folder / "work/run.json").read_bytes())["finalists"]
    final = [result for result in tried if result.trial in finalists]
    assert {result.precision for result in final} == {"fp32", "int8"}
    blocks = [{burst.block for burst in bursts_of(bench, result)} for result in final]
    assert len(set.intersection(*blocks)) >= 8


def test_what_a_large_sweep_leaves_out_is_skipped_with_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.runner.MAX_WORKERS", 2)
    results = bench.run(large_sweep(bench, monkeypatch, seconds=1))
    assert bench.ended.failure is None
    assert [result.status for result in results] == ["ok"] * 2 + ["skipped"] * 4
    for result in results[2:]:
        assert result.failure is not None
        assert result.failure.code == "search.not_tried"
        assert "the sweep has 6 cells, and 1 s is not enough for all" in result.failure.text
        assert_explained(result)
    assert {result.precision for result in results[:2]} == {"fp32", "int8"}


def scripted(bench: Bench, name: str, **script: object) -> Variant:
    return Variant("fp32", "script", bench.script(name, **script))


def test_spinning_runtime_is_seen_and_halted_between_its_bursts(bench: Bench) -> None:
    variants = [scripted(bench, "quiet", seconds=0.002), scripted(bench, "spins", load="spin", seconds=0.002)]
    request = bench.request(variants, runtimes=[SCRIPTED], measure=Measure(precision=0.01, max_seconds=3))
    quiet, spins = bench.run(request)
    assert quiet.status == spins.status == "ok"
    journal = Journal(Path(request.work_dir))
    spun = journal.trial(spins.trial)
    assert (journal.trial(quiet.trial).waiting_cpu_ratio or 0) < 0.1 < (spun.waiting_cpu_ratio or 0)
    assert spins.conditions.extra["waiting_cpu_ratio"] == pytest.approx(spun.waiting_cpu_ratio)


def test_halted_worker_takes_no_cpu_while_it_waits_and_answers_all_the_same(bench: Bench) -> None:
    request = bench.request([scripted(bench, "spins", load="spin")], runtimes=[SCRIPTED])
    cell = plan(request.manifest, request.capabilities).trials[0]
    plugins = {plugin.name: plugin for plugin in find_plugins()}
    launch = Launch({"default": sys.executable}, plugins, bench.files, str(bench.folder), None)
    with Worker(cell, launch) as worker:
        worker.burst(1, 0.1)
        time.sleep(0.3)
        spinning = worker.burst(1, 0.1)
        worker.park()
        worker.burst(1, 0.1)
        time.sleep(0.3)
        halted = worker.burst(1, 0.1)
    assert spinning.waiting_cpu_seconds > 0.1
    assert halted.waiting_cpu_seconds < 0.2 * spinning.waiting_cpu_seconds
    assert halted.waited_seconds > 0.3


def test_more_trials_than_memory_holds_race_in_groups_with_one_reference(bench: Bench) -> None:
    variants = [scripted(bench, f"v{index}", seconds=0.003) for index in range(5)]
    request = bench.request(variants, runtimes=[SCRIPTED], measure=Measure(precision=0.01, max_seconds=6))
    few = structs.replace(request.capabilities, memory_bytes=200 << 20)
    results = bench.run(structs.replace(request, capabilities=few))
    assert [result.status for result in results] == ["ok"] * 5
    blocks = [
        {burst.block for burst in Journal(Path(request.work_dir)).trial(result.trial).bursts}
        for result in results
    ]
    assert all(len(each & blocks[0]) >= 8 for each in blocks[1:])
    assert not blocks[1] & blocks[4]


def test_budget_is_kept_and_what_is_open_is_said(bench: Bench) -> None:
    variants = [scripted(bench, f"v{index}", seconds=0.02) for index in range(4)]
    request = bench.request(variants, runtimes=[SCRIPTED], measure=Measure(precision=1e-6, max_seconds=4))
    bench.run(request)
    assert 2.5 < Journal(Path(request.work_dir)).run().spent_seconds < 5.5
    assert [result.settled for result in bench.results] == [False] * 4


def test_high_precision_takes_fresh_processes_in_one_race(bench: Bench) -> None:
    variants = [scripted(bench, f"v{index}", seconds=0.003) for index in range(2)]
    request = bench.request(variants, runtimes=[SCRIPTED], measure=Measure(precision=0.01, max_seconds=12))
    results = bench.run(request)
    for result in results:
        samples = msgspec.json.decode(artifact(bench, result.samples_sha256), type=Samples)
        loads = [burst.load for burst in samples.bursts]
        assert loads == sorted(loads)
        assert set(loads) >= {1, 2}
