"""Each scenario through the runner with real workers: results, stalls, failures, stopping, going on."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.agent.measure.clocks import ClockState, slowed
from edgedyno.agent.measure.gating import Waited
from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.scenarios.base import excused
from edgedyno.agent.measure.scenarios.soak import HEAT, Clocks
from edgedyno.agent.measure.scenarios.throughput import _needed_bytes
from edgedyno.agent.measure.validity import Observation, Watch
from edgedyno.core.job import FixedRate, Measure, Scenario, Soak, Sweep, Throughput
from edgedyno.core.manifest import Variant
from edgedyno.core.result import Conditions, Samples, Validity
from edgedyno.core.run import Finished, Progressed, decode_event
from tests.agent.boards import copy_board, write
from tests.agent.measure.requests import FASTESTDET, SCRIPTED, Bench, install_scripted, onnxruntime
from tests.agent.measure.test_runner import artifact, assert_explained, runner_process

if TYPE_CHECKING:
    from edgedyno.core.job import Precision
    from edgedyno.core.result import Result
    from edgedyno.core.run import Event


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    install_scripted(monkeypatch, tmp_path / "site")
    return Bench(tmp_path)


def camera(fps: float) -> Scenario:
    return Scenario(fixed_rate=FixedRate(fps))


def streams(count: int) -> Scenario:
    return Scenario(throughput=Throughput(count))


def minutes(count: float) -> Scenario:
    return Scenario(soak=Soak(count))


def scripted(
    bench: Bench,
    scenario: Scenario,
    *scripts: dict[str, Any],
    seconds: float = 3.0,
    threads: tuple[int, ...] = (1,),
    precision: float = 0.0001,
) -> list[Result]:
    """Run a job over scripts, the first as FP32, the second as INT8."""
    kinds: list[Precision] = ["fp32", "int8"][: len(scripts)]  # type: ignore[assignment]
    variants = [
        Variant(kind, "script", bench.script(kind, **{"seconds": 0.004, **script}))
        for kind, script in zip(kinds, scripts, strict=True)
    ]
    sweep = Sweep(precisions=kinds, threads=list(threads), scenario=scenario)
    measure = Measure(precision=precision, max_seconds=seconds)
    return bench.run(bench.request(variants, runtimes=[SCRIPTED], sweep=sweep, measure=measure))


def real(bench: Bench, scenario: Scenario, *, seconds: float) -> list[Result]:
    """Run FastestDet on ONNX Runtime with one thread and with two."""
    sweep = Sweep(precisions=["fp32"], threads=[1, 2], scenario=scenario)
    request = bench.request(
        [Variant("fp32", "onnx", bench.add(FASTESTDET))],
        runtimes=[onnxruntime()],
        images=1,
        sweep=sweep,
        measure=Measure(precision=0.0001, max_seconds=seconds),
    )
    results = bench.run(request)
    assert bench.ended.failure is None
    assert [result.status for result in results] == ["ok", "ok"]
    for result in results:
        assert_explained(result)
    return results


def samples(bench: Bench, result: Result) -> Samples:
    return msgspec.json.decode(artifact(bench, result.samples_sha256), type=Samples)


# -- fixed rate


def test_fixed_rate_of_a_real_model(bench: Bench) -> None:
    results = real(bench, camera(20), seconds=4)
    for result in results:
        assert result.scenario == "fixed-rate 20 fps"
        assert result.deadlines is not None
        assert result.deadlines.period_seconds == pytest.approx(0.05)
        kept = samples(bench, result).bursts
        assert all(burst.after_switch == 1 for burst in kept)
        counted = [burst for burst in kept if burst.valid or not result.validity.valid]
        assert result.deadlines.arrivals == sum(burst.arrivals or 0 for burst in counted)
        assert result.deadlines.arrivals >= 10
        assert result.throughput_per_second is not None
        assert result.throughput_per_second <= 20.0
        assert result.power_watts_reason is not None
        assert "which this scenario does not run" in result.power_watts_reason
        extra = result.conditions.extra
        assert 0 < extra["timer_late_p50_seconds"] <= extra["timer_late_max_seconds"]
        assert result.latency_seconds is not None
        assert result.latency_seconds.mean >= extra["invoke_mean_seconds"]
    blocks = [{burst.block for burst in samples(bench, result).bursts} for result in results]
    assert blocks[0] & blocks[1]


def test_stalls_cost_the_inputs_behind_them(bench: Bench) -> None:
    """Each stall of 0.1 s covers five arrivals: the one that stalls is late, and some of the others are lost."""
    (result,) = scripted(bench, camera(50), {"stall_every": 20, "stall_seconds": 0.1}, seconds=4)
    bursts = samples(bench, result).bursts
    answered = [each for burst in bursts for each in burst.latency_seconds[burst.after_switch :]]
    arrivals = sum(burst.arrivals or 0 for burst in bursts)
    stalls = sum(each >= 0.1 for each in answered)
    assert stalls >= 3
    assert arrivals - len(answered) >= 2 * stalls
    assert result.deadlines is not None
    assert result.deadlines.missed > result.deadlines.dropped > 0


def test_a_model_slower_than_the_camera_says_so(bench: Bench) -> None:
    (result,) = scripted(bench, camera(100), {"seconds": 0.025})
    assert result.status == "ok"
    assert result.deadlines is not None
    assert result.deadlines.missed > 0.9 * result.deadlines.arrivals
    assert result.deadlines.dropped > 0.4 * result.deadlines.arrivals
    assert "inputs come every 10 ms" in result.conditions.extra["overload"]
    assert result.throughput_per_second is not None
    assert result.throughput_per_second < 45


@pytest.mark.parametrize("scenario", [camera(200), streams(2)])
def test_what_is_known_well_enough_ends_early(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    quiet = Observation(Conditions(), Validity(valid=True))
    monkeypatch.setattr("edgedyno.agent.measure.validity.Watch.stop", lambda *_: quiet)
    monkeypatch.setattr("edgedyno.agent.measure.scenarios.windows.WINDOW_LEAST_SECONDS", 0.1)
    monkeypatch.setattr("edgedyno.agent.measure.scenarios.windows.WINDOW_MOST_SECONDS", 0.1)
    results = scripted(bench, scenario, {"seconds": 0.002}, {"seconds": 0.003}, seconds=600, precision=0.9)
    assert all(result.settled for result in results)
    assert all(result.validity.valid for result in results)
    for result in results:
        assert result.latency_seconds is not None
        assert result.latency_seconds.p50_low is not None


# -- throughput


def test_throughput_of_a_real_model(bench: Bench) -> None:
    by_threads = {result.threads: result for result in real(bench, streams(2), seconds=4)}
    for result in by_threads.values():
        assert result.latency_seconds is not None
        assert result.throughput_per_second is not None
        assert result.throughput_per_second_interval is not None
        assert 1 < result.throughput_per_second < 2 / result.latency_seconds.min
        kept = samples(bench, result).bursts
        assert all(burst.window_seconds and burst.window_inferences for burst in kept)
        assert all(burst.after_switch == 2 for burst in kept)
    assert by_threads[1].conditions.extra["stream_cpus"] == [[0], [1]]
    assert by_threads[2].conditions.extra["stream_cpus"] == [[0, 1]]
    assert "share 2 CPUs" in by_threads[2].conditions.extra["placing"]


def test_streams_of_a_sleeping_model_add_up(bench: Bench) -> None:
    """Sleeping takes no CPU, so four streams answer four times as much as one, whatever the machine does."""
    (result,) = scripted(bench, streams(4), {"seconds": 0.05})
    assert result.throughput_per_second is not None
    assert 40 < result.throughput_per_second <= 80.1
    assert result.conditions.extra["streams"] == 4
    assert result.conditions.extra["placing"] == "all 4 streams of 1 threads share 2 CPUs"


def test_streams_beyond_the_memory_fail_with_the_numbers(bench: Bench) -> None:
    variant = Variant("fp32", "script", bench.script("one", seconds=0.001))
    sweep = Sweep(precisions=["fp32"], threads=[1], scenario=streams(1024))
    request = bench.request([variant], runtimes=[SCRIPTED], sweep=sweep)
    board = msgspec.structs.replace(request.capabilities, memory_bytes=1 << 30)
    (result,) = bench.run(msgspec.structs.replace(request, capabilities=board))
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.code == "memory.streams"
    assert "1024 streams of" in result.failure.text
    assert bench.ended.failure is None


def test_memory_is_counted_once_where_a_run_goes_on() -> None:
    fresh = TrialLog("t", peak_rss_bytes=100)
    assert _needed_bytes(fresh, 4) == 400
    assert _needed_bytes(TrialLog("t", peak_rss_bytes=390, notes={"streams": 4}), 4) == 390


# -- soak


def test_soak_of_a_real_model(bench: Bench) -> None:
    results = real(bench, minutes(0.03), seconds=10)
    blocks: list[int] = []
    for result in results:
        assert result.soak is not None
        assert result.soak.seconds == pytest.approx(1.8, abs=1.2)
        assert result.latency_seconds is not None
        kept = samples(bench, result).bursts
        steady = sum(len(burst.latency_seconds) for burst in kept)
        assert result.latency_seconds.n < steady
        assert max(burst.latency_seconds[0] for burst in kept) < 3
        blocks += [burst.block for burst in kept]
    assert len(blocks) == len(set(blocks))


def test_a_soak_that_does_not_fit_is_refused_with_the_numbers(bench: Bench) -> None:
    assert scripted(bench, minutes(1), {}, seconds=100, threads=(1, 2)) == []
    assert bench.ended.failure is not None
    assert bench.ended.failure.code == "soak.too-long"
    assert "1 min for each of 2 trials, 120 s in all" in bench.ended.failure.text


def test_a_tiny_soak_gives_what_it_can(bench: Bench) -> None:
    (result,) = scripted(bench, minutes(0.001), {})
    assert result.status == "ok"
    assert result.soak is not None
    assert result.soak.slowdown.low is None
    assert result.soak.steady_after_seconds is None
    assert "too few" in result.conditions.extra["soak_short"]


def throttled(reason: str, *, throttled: bool | None = None) -> Observation:
    return Observation(Conditions(throttled=throttled), Validity(valid=False, reasons=[reason]))


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("throttle flag set: the clock is capped", True),
        ("clock limit of policy0 fell from 1800 to 1200 MHz (bound 5%)", True),
        ("other processes took 99% of one CPU on the used cores during 1 s (bound 5%)", False),
    ],
)
def test_heat_is_found_by_a_soak_and_does_not_void_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, reason: str, counts: bool
) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.validity.Watch.stop", lambda *_: throttled(reason))
    (result,) = scripted(bench, minutes(0.03), {})
    assert result.soak is not None
    assert (result.soak.throttled_after_seconds is not None) == counts
    assert result.validity.valid == counts


def test_the_board_cools_down_before_each_soak(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.gating.Gate.wait", lambda *_: Waited(2.5, "still warm"))
    results = scripted(bench, minutes(0.01), {}, {})
    assert sorted(result.conditions.gating_seconds or 0.0 for result in results) == [2.5, 5.0]
    assert {result.conditions.gating_reason for result in results} == {"still warm"}


def clocks(megahertz: float, *, governor: str = "performance") -> Conditions:
    return Conditions(governor={"policy0": governor}, frequency_hz={"policy0": megahertz * 1e6})


def test_a_held_clock_that_stays_low_is_found() -> None:
    found = Clocks()
    assert [found.fallen(clocks(each)) for each in (2000, 1980, 1500, 1500, 2000)] == [False] * 5
    assert [found.fallen(clocks(1500)) for _ in range(3)] == [False, False, True]
    moved = Clocks()
    assert not any(moved.fallen(clocks(each, governor="schedutil")) for each in (2000, 800, 800, 800, 800))


def test_the_validity_rules_begin_their_words_on_heat_so(tmp_path: Path) -> None:
    fast, slow = ClockState("performance", 2e9, 2e9), ClockState("performance", 1e9, 1e9)
    assert all(text.startswith(HEAT) for text in slowed({"policy0": fast}, {"policy0": slow}))
    tree = copy_board("x86-rapl", tmp_path)
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start()
    write(tree / "rootfs/sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count", "3")
    seen = watch.stop()
    assert any("throttle" in text for text in seen.validity.reasons)
    assert not any("throttle" in text for text in excused(seen, HEAT).validity.reasons)


# -- all of them


@pytest.mark.parametrize(
    ("scenario", "script", "code"),
    [
        (camera(200), {"invoke": "segfault", "after": 100}, "worker.crashed"),
        (streams(2), {"invoke": "segfault", "after": 100}, "worker.crashed"),
        (streams(2), {"load": "refuse"}, "model.invalid"),
        (minutes(0.02), {"invoke": "segfault", "after": 100}, "worker.crashed"),
    ],
)
def test_a_bad_trial_costs_only_itself(
    bench: Bench, scenario: Scenario, script: dict[str, Any], code: str
) -> None:
    by_precision = {result.precision: result for result in scripted(bench, scenario, {}, script, seconds=2.5)}
    assert by_precision["fp32"].status == "ok"
    assert by_precision["fp32"].latency_seconds is not None
    failed = by_precision["int8"]
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.code == code
    assert_explained(failed)
    assert bench.ended.failure is None


@pytest.mark.parametrize("scenario", [camera(50), streams(2), minutes(0.9)])
def test_stop_ends_each_scenario(bench: Bench, scenario: Scenario) -> None:
    begun = threading.Event()
    original = bench.events.append

    def emit(event: Event) -> None:
        original(event)
        if isinstance(event, Progressed) and event.progress.phase == "measure":
            begun.set()
            bench.stop.set()

    variant = Variant("fp32", "script", bench.script("one", seconds=0.004))
    sweep = Sweep(precisions=["fp32"], threads=[1], scenario=scenario)
    request = bench.request(
        [variant], runtimes=[SCRIPTED], sweep=sweep, measure=Measure(precision=0.0001, max_seconds=60)
    )
    from edgedyno.agent.measure.runner import run

    run(request, emit, bench.stop)
    assert begun.is_set()
    assert bench.results == []
    assert bench.ended.failure is not None
    assert bench.ended.failure.code == "canceled"


@pytest.mark.parametrize(("scenario", "keeps"), [(camera(50), True), (minutes(0.09), False)])
def test_a_killed_runner_goes_on(bench: Bench, scenario: Scenario, keeps: bool) -> None:
    variant = Variant("fp32", "script", bench.script("one", seconds=0.004))
    sweep = Sweep(precisions=["fp32"], threads=[1], scenario=scenario)
    measure = Measure(precision=0.0001, max_seconds=5.5)
    request = bench.request([variant], runtimes=[SCRIPTED], sweep=sweep, measure=measure)
    file = bench.folder / "request.json"
    file.write_bytes(msgspec.json.encode(request))
    logs = bench.folder / "work/trials"
    with runner_process(bench, file) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            if any(json.loads(path.read_bytes())["bursts"] for path in logs.glob("*.json")):
                break
        process.send_signal(signal.SIGKILL)
    (path,) = logs.glob("*.json")
    before = json.loads(path.read_bytes())["bursts"]
    with runner_process(bench, file) as process:
        assert process.stdout is not None
        events = [decode_event(line) for line in process.stdout]
    (finished,) = [event for event in events if isinstance(event, Finished)]
    kept = msgspec.json.decode(
        Path(finished.files[finished.record.samples_sha256 or ""]).read_bytes(), type=Samples
    ).bursts
    times = {burst.started_monotonic_seconds for burst in kept}
    assert len(times) == len({burst.block for burst in kept}) == len(kept)
    assert all((burst["started_monotonic_seconds"] in times) == keeps for burst in before)


@pytest.mark.parametrize("fps", [0.0, 1e6])
def test_a_rate_that_cannot_be_measured_ends_the_run_at_once(bench: Bench, fps: float) -> None:
    assert scripted(bench, camera(fps), {}) == []
    assert bench.ended.failure is not None
    assert bench.ended.failure.code == "scenario.invalid"
