"""Builders in foreign interpreters: what they are told, how they fail, what is kept. The tool is scripted here."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.variants import Building, build_variants, foreign, formats, toolchain
from edgedyno.core.errors import ConfigError
from edgedyno.core.profile import QuantizeSpec
from tests.controller.lab import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.manifest import ResolvedJob, Variant

# A builder as the real ones are, that writes what it was told instead of a model.
BUILDER = """
import json, os, socket, sys
from edgedyno.controller.lab.variants.tools import toolkit

def build(request):
    import numpy as np
    said = request._asdict()
    said["calibration"] = [np.load(path).sum().item() for path in request.calibration]
    said["source"] = open(request.source, "rb").read()[:2].hex()
    said["scratch"] = os.listdir(request.scratch)
    said["environ"] = {name: os.environ.get(name) for name in (
        "NNCF_TELEMETRY_OPT_OUT", "ORT_DISABLE_TELEMETRY", "PYTHONPATH", "PYTHONHASHSEED")}
    said["ours"] = sorted(name for name in sys.modules if name.startswith("edgedyno."))
    del said["target"]
    with open(request.target, "w") as file:
        json.dump(said, file, sort_keys=True)
    return {"method": "scripted", "interfaces": [name for _, name in socket.if_nameindex()]}
"""


@pytest.fixture
def resolved(tmp_path: Path, store: ContentStore) -> ResolvedJob:
    """Return the tiny job, resolved."""
    folder = tmp_path / "user"
    folder.mkdir()
    return resolve_job(tiny.job(), base=tiny.write_all(folder), store=store)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of builders with one more of our own for ncnn, in this interpreter."""
    folder = tmp_path / "tools"
    shutil.copytree(foreign.TOOLS, folder)
    (folder / "ncnn.py").write_text(BUILDER)
    monkeypatch.setattr(foreign, "TOOLS", folder)
    monkeypatch.setitem(formats.FOREIGN, "ncnn", _with_packages("msgspec"))
    return folder


def _with_packages(*packages: str) -> formats.Foreign:
    return msgspec.structs.replace(formats.FOREIGN["ncnn"], packages=packages)


def _build(resolved: ResolvedJob, store: ContentStore, precision: str, **options: object) -> Variant:
    given = {"tools": {"ncnn": sys.executable}, "formats": ["ncnn"], **options}
    (variant,) = build_variants(
        resolved,
        store=store,
        precisions=[precision],  # type: ignore[list-item]
        reduce_range=True,
        **given,  # type: ignore[arg-type]
    )
    return variant


def _told(variant: Variant, store: ContentStore) -> dict[str, object]:
    assert variant.failure is None
    assert variant.file is not None
    told: dict[str, object] = msgspec.json.decode(store.read(variant.file.sha256))
    return told


@pytest.mark.usefixtures("tools")
def test_a_builder_is_told_all_that_it_needs(resolved: ResolvedJob, store: ContentStore) -> None:
    told = _told(_build(resolved, store, "int8"), store)
    assert told["precision"] == "int8"
    assert (told["input_name"], told["input_shape"]) == ("image", [1, 3, 16, 16])
    assert told["source"] == store.read(resolved.source.sha256)[:2].hex()
    assert told["scratch"] == []
    sums = told["calibration"]
    assert isinstance(sums, list)
    assert len(sums) == 4
    assert np.ptp(sums) > 0
    assert told["options"]["ncnn_method"] == "kl"  # type: ignore[index]


@pytest.mark.usefixtures("tools")
def test_excluded_nodes_are_told_by_their_outputs(resolved: ResolvedJob, store: ContentStore) -> None:
    quantize = QuantizeSpec(exclude=["conv"])
    model = msgspec.structs.replace(resolved.model, quantize=quantize)
    told = _told(_build(msgspec.structs.replace(resolved, model=model), store, "int8"), store)
    assert told["excluded"] == ["mixed"]


@pytest.mark.usefixtures("tools")
def test_a_builder_sees_no_other_package_of_ours_no_network_and_no_telemetry(
    resolved: ResolvedJob, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    variant = _build(resolved, store, "fp16")
    told = _told(variant, store)
    assert told["environ"] == {
        "NNCF_TELEMETRY_OPT_OUT": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": None,
        "PYTHONHASHSEED": "0",
    }
    package = "edgedyno.controller.lab.variants.tools"
    assert set(told["ours"]) - {f"{package}.toolkit", f"{package}.ncnn"} == {  # type: ignore[call-overload]
        "edgedyno.controller",
        "edgedyno.controller.lab",
        "edgedyno.controller.lab.variants",
        package,
    }
    assert variant.recipe["interfaces"] in (["lo"], [])


@pytest.mark.usefixtures("tools")
def test_the_same_build_is_the_same_file_and_is_built_once(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    first = _build(resolved, store, "int8")
    assert first.file is not None
    assert first.recipe["tools"]["msgspec"]
    assert _build(resolved, store, "int8") == first, "from the book"
    page = next((store.root / "recipes").iterdir())
    page.unlink()
    again = _build(resolved, store, "int8")
    assert again.file == first.file, "built anew"


def test_what_decides_a_foreign_build_is_in_its_recipe(
    resolved: ResolvedJob, store: ContentStore, tools: Path
) -> None:
    first = _build(resolved, store, "fp32")
    assert first.recipe["source_sha256"] == resolved.source.sha256
    (tools / "ncnn.py").write_text(BUILDER + "\n# changed\n")
    changed = _build(resolved, store, "fp32")
    assert changed.recipe["builder_sha256"] != first.recipe["builder_sha256"]
    (tools / "mnn.py").write_text("# another format's\n")
    assert _build(resolved, store, "fp32").recipe == changed.recipe


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ("import no_such_tool", "builder.missing", "no_such_tool"),
        ("raise toolkit.BuildError('variant.operator', 'Foo is not known')", "variant.operator", "Foo"),
        ("raise ValueError('two\\nlines')", "variant.failed", "ValueError: two lines"),
        ("os.kill(os.getpid(), 11)", "variant.crashed", "SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "variant.crashed", "out of memory"),
        ("os._exit(3)", "variant.crashed", "status 3"),
        ("os._exit(0)", "variant.crashed", "said nothing"),
        ("return {}", "variant.failed", "there is no file"),
    ],
)
def test_a_builder_that_fails_costs_one_variant_with_a_reason(
    resolved: ResolvedJob, store: ContentStore, tools: Path, script: str, code: str, text: str
) -> None:
    (tools / "ncnn.py").write_text(
        "import os\nfrom edgedyno.controller.lab.variants.tools import toolkit\n"
        f"def build(request):\n    {script}\n"
    )
    onnx, ncnn = build_variants(
        resolved,
        store=store,
        precisions=["fp32"],
        reduce_range=True,
        formats=["onnx", "ncnn"],
        tools={"ncnn": sys.executable},
    )
    assert onnx.file == resolved.source
    assert ncnn.failure is not None
    assert (ncnn.failure.code, text in ncnn.failure.text) == (code, True), ncnn.failure


def test_a_builder_that_hangs_is_ended_with_what_it_started(
    resolved: ResolvedJob, store: ContentStore, tools: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "late"
    (tools / "ncnn.py").write_text(
        "import subprocess\ndef build(request):\n"
        f"    subprocess.run(['sh', '-c', 'sleep 5; touch {mark}'])\n    return {{}}\n"
    )
    variant = _build(resolved, store, "fp32", timeout_seconds=1.5)
    assert variant.failure is not None
    assert variant.failure.code == "variant.timeout"
    import psutil

    assert not [each for each in psutil.process_iter(["cmdline"]) if str(mark) in str(each.info["cmdline"])]


def test_a_format_without_a_tool_says_what_to_do(resolved: ResolvedJob, store: ContentStore) -> None:
    variant = _build(resolved, store, "fp16", tools={})
    assert variant.failure is not None
    assert variant.failure.code == "builder.missing"
    assert "edgedyno agent runtimes add ncnn-builder" in variant.failure.text


def test_an_interpreter_that_lacks_the_tool_or_is_gone_says_so(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    lacks = _build(resolved, store, "fp16")
    gone = _build(resolved, store, "fp16", tools={"ncnn": "/nowhere/python"})
    for variant, text in ((lacks, "none of the packages that build ncnn"), (gone, "does not answer")):
        assert variant.failure is not None
        assert (variant.failure.code, text in variant.failure.text) == ("builder.missing", True)


def test_an_unknown_format_is_named_with_its_nearest(resolved: ResolvedJob, store: ContentStore) -> None:
    with pytest.raises(ConfigError, match=r"found 'nccn'.*did you mean 'ncnn'") as caught:
        _build(resolved, store, "fp16", formats=["nccn"])
    assert caught.value.code == "format.unknown"


def test_versions_are_asked_again_when_something_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    python, asked = tmp_path / "bin" / "python", tmp_path / "asked"
    python.write_text(f'#!/bin/sh\necho asked >> {asked}\necho \'{{"ncnn": "1.0", "python": "3.11"}}\'\n')
    python.chmod(0o755)
    monkeypatch.setattr(toolchain, "_asked", {})
    for _ in range(2):
        assert toolchain.tool_versions("ncnn", str(python)) == {"ncnn": "1.0", "python": "3.11"}
    assert asked.read_text() == "asked\n"
    (packages / "pnnx").mkdir()
    toolchain.tool_versions("ncnn", str(python))
    assert asked.read_text() == "asked\n" * 2


@pytest.mark.usefixtures("tools")
def test_corrupt_calibration_images_fail_every_format_and_are_named(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    bad = [store.add_bytes(f"no image {number}".encode(), name=f"bad{number}.jpg") for number in range(5)]
    broken = msgspec.structs.replace(resolved, calibration=[*resolved.calibration, *bad])
    variants = build_variants(
        broken,
        store=store,
        precisions=["int8"],
        reduce_range=True,
        formats=["onnx", "ncnn"],
        tools={"ncnn": sys.executable},
    )
    for variant in variants:
        assert variant.failure is not None
        assert variant.failure.code == "image.undecodable"
        assert "5 of 9 calibration images" in variant.failure.text
        assert all(f"bad{number}.jpg" in variant.failure.text for number in range(3))
        assert "and 2 more" in variant.failure.text


@pytest.mark.usefixtures("tools")
def test_warnings_are_of_every_format(resolved: ResolvedJob, store: ContentStore) -> None:
    variant = _build(resolved, store, "int8")
    assert any("calibrated on 4 images" in text for text in variant.recipe["warnings"])


@pytest.mark.usefixtures("tools")
def test_progress_is_told_before_each_variant_and_at_the_end(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    steps: list[Building] = []
    build_variants(
        resolved,
        store=store,
        precisions=["fp32"],
        reduce_range=True,
        formats=["onnx", "ncnn"],
        tools={"ncnn": sys.executable},
        progress=steps.append,
    )
    assert [(step.format, step.done, step.total) for step in steps] == [
        ("onnx", 0, 2),
        ("ncnn", 1, 2),
        ("", 2, 2),
    ]


@pytest.mark.parametrize(("decibels", "hopeless"), [(-4.0, True), (5.7, False), (None, False)])
def test_a_file_of_noise_is_said_to_be_one(
    resolved: ResolvedJob, store: ContentStore, tools: Path, decibels: float | None, hopeless: bool
) -> None:
    text = (tools / "ncnn.py").read_text()
    (tools / "ncnn.py").write_text(text.replace('"scripted",', f'"scripted", "output_sqnr_db": {decibels},'))
    found = _build(resolved, store, "int8").recipe["warnings"]
    assert any("mostly noise" in each for each in found) is hopeless
