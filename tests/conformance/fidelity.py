"""How near a variant's outputs are to those of the FP32 model in ONNX Runtime, on the same inputs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime

from edgedyno.agent.measure.supervisor import Worker
from edgedyno.core.vision import prepare
from tests.conformance.findings import note

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob
    from tests.conformance.here import Built, Workshop

IMAGES = 3


class Nearness(NamedTuple):
    """The worst image's."""

    sqnr_db: float
    cosine: float
    ran: str
    """The effective precision."""


def nearness(workshop: Workshop, resolved: ResolvedJob, built: Built, folder: Path) -> Nearness:
    """Infer some images in a real worker and compare."""
    found = []
    with Worker(built.cell, built.launch) as worker:
        for number, (tensor, expected) in enumerate(references(workshop, resolved)):
            path = folder / f"{number}.npy"
            np.save(path, tensor)
            outputs = [np.load(each) for each in worker.infer(path, folder, f"output-{number}")]
            found.append(_compare(outputs, expected))
        ran = worker.effective_precision()[0]
    nearest = Nearness(min(sqnr_db for sqnr_db, _ in found), min(cosine for _, cosine in found), ran)
    note(resolved.model.name, built.cell, **nearest._asdict())
    return nearest


def references(workshop: Workshop, resolved: ResolvedJob) -> list[tuple[Any, list[Any]]]:
    """Return prepared tensors and what the FP32 model makes of them."""
    paths = tuple(workshop.store.path(image.file.sha256) for image in resolved.images[:IMAGES])
    return _references(workshop.store.path(resolved.source.sha256), paths, resolved.model.input)


@cache
def _references(source: Path, images: tuple[Path, ...], spec: Any) -> list[tuple[Any, list[Any]]]:
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    tensors = [prepare(path.read_bytes(), spec).tensor for path in images]
    return [(tensor, session.run(None, {name: tensor})) for tensor in tensors]


def _compare(outputs: list[Any], expected: list[Any]) -> tuple[float, float]:
    assert [_shape(each) for each in outputs] == [_shape(each) for each in expected]
    ours = np.concatenate([each.ravel() for each in outputs]).astype(np.float64)
    theirs = np.concatenate([each.ravel() for each in expected]).astype(np.float64)
    noise, signal = float(((ours - theirs) ** 2).sum()), float((theirs**2).sum())
    cosine = float(ours @ theirs / np.sqrt((ours**2).sum() * signal))
    return (np.inf if noise == 0 else float(10 * np.log10(signal / noise))), cosine


def _shape(array: Any) -> tuple[int, ...]:
    """Return the shape without axes of 1: some runtimes have no batch."""
    return tuple(size for size in array.shape if size != 1)
