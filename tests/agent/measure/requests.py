"""Run requests for tests: the bundled FastestDet, or scripts for the scripted runtime, on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedyno.agent.environments import probe_all
from edgedyno.agent.measure.runner import run
from edgedyno.agent.measure.supervisor import Deadlines
from edgedyno.core.board import Capabilities, Cluster, Cpu, RuntimeInfo
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import ArtifactRef, Image, Manifest, Variant
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.run import Ended, Event, Finished, Progressed, RunRequest
from tests.conftest import ROOT

if TYPE_CHECKING:
    import pytest

    from edgedyno.core.result import Result

SAMPLES = ROOT / "profiles/edgedyno/profiles/samples"
FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"
QUICK = Deadlines(start=30, load=30, first=2, burst_floor=2, burst_factor=5)


def capabilities(*runtimes: RuntimeInfo, cpus: int = 2) -> Capabilities:
    """Return a board with `cpus` CPUs."""
    every = list(range(cpus))
    sets = {"all": every, "big": every[cpus // 2 :], "little": every[: cpus // 2]}
    return Capabilities(
        profile="generic",
        name="test",
        arch="x86_64",
        cpu=Cpu([Cluster(every, None, None)], []),
        core_sets=sets,
        memory_bytes=8 << 30,
        power=[],
        throttle=[],
        runtimes=list(runtimes),
        kernel="k",
        os="o",
        agent_version="1",
    )


class Bench:
    """Builds a request over files in a folder, runs it, and keeps its events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self.events: list[Event] = []
        self.stop = threading.Event()

    def add(self, path: Path) -> ArtifactRef:
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        self.files[sha256] = str(path)
        return ArtifactRef(sha256, len(data), path.name)

    def script(self, name: str, **script: Any) -> ArtifactRef:
        path = self.folder / f"{name}.script"
        path.write_text(json.dumps({"name": name, **script}))
        return self.add(path)

    def request(
        self,
        variants: list[Variant],
        *,
        runtimes: list[RuntimeInfo],
        images: int = 0,
        sweep: Sweep | None = None,
        measure: Measure | None = None,
        done: list[str] | None = None,
    ) -> RunRequest:
        folder = SAMPLES / "data/coco_ccby/images"
        pictures = [Image(int(path.stem), self.add(path)) for path in sorted(folder.glob("*.jpg"))[:images]]
        manifest = Manifest(
            job="test-000000",
            execution="test-000000.here",
            model=MODEL,
            variants=variants,
            sweep=sweep or Sweep(precisions=["fp32"], threads=[1]),
            measure=measure or Measure(precision=0.5, max_seconds=2.0),
            images=pictures,
        )
        return RunRequest(
            manifest,
            "here",
            1,
            capabilities(*runtimes),
            self.files,
            str(self.folder / "work"),
            done_trials=done or [],
        )

    def run(self, request: RunRequest, *, deadlines: Deadlines = QUICK) -> list[Result]:
        self.events = []
        run(request, self.events.append, self.stop, deadlines=deadlines)
        return self.results

    @property
    def results(self) -> list[Result]:
        return [event.record for event in self.events if isinstance(event, Finished)]

    @property
    def ended(self) -> Ended:
        last = self.events[-1]
        assert isinstance(last, Ended)
        assert not any(isinstance(event, Ended) for event in self.events[:-1])
        return last

    @property
    def phases(self) -> list[str]:
        seen = [event.progress.phase for event in self.events if isinstance(event, Progressed)]
        return list(dict.fromkeys(seen))


MODEL = ModelProfile(
    name="fastestdet",
    task="detect",
    source="FastestDet_352_fp32.onnx",
    input=InputSpec(size=(352, 352), colour="BGR", resize="stretch"),
    output=OutputSpec(decoder="fastestdet"),
)
SCRIPTED = RuntimeInfo("scripted", "1.0", available=True, formats=["script"])


def install_scripted(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Install the scripted runtime's entry point, as a package of its own would."""
    info = folder / "scripted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[edgedyno.runtimes]\nscripted = scripted_runtime:ScriptedRuntime\n"
    )
    (folder / "scripted_runtime.py").write_text((ROOT / "tests/agent/scripted_runtime.py").read_text())
    monkeypatch.syspath_prepend(str(folder))


def onnxruntime() -> RuntimeInfo:
    """Probe the real ONNX Runtime of this environment."""
    return next(info for info in probe_all() if info.name == "onnxruntime")
