"""Environments are made by real venv and pip; what fails or is interrupted leaves nothing but its log."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from edgedyno.agent.environments import probe_all
from edgedyno.agent.main import main
from edgedyno.agent.provision import checks, making, pythons
from edgedyno.agent.provision.catalogue import find_entry
from edgedyno.agent.provision.installing import make_venv
from edgedyno.agent.provision.made import (
    FOLDER,
    STAMP,
    all_environments,
    builder_interpreters,
    find_environments,
    folder_of,
    read_made,
)
from edgedyno.agent.provision.making import Order, make_environment, remove_environment
from edgedyno.agent.provision.progress import Progress
from edgedyno.core.environment import EnvironmentProfile, InstallStep, Pins
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, RunError
from edgedyno.core.run import Environment
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.provision.work import Work

HERE = f"3.{sys.version_info.minor}"
DiskUsage = namedtuple("DiskUsage", ("total", "used", "free"))  # noqa: PYI024 - as shutil has it


def entry(**fields: object) -> EnvironmentProfile:
    """Return an entry like none in the catalogue: a small package that is no runtime and builds nothing."""
    steps = [InstallStep(["six==1.17.0"])]
    small = EnvironmentProfile(
        id="small",
        summary="",
        package="six",
        builds={"mnn": ["six"]},
        installed=30e6,
        pins=[Pins([HERE], ["x86_64", "aarch64"], steps)],
        not_tested="",
    )
    return structs.replace(small, **fields)


def use(monkeypatch: pytest.MonkeyPatch, found: EnvironmentProfile) -> None:
    monkeypatch.setattr(making, "find_entry", lambda name: found)


@pytest.fixture
def quick_venv(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy one venv for all tests that need any: making pip for it takes seconds."""
    template = tmp_path_factory.getbasetemp() / "template"

    def copy(python: str, folder: Path, work: Work) -> None:
        if not template.exists():
            make_venv(python, template, work)
        work.log.write(b"copied")
        shutil.copytree(template, folder, symlinks=True)

    monkeypatch.setattr(making, "make_venv", copy)


def left(state_dir: Path) -> list[str]:
    return sorted(each.name for each in (state_dir / FOLDER).iterdir() if each.is_dir())


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make one real environment for all tests of what is there."""
    folder = tmp_path_factory.mktemp("state")
    assert main(["runtimes", "add", "onnxruntime", "--as", "ort", "--state-dir", str(folder)]) == 0
    yield folder
    shutil.rmtree(folder)


def test_what_was_made_runs_models_and_is_found(state_dir: Path) -> None:
    (made,) = read_made(state_dir)
    pinned = find_entry("onnxruntime").pins[-1].steps[0].packages
    assert set(pinned) <= set(made.packages)
    assert (made.name, made.entry, made.runtimes) == ("ort", "onnxruntime", ["onnxruntime"])
    assert made.size_bytes > 30e6
    (environment,) = find_environments(state_dir)
    assert environment == Environment("ort", str(state_dir / "environments/ort/bin/python"), ["onnxruntime"])
    found = [info for info in probe_all([environment]) if info.environment]
    assert [(info.name, info.version, info.available) for info in found] == [
        ("onnxruntime", made.version, True)
    ]
    assert builder_interpreters(state_dir) == {}
    log = (state_dir / "environment-logs/ort.log").read_text()
    assert "-m venv" in log
    assert "Successfully installed" in log


def test_it_is_listed_and_seen_by_the_agents_commands(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEDYNO_STATE_DIR", str(state_dir))
    assert main(["runtimes", "list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "gives", "python", "size", "state"]
    assert row.split()[:2] == ["ort", "onnxruntime"]
    assert row.endswith("ok")
    assert main(["caps", "--json"]) == 0
    runtimes = json.loads(capsys.readouterr().out)["runtimes"]
    assert {"default", "ort"} <= {one["environment"] for one in runtimes if one["available"]}
    assert main(["doctor"]) in (0, 1)
    assert "in ort ran a model" in capsys.readouterr().out


def test_names_do_not_clash(state_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"ort is there already .*runtimes remove ort"):
        make_environment(Order(entry="onnxruntime", name="ort"), state_dir)
    taken = [Environment("jetpack", "/usr/bin/python3")]
    with pytest.raises(ConfigError, match="'jetpack' is taken by /usr/bin/python3"):
        make_environment(Order(entry="onnxruntime", name="jetpack"), state_dir, taken=taken)
    for name in ("default", "../x", "", "-x"):
        with pytest.raises(ConfigError):
            make_environment(Order(entry="onnxruntime", name=name), state_dir)
    with pytest.raises(ConfigError, match=r"'ort' for /usr/bin/python3 and for .*ort/bin/python"):
        all_environments([Environment("ort", "/usr/bin/python3")], state_dir)
    assert [each.name for each in all_environments([], state_dir)] == ["default", "ort"]
    assert [each.name for each in all_environments(taken, state_dir)] == ["jetpack", "ort"]


def test_a_copy_or_a_damaged_stamp_does_not_count(state_dir: Path) -> None:
    copy = folder_of(state_dir, "copy")
    copy.mkdir()
    shutil.copy(folder_of(state_dir, "ort") / STAMP, copy)
    damaged = folder_of(state_dir, "damaged")
    damaged.mkdir()
    (damaged / STAMP).write_text("{")
    assert [made.name for made in read_made(state_dir)] == ["ort"]
    shutil.rmtree(copy)
    shutil.rmtree(damaged)


def test_one_that_broke_later_is_listed_so(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = folder_of(state_dir, "ort") / "bin/python"
    package = next(folder_of(state_dir, "ort").glob("lib/python3*/site-packages/onnxruntime"))
    package.rename(package.with_name("away"))
    assert main(["runtimes", "list", "--state-dir", str(state_dir)]) == 1
    assert "broken: onnxruntime is not installed any more" in capsys.readouterr().out
    package.with_name("away").rename(package)
    target = python.readlink()
    python.unlink()
    assert main(["runtimes", "list", "--state-dir", str(state_dir)]) == 1
    assert "broken: its Python" in capsys.readouterr().out
    python.symlink_to(target)


@pytest.mark.usefixtures("quick_venv")
def test_a_builder_is_found_by_its_format_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, entry())
    made, found = make_environment(Order(entry="small", name="tools"), tmp_path)
    assert found == []
    assert made.builds == ["mnn"]
    assert builder_interpreters(tmp_path) == {"mnn": str(tmp_path / "environments/tools/bin/python")}
    assert find_environments(tmp_path) == []
    with pytest.raises(ConfigError, match=r"'tool' in .*did you mean 'tools'"):
        remove_environment("tool", tmp_path)
    assert remove_environment("tools", tmp_path) == made
    assert left(tmp_path) == []
    assert not (tmp_path / "environment-logs/tools.log").exists()


def fails(order: Order, state_dir: Path, kind: type[EdgedynoError]) -> EdgedynoError:
    """Make an environment, which fails, and see that nothing but its log is left."""
    with pytest.raises(kind) as caught:
        make_environment(order, state_dir)
    assert left(state_dir) == []
    log = state_dir / f"environment-logs/{order.name}.log"
    assert str(caught.value).endswith(f"; nothing was left but the log {log}")
    assert log.stat().st_size > 0
    return caught.value


@pytest.mark.usefixtures("quick_venv")
def test_a_package_that_does_not_exist(tmp_path: Path) -> None:
    order = Order(entry="onnxruntime", name="ort", version="1.31.99")
    error = fails(order, tmp_path, RunError)
    assert error.code == "environment.package"
    assert "pip found no package onnxruntime==1.31.99; it has" in str(error)
    assert "did you mean '1.31." in str(error)


@pytest.mark.usefixtures("quick_venv")
def test_an_index_that_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, entry())
    arguments = ["--isolated", "--no-cache-dir", "--index-url=http://127.0.0.1:9/simple", "--retries=1"]
    order = Order(entry="small", name="small", pip_arguments=arguments)
    assert fails(order, tmp_path, RetryableError).exit_code == 3


@pytest.mark.usefixtures("quick_venv")
def test_what_installs_and_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, entry(builds={"mnn": ["six", "no_such_module"]}))
    error = fails(Order(entry="small", name="small"), tmp_path, RunError)
    assert "installed, but it does not work here: no_such_module: ModuleNotFoundError" in str(error)
    use(monkeypatch, entry(builds={}, runtimes={"onnxruntime": ["six"]}))
    error = fails(Order(entry="small", name="small"), tmp_path, RunError)
    assert "it does not work here: onnxruntime: not installed" in str(error)


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgedyno.agent.main", "runtimes", "add", "openvino"]
    process = subprocess.Popen([*command, "--state-dir", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    log = tmp_path / "environment-logs/openvino.log"
    wait_until(lambda: log.exists() and "-m venv" in log.read_text(), what="venv")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"stopped; nothing was left but the log {log}" in said
    assert left(tmp_path) == []


@pytest.mark.usefixtures("quick_venv")
def test_what_a_kill_left_does_not_count_and_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after SIGKILL or a power cut: the folder is there without its stamp."""
    leftover = folder_of(tmp_path, "ncnn")
    (leftover / "bin").mkdir(parents=True)
    assert find_environments(tmp_path) == []
    use(monkeypatch, entry())
    make_environment(Order(entry="small", name="small"), tmp_path)
    assert left(tmp_path) == ["small"]


def test_two_at_once(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    with making._locked(tmp_path), pytest.raises(ConfigError, match=r"another .* is at work"):
        make_environment(Order(entry="onnxruntime", name="ort"), tmp_path)


def test_a_disk_that_is_too_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DiskUsage(1e9, 9e8, 1e8))
    with pytest.raises(
        RunError, match=r"openvino: found 100\.0 MB free at .*, expected \d+\.\d MB; free some"
    ):
        make_environment(Order(entry="openvino", name="openvino"), tmp_path)
    assert left(tmp_path) == []


def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no interpreter '3\.77' \(python3\.77 is not on PATH\)"):
        make_environment(Order(entry="onnxruntime", name="ort", python="3.77"), tmp_path)
    with pytest.raises(ConfigError, match="found no interpreter '/nonexistent/python'"):
        make_environment(Order(entry="onnxruntime", name="ort", python="/nonexistent/python"), tmp_path)


def test_a_python_without_pins_names_one_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = pythons.Interpreter("/usr/bin/python3.9", "3.9", "x86_64")
    monkeypatch.setattr(checks, "find_interpreter", lambda wanted: structs.replace(here, version="3.14"))
    monkeypatch.setattr(checks, "interpreters", lambda versions: [here])
    with pytest.raises(ConfigError, match=r"no pins for Python 3\.14 .*--python 3\.13 \(/usr/bin/python3\.9"):
        make_environment(Order(entry="onnxruntime", name="ort"), tmp_path)
    monkeypatch.setattr(checks, "interpreters", lambda versions: [])
    with pytest.raises(ConfigError, match="none of them is on PATH"):
        make_environment(Order(entry="onnxruntime", name="ort"), tmp_path)


def test_a_python_without_venv_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's Python is without its package python3-venv."""
    bare = pythons.Interpreter("/usr/bin/python3", HERE, "x86_64", ["ensurepip"])
    monkeypatch.setattr(checks, "find_interpreter", lambda wanted: bare)
    with pytest.raises(ConfigError, match=rf"no ensurepip: sudo apt install python{HERE}-venv"):
        make_environment(Order(entry="onnxruntime", name="ort"), tmp_path)


def test_wrong_names_are_usage_errors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["--state-dir", str(tmp_path)]
    assert main(["runtimes", "add", "onxruntime", *where]) == 2
    assert "did you mean 'onnxruntime'?" in capsys.readouterr().err
    assert main(["runtimes", "remove", "ort", *where]) == 2
    assert main(["runtimes", "list", *where]) == 0
    assert "nothing was added" in capsys.readouterr().err
    assert main(["runtimes"]) == 2
    assert main(["runtimes", "--help"]) == 0
    assert "edgedyno agent runtimes add ncnn" in capsys.readouterr().out


def test_the_catalogue_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runtimes", "available"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:3] == ["tflite-builder", "builds", "tflite"] for line in lines)
    assert main(["runtimes", "available", "tflite-builder"]) == 0
    text = capsys.readouterr().out
    assert "onnx2torch==1.5.15 (alone)" in text
    assert "--pip-arg=--extra-index-url" in text
    assert main(["runtimes", "available", "--json"]) == 0
    assert {"rknn", "ncnn"} <= {one["id"] for one in json.loads(capsys.readouterr().out)}


def test_time_is_shown_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.step("installing x")
    progress.line("Downloading x-1.0.whl (12 MB)")
    progress.end()
    assert capsys.readouterr().err == "installing x\n"
    progress._terminal = True
    progress.step("installing x")
    progress.line("Collecting y (from x)")
    progress.end()
    assert "installing x: Collecting y  0 s" in capsys.readouterr().err
    assert time.monotonic() >= progress._began
