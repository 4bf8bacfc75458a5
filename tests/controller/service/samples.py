"""Values that the tests of the service send about: boards, jobs, results as a real runner writes them."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from edgedyno.core.board import Capabilities, Cluster, Cpu, PowerSource, RuntimeInfo, ThrottleSource
from edgedyno.core.job import JobSpec, Retry, Sweep, Timeouts
from edgedyno.core.manifest import ArtifactRef, Image, ResolvedJob
from edgedyno.core.messages import ResultMessage
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.result import (
    Accuracy,
    Conditions,
    EnergySummary,
    LatencySummary,
    PowerSummary,
    Result,
    Validity,
)
from edgedyno.core.targets import BoardSelector

MODEL_BYTES = b"the source model's bytes"
IMAGE_BYTES = b"an image's bytes"
NO_RETRY = Retry(infrastructure=0, device=0)


def sha256(data: bytes) -> str:
    """Return the hash that names `data`."""
    return hashlib.sha256(data).hexdigest()


def ref(data: bytes, name: str = "") -> ArtifactRef:
    """Return the reference to `data`."""
    return ArtifactRef(sha256(data), len(data), name)


def capabilities(
    *,
    features: tuple[str, ...] = ("asimddp",),
    labels: dict[str, str] | None = None,
    runtimes: list[RuntimeInfo] | None = None,
) -> Capabilities:
    """Return what an agent would find on a small Arm board."""
    return Capabilities(
        profile="rpi4",
        name="Raspberry Pi 4 Model B",
        arch="aarch64",
        cpu=Cpu([Cluster([0, 1, 2, 3], "Cortex-A72", 1.8e9)], list(features)),
        core_sets={"all": [0, 1, 2, 3]},
        memory_bytes=4 * 2**30,
        power=[PowerSource("ina219", "board", available=False, reason="not found")],
        throttle=[ThrottleSource("vcgencmd", available=True)],
        runtimes=runtimes or [RuntimeInfo("onnxruntime", "1.20.0", available=True, formats=["onnx"])],
        kernel="6.6.31",
        os="Debian 12",
        agent_version="0.1.0",
        labels=labels or {},
    )


def resolved_job(
    name: str = "sample",
    *,
    boards: BoardSelector | None = None,
    timeouts: Timeouts | None = None,
    precisions: tuple[str, ...] = ("fp32", "int8"),
    retry: Retry = NO_RETRY,
    priority: int = 0,
) -> ResolvedJob:
    """Return a job over MODEL_BYTES and IMAGE_BYTES; unless told, nothing of it is tried again by itself."""
    model = ModelProfile(
        name="tiny",
        task="detect",
        source="tiny.onnx",
        input=InputSpec(size=(64, 64)),
        output=OutputSpec(decoder="yolox"),
    )
    spec = JobSpec(
        name=name,
        model="tiny",
        boards=boards or BoardSelector(all=True),
        sweep=Sweep(precisions=list(precisions)),  # type: ignore[arg-type]
        timeouts=timeouts or Timeouts(),
        retry=retry,
        priority=priority,
    )
    return ResolvedJob(
        spec=spec,
        model=model,
        source=ref(MODEL_BYTES, "tiny.onnx"),
        class_names=["thing"],
        images=[Image(1, ref(IMAGE_BYTES, "1.jpg"))],
    )


def result(execution: str, *, trial: str = "t1", attempt: int = 1, **changes: Any) -> Result:
    """Return one trial's outcome; the execution's name says its job and board."""
    job, _, board = execution.partition(".")
    made = Result(
        job=job,
        execution=execution,
        attempt=attempt,
        board=board,
        model="tiny",
        trial=trial,
        variant_sha256=sha256(b"variant"),
        format="onnx",
        runtime="onnxruntime",
        runtime_version="1.20.0",
        precision="int8",
        effective_precision="int8",
        threads=4,
        cores="all",
        cpus=[0, 1, 2, 3],
        status="ok",
        load_seconds=0.31,
        first_inference_seconds=0.042,
        latency_seconds=LatencySummary(
            n=700,
            min=0.010,
            p50=0.012,
            mean=0.0125,
            p50_low=0.0118,
            p50_high=0.0122,
            p90=0.014,
            p95=0.015,
            p99=0.02,
        ),
        settled=True,
        throughput_per_second=80.0,
        energy_joules_per_inference=EnergySummary(0.05, 0.048, 0.052, 0.03, "ina219", "board"),
        power_watts=PowerSummary(4.2, 2.1),
        peak_rss_bytes=90_000_000,
        size_bytes=1_000_000,
        accuracy=Accuracy("map50_95", 0.24, 0.2, 0.28, 17),
        conditions=Conditions(
            governor={"0": "performance"},
            frequency_hz={"0": 1.8e9},
            temperature_celsius={"cpu": 55.0},
            throttled=False,
            kernel="6.6.31",
            agent_version="0.1.0",
        ),
        validity=Validity(valid=True),
        samples_sha256=sha256(b"samples"),
        started_at="2026-01-01T00:00:00Z",
        monotonic_seconds=1234.5,
    )
    return msgspec.structs.replace(made, **changes)


def message(
    record: Result, seq: int, *, epoch: str = "e1", oldest_seq: int = 1, **changes: Any
) -> ResultMessage:
    """Return a result as an outbox sends it."""
    made = ResultMessage(
        msg_id=f"{record.board}-{epoch}-{seq}",
        board=record.board,
        stream_epoch=epoch,
        seq=seq,
        execution=record.execution,
        attempt=record.attempt,
        lease_id="lease",
        record=record,
        oldest_seq=oldest_seq,
    )
    return msgspec.structs.replace(made, **changes)
