"""The accuracy pass: streamed, resumable, flat in memory; fidelity, signs of life, threads and bad images."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.measure.accuracy import pass_key, run_passes
from edgedyno.agent.measure.inputs import write_latency_input
from edgedyno.agent.measure.journal import STOPWATCH_VALUES, Journal, PassLog, Stopwatch
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.supervisor import Launch
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import ArtifactRef, Image, Manifest, Variant
from edgedyno.core.predictions import read_predictions
from tests.agent.measure.requests import FASTESTDET, MODEL, QUICK, SAMPLES, Bench

if TYPE_CHECKING:
    from edgedyno.core.result import Predictions

PICTURES = sorted((SAMPLES / "data/coco_ccby/images").glob("*.jpg"))


class Passes:
    """Accuracy passes over files in a folder, without the race before them."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.journal = Journal(folder / "work")
        self.stop = threading.Event()
        self.told: list[tuple[int, int]] = []

    def cell(self, file: Path, precision: str = "fp32", *, threads: int = 1, **own: object) -> Cell:
        variant = Variant(precision, "onnx", self.bench.add(file), **own)  # type: ignore[arg-type]
        return Cell(
            trial=f"{file.name}-{threads}",
            variant=variant,
            runtime="onnxruntime",
            runtime_version="1",
            environment="default",
            threads=threads,
            cores="all",
            cpus=sorted(os.sched_getaffinity(0)),
            batch=1,
            scenario="single-stream",
        )

    def images(self, paths: list[Path]) -> list[Image]:
        return [Image(index, self.bench.add(path)) for index, path in enumerate(paths)]

    def run(self, cells: list[Cell], images: list[Image], *, stop_after: int | None = None) -> list[PassLog]:
        manifest = Manifest(
            "j", "j.here", MODEL, [cell.variant for cell in cells], Sweep(), Measure(), images
        )
        tensor = self.bench.folder / "latency.npy"
        write_latency_input(manifest, self.bench.files, tensor)
        self.stop.clear()

        def between(done: int, total: int) -> None:
            self.told.append((done, total))
            if done == stop_after:
                self.stop.set()

        run_passes(
            cells,
            manifest=manifest,
            launch=Launch(
                pythons={"default": sys.executable},
                plugins={plugin.name: plugin for plugin in find_plugins()},
                files=self.bench.files,
                scratch=str(self.journal.scratch),
                memory_bytes=None,
                deadlines=msgspec.structs.replace(QUICK, first=60),
            ),
            journal=self.journal,
            latency_input=tensor,
            stop=self.stop,
            between=between,
        )
        logs = [self.journal.accuracy_pass(pass_key(cell)) for cell in cells]
        return [log for log in logs if log is not None]

    def predictions(self, log: PassLog) -> Predictions:
        assert log.predictions_sha256 is not None, log.reason
        return read_predictions((self.journal.artifacts / log.predictions_sha256).read_bytes())


@pytest.fixture
def passes(tmp_path: Path) -> Passes:
    return Passes(tmp_path)


def scaled_copy(path: Path, factor: float) -> Path:
    """Write FastestDet with its output multiplied: a known difference from the original."""
    model = onnx.load(FASTESTDET)
    output = model.graph.output[0]
    name = output.name
    for node in model.graph.node:
        node.output[:] = ["before" if each == name else each for each in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["before", "factor"], [name]))
    onnx.save(model, path)
    return path


def constant_model(path: Path, value: float) -> Path:
    """Write a model that says the same about every image."""
    shape = [1, 85, 22, 22]
    constant = numpy_helper.from_array(np.full(shape, value, np.float32), "constant")
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["one"], keepdims=0),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["constant", "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 352, 352])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [constant, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_stopped_pass_goes_on_with_the_next_image_and_ends_the_same(tmp_path: Path) -> None:
    whole, stopped = Passes(tmp_path / "whole"), Passes(tmp_path / "stopped")
    for each in (whole, stopped):
        each.bench.folder.mkdir(exist_ok=True)
    (expected,) = whole.run([whole.cell(FASTESTDET)], whole.images(PICTURES[:6]))
    cell = stopped.cell(FASTESTDET)
    assert stopped.run([cell], stopped.images(PICTURES[:6]), stop_after=4) == []
    stopped.told.clear()
    (log,) = stopped.run([cell], stopped.images(PICTURES[:6]))
    assert stopped.told == [(5, 6), (6, 6)]
    assert log.predictions_sha256 == expected.predictions_sha256
    assert log.preprocess_count == 6
    assert [each.repeated for each in log.outputs] == [0]
    assert not list((stopped.journal.folder / "passes").glob("*.state"))


def test_a_killed_pass_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, edgedyno.agent.measure.accuracy as accuracy\n"
        "from tests.agent.measure.test_pass import *\n"
        "accuracy.CHECKPOINT_SECONDS = 0.0\n"
        "passes = Passes(pathlib.Path(sys.argv[1]))\n"
        "passes.run([passes.cell(FASTESTDET)], passes.images(PICTURES * 20))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=Path.cwd()) as killed:
        part = _wait_for_state(tmp_path / "work/passes")
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    assert killed.returncode == -signal.SIGKILL
    done = msgspec.json.decode(part.read_bytes())["done"]
    assert done >= 5
    passes = Passes(tmp_path)
    images = passes.images(PICTURES * 20)
    passes.run([passes.cell(FASTESTDET)], images, stop_after=done + 3)
    assert passes.told[0] == (done + 1, len(images))


def test_a_pass_over_other_images_starts_from_the_beginning(passes: Passes) -> None:
    cell = passes.cell(FASTESTDET)
    passes.run([cell], passes.images(PICTURES[:4]), stop_after=2)
    (log,) = passes.run([cell], passes.images(PICTURES[4:7]))
    assert [image.image_id for image in passes.predictions(log).images] == [0, 1, 2]


def _wait_for_state(folder: Path) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in folder.glob("*.state"):
            if msgspec.json.decode(path.read_bytes())["done"] >= 5:
                return path
        time.sleep(0.02)
    raise AssertionError("no checkpoint was written")


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """In a process of its own, so that nothing that other tests leave behind counts."""
    program = (
        "import sys, pathlib\n"
        "from tests.agent.measure.test_pass import *\n"
        "passes = Passes(pathlib.Path(sys.argv[1]))\n"
        "images = passes.images(PICTURES * 12)\n"
        "def rss():\n"
        "    return int(pathlib.Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "class Told(list):\n"
        "    def append(self, each):\n"
        "        if each[0] in (60, len(images)):\n"
        "            print(rss())\n"
        "passes.told = Told()\n"
        "passes.run([passes.cell(FASTESTDET)], images)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    ).stdout
    early, late = (int(line) for line in out.split())
    assert late - early < 2**20


def test_raw_outputs_are_compared_with_fp32_on_the_same_images(passes: Passes) -> None:
    """A tenth more is 20 dB below the signal, in the same direction."""
    cells = [
        passes.cell(FASTESTDET),
        passes.cell(scaled_copy(passes.bench.folder / "tenth.onnx", 1.1), "int8"),
        passes.cell(scaled_copy(passes.bench.folder / "same.onnx", 1.0), "fp16"),
    ]
    fp32, int8, fp16 = passes.run(cells, passes.images(PICTURES))
    assert fp32.fidelity is None
    assert "FP32" in (fp32.fidelity_reason or "")
    assert int8.fidelity is not None
    assert int8.fidelity.reference == "FP32 on onnxruntime 1"
    assert int8.fidelity.outputs_images == 16
    (output,) = int8.fidelity.outputs
    assert output.name == "output 0 (1x85x22x22)"
    assert output.sqnr_db == pytest.approx(20, abs=1e-4)
    assert output.cosine == pytest.approx(1, abs=1e-9)
    assert output.max_error == pytest.approx(0.1 * (fp32.outputs[0].high or 0), rel=1e-4)
    assert fp16.fidelity is not None
    assert (fp16.fidelity.outputs[0].sqnr_db, fp16.fidelity.outputs[0].max_error) == (None, 0.0)
    assert not (passes.journal.folder / "fp32-outputs").exists()


def test_without_fp32_the_reason_is_stated(passes: Passes) -> None:
    (log,) = passes.run([passes.cell(FASTESTDET, "int8")], passes.images(PICTURES[:1]))
    assert log.fidelity is None
    assert "no FP32" in (log.fidelity_reason or "")


def test_an_input_of_another_fit_is_not_compared(passes: Passes) -> None:
    own = msgspec.structs.replace(MODEL.input, resize="letterbox-center")
    copy = scaled_copy(passes.bench.folder / "same.onnx", 1.0)
    _, log = passes.run(
        [passes.cell(FASTESTDET), passes.cell(copy, "int8", input=own)], passes.images(PICTURES[:2])
    )
    assert log.fidelity is not None
    assert log.fidelity.outputs == []
    assert "size or fit" in (log.fidelity.outputs_reason or "")


def test_not_a_number_is_counted_and_told(passes: Passes) -> None:
    broken = constant_model(passes.bench.folder / "nan.onnx", np.nan)
    cells = [passes.cell(FASTESTDET), passes.cell(broken, "int8")]
    fp32, nan = passes.run(cells, passes.images(PICTURES[:3]))
    assert [(each.images, each.not_a_number) for each in nan.outputs] == [(3, 3)]
    assert nan.images is not None
    assert (nan.images.failed, nan.images.codes) == (3, {"output.not-a-number": 3})
    assert nan.fidelity is not None
    assert "NaN" in (nan.fidelity.outputs_reason or "")
    (alive,) = fp32.outputs
    assert (alive.not_a_number, alive.infinite, alive.flat, alive.repeated) == (0, 0, 0, 0)


def test_a_constant_output_shows(passes: Passes) -> None:
    dead = constant_model(passes.bench.folder / "dead.onnx", 0.25)
    (log,) = passes.run([passes.cell(dead)], passes.images(PICTURES[:4]))
    assert [(each.flat, each.repeated, each.low, each.high) for each in log.outputs] == [(4, 3, 0.25, 0.25)]


def test_another_number_of_threads_is_checked(passes: Passes) -> None:
    cells = [passes.cell(FASTESTDET, threads=threads) for threads in (2, 1)]
    log, _ = passes.run(cells, passes.images(PICTURES[:5]))
    check = log.threads_check
    assert check is not None
    assert (check.threads, check.other_threads, check.images) == (2, 1, 4)
    assert check.max_score_difference < 1e-3
    assert check.identical == (check.max_score_difference == 0)
    assert "2 and 1 threads predict" in check.text


def test_bad_images_are_counted_by_code_and_stay_in_the_denominator(passes: Passes) -> None:
    folder = passes.bench.folder
    good = PICTURES[0].read_bytes()
    pixel = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    bad = {
        "cut.jpg": (good[: len(good) // 2], "image.truncated"),
        "empty.jpg": (b"", "image.undecodable"),
        "text.jpg": (b"no picture at all\n" * 9, "image.undecodable"),
        "dot.png": (pixel, "image.too-small"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    images = passes.images([PICTURES[0], *(folder / name for name in bad), PICTURES[1]])
    images.append(Image(99, ArtifactRef("f" * 64, 1)))
    (log,) = passes.run([passes.cell(FASTESTDET)], images)
    assert log.images is not None
    assert (log.images.shown, log.images.failed) == (7, 5)
    assert log.images.codes == {
        "image.truncated": 1,
        "image.undecodable": 2,
        "image.too-small": 1,
        "image.missing": 1,
    }
    assert log.images.first[0].startswith("image.truncated: image 1: found an image that ends too early")
    seen = passes.predictions(log).images
    assert [image.error is None for image in seen] == [True, False, False, False, False, True, False]
    assert len(seen[0].detections) > 0


def test_predictions_are_lines_that_keep_float32(passes: Passes) -> None:
    (log,) = passes.run([passes.cell(FASTESTDET)], passes.images(PICTURES[:2]))
    data = (passes.journal.artifacts / (log.predictions_sha256 or "")).read_bytes()
    assert len(gzip.decompress(data).splitlines()) == 3
    values = [value for box in passes.predictions(log).images[0].detections for value in (box.x, box.score)]
    assert values == [float(str(np.float32(value))) for value in values]


def test_a_stopwatch_keeps_a_bounded_share() -> None:
    watch = Stopwatch()
    for index in range(20_000):
        watch.add(float(index))
    assert watch.count == 20_000
    assert STOPWATCH_VALUES / 2 <= len(watch.seconds) < STOPWATCH_VALUES
    assert np.median(watch.seconds) == pytest.approx(10_000, rel=0.01)
    assert len(set(np.diff(watch.seconds))) == 1
