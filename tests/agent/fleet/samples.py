"""Values that tests of the fleet half share."""

from __future__ import annotations

import hashlib
from typing import Any

from edgedyno.core.board import Capabilities, Cluster, Cpu
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import ArtifactRef, Image, Manifest, Variant
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.result import Conditions, Result, Validity

CAPABILITIES = Capabilities(
    profile="generic",
    name="test board",
    arch="x86_64",
    cpu=Cpu(clusters=[Cluster(cpus=[0], core=None, max_hz=None)], features=[]),
    core_sets={"all": [0]},
    memory_bytes=1 << 30,
    power=[],
    throttle=[],
    runtimes=[],
    kernel="6.1",
    os="test",
)
MODEL = ModelProfile(
    name="tiny",
    task="classify",
    source="tiny.onnx",
    input=InputSpec(size=(8, 8)),
    output=OutputSpec("classify"),
)


def sha256_of(data: bytes) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def reference(data: bytes, **fields: Any) -> ArtifactRef:
    """Return the reference of some bytes."""
    return ArtifactRef(**{"sha256": sha256_of(data), "size_bytes": len(data), "name": "a file", **fields})


def manifest(
    execution: str = "job-1.board", *, files: tuple[ArtifactRef, ...] = (), **fields: Any
) -> Manifest:
    """Return the manifest of an execution; the first file is a variant, the rest are images."""
    return Manifest(
        job="job-1",
        execution=execution,
        model=MODEL,
        variants=[Variant("fp32", "onnx", file) for file in files[:1]],
        sweep=Sweep(),
        measure=Measure(max_seconds=1.0),
        images=[Image(number, file) for number, file in enumerate(files[1:])],
        **fields,
    )


def result(
    trial: str = "a" * 16, *, execution: str = "job-1.board", attempt: int = 1, **fields: Any
) -> Result:
    """Return a result."""
    return Result(
        job="job-1",
        execution=execution,
        attempt=attempt,
        board="board",
        model="tiny",
        trial=trial,
        variant_sha256=None,
        format="onnx",
        runtime="scripted",
        runtime_version="1",
        precision="fp32",
        threads=1,
        cores="all",
        status="ok",
        conditions=Conditions(),
        validity=Validity(valid=True),
        started_at="2024-01-01T00:00:00Z",
        monotonic_seconds=0.0,
        **fields,
    )
