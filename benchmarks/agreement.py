"""Our median against the runtime's own benchmark tool: same file, threads and cores, in short interleaved pairs.

Each pair is two fresh processes: ours runs half of its burst, then the tool runs, then ours runs the other half,
so that what drifts steadily cancels. A fresh process draws its memory anew, which alone moves a median by
percents: many short pairs average that, one long pair does not.

Agreement means: the ratio ours / theirs is within 2 % of 1, and its 95 % interval at most +-3 % wide.
Usage: python benchmarks/agreement.py [--pairs N] [--seconds S] [--threads T] [--cpus 0-1]
           [--openvino MODEL.onnx] [--litert MODEL.tflite]      (--openvino none leaves it out)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.supervisor import Launch, Worker
from edgedyno.agent.worker.confine import parse_cpu_list
from edgedyno.agent.worker.process import WorkerProcess
from edgedyno.core.manifest import ArtifactRef, Variant
from edgedyno.core.run import Environment
from edgedyno.core.statistics import MIN_BLOCKS, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
BIN = Path(os.environ.get("EDGEDYNO_RUNTIMES", ROOT / ".runtimes")) / "bin"
SAMPLE = ROOT / "profiles/edgedyno/profiles/samples/models/yolox_nano/yolox_nano_416_fp32.onnx"
ZOO_MODEL = "models/yolox_nano/yolox_nano_416_fp16.tflite"
WARMUP_SECONDS = 0.5
AFTER_SWITCH = 1  # inferences at the start of each of our halves that do not count
AGREES_WITHIN = 0.02
WIDEST = 0.03
DISTURBED = 0.05  # waiting for the CPU, as a share of our burst; nothing is left out, it is said


class Native(NamedTuple):
    """A runtime's own tool."""

    runtime: str
    tool: str
    command: Callable[[Setting, int], list[str]]
    median_seconds: Callable[[Setting], float]
    """Read from the report that the tool wrote."""
    differs: str


class Setting(NamedTuple):
    """What both sides measure."""

    model: Path
    threads: int
    cpus: list[int]
    tensor: Path
    report: Path
    """A folder for the tool's report."""


def benchmark_app(setting: Setting, count: int) -> list[str]:
    """Return OpenVINO's tool with the settings of our plugin."""
    words = f"-d CPU -api sync -hint none -nstreams 1 -nthreads {setting.threads} -pin NO -niter {count}"
    precision = "-infer_precision f32 -ip f32"  # its default is to feed 8 bit pixels and convert them inside
    report = f"-report_type no_counters -json_stats -report_folder {setting.report}"
    return [
        str(BIN / "benchmark_app"),
        *("-m", str(setting.model), "-i", str(setting.tensor)),
        *words.split(),
        *precision.split(),
        *report.split(),
    ]


def benchmark_app_median(setting: Setting) -> float:
    """Read the median, written in steps of 0.01 ms."""
    report = json.loads((setting.report / "benchmark_report.json").read_text())
    return float(report["execution_results"]["latency (ms)"]) / 1e3


def litert_benchmark(setting: Setting, count: int) -> list[str]:
    """Return LiteRT's tool; it makes its input itself, uniform between -1 and 1."""
    return [
        str(BIN / "litert-benchmark"),
        *("--model", str(setting.model), "--num_threads", str(setting.threads)),
        *("--num_runs", str(count), "--warmup_runs", str(max(5, count // 3))),
        *("--result_json", str(setting.report / "litert.json")),
    ]


def litert_median(setting: Setting) -> float:
    """Read the median, written in steps of 0.01 ms."""
    report = json.loads((setting.report / "litert.json").read_text())
    return float(report["latency"]["median_ms"]) / 1e3


NATIVES = (
    Native(
        "openvino",
        "benchmark_app of the openvino wheel (Python, sync API, C++ clock)",
        benchmark_app,
        benchmark_app_median,
        "its times are OpenVINO's own, taken inside the binding; ours hold the "
        "call from Python and back too, about 0.1 ms with the caches as an inference leaves them",
    ),
    Native(
        "litert",
        "litert-benchmark of the ai-edge-litert wheel (Python)",
        litert_benchmark,
        litert_median,
        "it runs LiteRT's CompiledModel, ours its Interpreter; both times are taken around a call from Python",
    ),
)


def make_cell(native: Native, setting: Setting) -> Cell:
    """Return our side as a trial."""
    data = setting.model.read_bytes()
    return Cell(
        trial="ours",
        variant=Variant("fp32", "onnx", ArtifactRef(hashlib.sha256(data).hexdigest(), len(data))),
        runtime=native.runtime,
        runtime_version=None,
        environment="others",
        threads=setting.threads,
        cores="chosen",
        cpus=setting.cpus,
        batch=1,
        scenario="single-stream",
    )


def run_native(native: Native, setting: Setting, count: int) -> float:
    """Run the tool once on the CPUs; return its median in seconds."""
    cpus = ",".join(map(str, setting.cpus))
    done = subprocess.run(
        ["taskset", "-c", cpus, *native.command(setting, count)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": "true"},  # the only word that keeps OpenVINO from reporting its use
    )
    if done.returncode:
        sys.exit(f"{native.tool} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return native.median_seconds(setting)


class Pair(NamedTuple):
    """Seconds of each of our inferences, and the tool's median."""

    ours: list[float]
    theirs: float
    waited: float
    """The share of our burst that our worker waited for a CPU: others worked there."""


def run_pair(native: Native, setting: Setting, launch: Launch, seconds: float) -> Pair:
    """Run one pair: half of ours, the tool, the other half."""
    with Worker(make_cell(native, setting), launch) as worker:
        worker.bind(setting.tensor)
        each = worker.first_inference()
        warm = worker.burst(max(3, round(WARMUP_SECONDS / each)), WARMUP_SECONDS).latency_seconds
        each = float(np.median(warm))
        half = AFTER_SWITCH + max(2, round(seconds / each / 2))
        before = worker.burst(half, half * each)
        theirs = run_native(native, setting, max(5, round(seconds / each)))
        after = worker.burst(half, half * each)
        if strayed := worker.check().strayed:
            sys.exit(strayed)
    ours = before.latency_seconds[AFTER_SWITCH:] + after.latency_seconds[AFTER_SWITCH:]
    return Pair(ours, theirs, (before.run_delay_seconds + after.run_delay_seconds) / sum(ours))


def write_input(native: Native, setting: Setting) -> None:
    """Write the input that both get: uniform between -1 and 1, as LiteRT's tool makes its own."""
    plugin = next(plugin for plugin in find_plugins() if plugin.name == native.runtime)
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(str(BIN / "python"), log)
        process.ask("start", 60, plugin=plugin._asdict(), cpus=setting.cpus)
        loaded = process.ask(
            "load",
            60,
            model=str(setting.model),
            threads=setting.threads,
            batch=1,
            scratch=str(setting.report),
        )
        process.close()
    shape = [size or 1 for size in loaded["inputs"][0]["shape"]]
    tensor = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    np.save(setting.tensor, tensor, allow_pickle=False)


def compare(native: Native, setting: Setting, launch: Launch, *, pairs: int, seconds: float) -> bool:
    """Run the pairs and print them; return whether the two agree."""
    print(f"\n{native.runtime} {version_of(native.runtime)}: {setting.model.name}, ", end="")
    print(f"{setting.threads} thread(s) on CPU {','.join(map(str, setting.cpus))}")
    print(f"  tool: {native.tool}\n  differs: {native.differs}")
    write_input(native, setting)
    found = []
    for number in range(pairs):
        pair = run_pair(native, setting, launch, seconds)
        found.append(pair)
        ours = float(np.median(pair.ours))
        print(
            f"  pair {number + 1:3}: ours {ours * 1e3:7.3f} ms, theirs {pair.theirs * 1e3:7.2f} ms, "
            f"ratio {ours / pair.theirs:.4f}{' disturbed' if pair.waited > DISTURBED else ''}",
            flush=True,
        )
    return conclude(found)


def conclude(pairs: list[Pair]) -> bool:
    """Print medians and the ratio with its interval."""
    ours = np.median([np.median(pair.ours) for pair in pairs]) * 1e3
    theirs = np.median([pair.theirs for pair in pairs]) * 1e3
    disturbed = sum(pair.waited > DISTURBED for pair in pairs)
    print(f"  medians over {len(pairs)} pairs: ours {ours:.3f} ms, theirs {theirs:.3f} ms", end="")
    print(f"; {disturbed} pairs disturbed by others, and counted")
    if len(pairs) < MIN_BLOCKS:
        print(f"  no interval from {len(pairs)} pairs, it needs {MIN_BLOCKS}")
        return False
    ratio = paired_ratio([pair.ours for pair in pairs], [[pair.theirs] for pair in pairs])
    print(
        f"  ratio {ratio.value:.4f} [{ratio.low:.4f}, {ratio.high:.4f}] (+-{ratio.half_width:.2%}): ", end=""
    )
    if ratio.half_width > WIDEST:
        print(f"cannot tell, the interval is wider than +-{WIDEST:.0%}")
        return False
    agrees = abs(ratio.value - 1) <= AGREES_WITHIN
    print(f"{'agrees' if agrees else 'DOES NOT AGREE'} within {AGREES_WITHIN:.0%}")
    return agrees


def version_of(runtime: str) -> str:
    """Ask the environment."""
    found = {info.name: info for info in probe_all([Environment("others", str(BIN / "python"))])}[runtime]
    if not found.available:
        sys.exit(f"{runtime} does not work in {BIN.parent}: {found.reason}")
    return found.version or "of unknown version"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    zoo = os.environ.get("EDGEDYNO_ZOO")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in a pair")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpus", default=None, help="default: as many as threads, from the highest down")
    parser.add_argument("--openvino", default=str(SAMPLE), help="an ONNX file, or none")
    parser.add_argument("--litert", default=str(Path(zoo) / ZOO_MODEL) if zoo else "none")
    return parser.parse_args()


def main() -> int:
    """Compare with each tool; return 1 where one does not agree or nothing can be told."""
    options = parse()
    subprocess.run([str(ROOT / "scripts/runtimes")], check=True)
    free = sorted(os.sched_getaffinity(0))
    cpus = sorted(parse_cpu_list(options.cpus)) if options.cpus else free[-options.threads :]
    print(f"load before: {os.getloadavg()[0]:.2f} (others' work widens the interval)")
    agree = []
    for native in NATIVES:
        model = getattr(options, native.runtime)
        if model == "none":
            print(f"\n{native.runtime}: left out, no model (EDGEDYNO_ZOO or --{native.runtime} names one)")
            continue
        with tempfile.TemporaryDirectory() as folder:
            setting = Setting(
                Path(model).absolute(), options.threads, cpus, Path(folder) / "input.npy", Path(folder)
            )
            launch = Launch(
                pythons={"others": str(BIN / "python")},
                plugins={plugin.name: plugin for plugin in find_plugins()},
                files={make_cell(native, setting).variant_sha256 or "": str(setting.model)},
                scratch=folder,
                memory_bytes=None,
            )
            agree.append(compare(native, setting, launch, pairs=options.pairs, seconds=options.seconds))
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
