"""An interpreter is asked in one child which modules it has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent import survey
from edgedyno.agent.survey import SurveyError, find_modules, import_modules

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_there_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_modules(
        sys.executable, ["numpy", "onnxruntime", "no_such_module", "pacing", "edgedyno.core"]
    )
    # `pacing` is a neighbour of the surveying script itself, and edgedyno's own packages do not count.
    assert set(found.missing) == {"no_such_module", "pacing", "edgedyno.core"}
    assert found.missing["no_such_module"] == "not installed"
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.architecture in ("x86_64", "aarch64")
    (tmp_path / "no_such_module.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "no_such_module" in find_modules(sys.executable, ["no_such_module"]).missing


def test_importing_tells_what_is_broken() -> None:
    found = import_modules(sys.executable, ["numpy", "no_such_module", "antigravity_"])
    assert found.missing["no_such_module"] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert "numpy" not in found.missing


def test_an_interpreter_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SurveyError, match="cannot start /nonexistent/python: No such file"):
        find_modules("/nonexistent/python", [])
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho cannot run here >&2; exit 3\n")
    script.chmod(0o755)
    with pytest.raises(SurveyError, match="ended with code 3: cannot run here"):
        find_modules(str(script), [])
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(survey, "FIND_SECONDS", 0.5)
    with pytest.raises(SurveyError, match="no answer within 0 s"):
        find_modules(str(script), [])
