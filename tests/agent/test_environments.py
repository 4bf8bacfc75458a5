"""Runtimes are found by entry point, probed in their own interpreter, and never imported by the agent."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from edgedyno.agent import environments, runtime_findings
from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.core.run import Environment
from tests.agent.measure.requests import install_scripted
from tests.agent.runtimes import foreign

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from edgedyno.agent.worker.process import Plugin
    from edgedyno.core.board import RuntimeInfo


def probed(*environments: Environment) -> dict[str, RuntimeInfo]:
    return {f"{info.name} in {info.environment}": info for info in probe_all(environments)}


def test_every_runtime_runs_a_real_model_in_its_environment() -> None:
    found = probed(Environment("default", sys.executable), Environment("others", str(foreign.interpreter())))
    available = {name: info for name, info in found.items() if info.available}
    assert {"onnxruntime in default", "openvino in others", "litert in others"} <= set(available)
    assert available["litert in others"].formats == ["tflite"]
    assert all(info.version for info in available.values())
    assert "CPUExecutionProvider" in found["onnxruntime in default"].details["providers"]


def site_packages(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python3*/site-packages"))


def test_an_environment_that_imports_and_fails_on_its_first_model(tmp_path: Path) -> None:
    """tflite-runtime 2.14, built for NumPy 1, beside a NumPy 2: all of it installs and imports."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "one"], check=True)
    python = tmp_path / "one/bin/python"
    both = [site_packages(foreign.interpreter()), site_packages(foreign.interpreter("tflite"))]
    (site_packages(python) / "both.pth").write_text("".join(f"{folder}\n" for folder in both))
    imports = "import numpy, openvino, tflite_runtime.interpreter; assert numpy.__version__ > '2'"
    subprocess.run([python, "-c", imports], check=True, capture_output=True)
    found = {info.name: info for info in probe_all([Environment("one", str(python), ["tflite", "openvino"])])}
    assert found["openvino"].available
    assert not found["tflite"].available
    assert (found["tflite"].version, found["tflite"].environment) == ("2.14.0", "one")
    assert "a tiny model does not run" in (found["tflite"].reason or "")
    (finding,) = runtime_findings._broken([found["tflite"]])
    assert finding.remedy == runtime_findings.NUMPY_REMEDY


def test_only_what_is_there_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = environments._ask

    def note(python: str, plugin: Plugin) -> dict[str, Any]:
        asked.append(plugin.name)
        return ask(python, plugin)

    monkeypatch.setattr(environments, "_ask", note)
    found = {info.name: info for info in probe_all()}
    assert set(asked) <= {"onnxruntime", "opencv"}
    cuda = found["onnxruntime-cuda"]
    assert not cuda.available
    assert "has no CUDA provider, only " in (cuda.reason or "")
    assert cuda.version == found["onnxruntime"].version
    assert found["litert"].environment == ""
    assert found["litert"].reason == "not installed in default; edgedyno agent runtimes add litert"


def test_a_provider_that_onnxruntime_lists_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build that is here lists none; so its answer is made to."""
    ask = environments._ask
    asked: list[str] = []

    def with_xnnpack(python: str, plugin: Plugin) -> dict[str, Any]:
        asked.append(plugin.name)
        answer = ask(python, plugin)
        if plugin.name == "onnxruntime":
            answer["details"]["providers"] += ",XnnpackExecutionProvider"
        return answer

    monkeypatch.setattr(environments, "_ask", with_xnnpack)
    here = Environment("here", sys.executable, ["onnxruntime", "onnxruntime-cuda", "onnxruntime-xnnpack"])
    found = {info.name: info for info in probe_all([here])}
    assert asked == ["onnxruntime", "onnxruntime-xnnpack"]
    assert "has no XnnpackExecutionProvider" in (found["onnxruntime-xnnpack"].reason or "")


def test_an_environment_may_say_what_to_look_for() -> None:
    found = probed(Environment("here", sys.executable, ["litert"]))
    assert "onnxruntime in here" not in found
    expected = "not installed in here; edgedyno agent runtimes add onnxruntime"
    assert found["onnxruntime in "].reason == expected


def test_agent_stays_light() -> None:
    code = (
        "import sys; from edgedyno.agent.environments import probe_all; probe_all();"
        "print([name for name in ('numpy', 'onnxruntime', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_interpreter_that_is_not_there_is_a_reason() -> None:
    found = probed(Environment("gone", "/nonexistent/python"))["onnxruntime in gone"]
    assert not found.available
    assert "cannot start /nonexistent/python" in (found.reason or "")


def test_interpreter_without_the_runtime_is_a_reason() -> None:
    environment = Environment("bare", sys._base_executable)  # type: ignore[attr-defined]
    found = next(info for info in probe_all([environment]) if info.name == "onnxruntime")
    assert found.available or (found.reason or "").startswith("not installed in bare")


def test_plugin_of_another_package_is_loaded_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_scripted(monkeypatch, tmp_path)
    plugins = {plugin.name: plugin for plugin in find_plugins()}
    assert plugins["scripted"].file == str(tmp_path / "scripted_runtime.py")
    assert plugins["onnxruntime"].file is None
    found = {info.name: info for info in probe_all()}
    assert found["scripted"].formats == ["script"]
    assert "scripted_runtime" not in sys.modules


def test_broken_plugin_and_hung_import_are_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_scripted(monkeypatch, tmp_path)
    (tmp_path / "scripted_runtime.py").write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.setattr(environments, "PROBE_SECONDS", 3.0)
    found = {info.name: info for info in probe_all()}
    assert found["scripted"].reason == "no answer to 'start' within 3 s: the worker was killed"
    (tmp_path / "scripted_runtime.py").write_text("raise ImportError('no such driver')\n")
    found = {info.name: info for info in probe_all()}
    assert "no such driver" in (found["scripted"].reason or "")
    assert found["onnxruntime"].available
