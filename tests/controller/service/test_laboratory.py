"""The lab's child processes: the real lab on a bundled model, and what happens when a child dies."""

from __future__ import annotations

import os
import signal
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
import pytest
import pytest_asyncio

from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.laboratory import ChildLaboratory, Context
from edgedyno.core.errors import RunError
from edgedyno.core.job import JobSpec, Sweep
from tests.controller.service.samples import result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    """Return an empty artifact store."""
    return ContentStore(tmp_path / "artifacts")


@pytest.fixture
def resolved(store: ContentStore, tmp_path: Path) -> ResolvedJob:
    """Return a job over the bundled FastestDet."""
    assert files("edgedyno.profiles")
    spec = JobSpec(
        name="sample", model="fastestdet", dataset="coco_ccby", sweep=Sweep(precisions=["fp32", "fp16"])
    )
    return resolve_job(spec, base=tmp_path, store=store)


@pytest_asyncio.fixture
async def lab(store: ContentStore) -> AsyncIterator[ChildLaboratory]:
    """Return the real lab, whose children end with the test."""
    made = ChildLaboratory(store.root)
    yield made
    await made.close()


async def test_a_child_builds_judges_and_reports(
    lab: ChildLaboratory, store: ContentStore, resolved: ResolvedJob
) -> None:
    variants = await lab.build(resolved, ["fp32", "fp16"], reduce_range=False, formats=["onnx"])
    assert [variant.precision for variant in variants] == ["fp32", "fp16"]
    for variant in variants:
        assert variant.failure is None
        assert variant.file is not None
        assert store.has(variant.file.sha256)
    one = result("sample-000000.rpi4", accuracy=None, samples_sha256=None)
    scored = await lab.score([one], resolved)
    assert [each.trial for each in scored] == ["t1"]
    told = msgspec.json.decode(await lab.judge([one], resolved.spec, Context()))
    assert [verdict["board"] for verdict in told["verdicts"]] == ["rpi4"]
    assert told["groups"] == []
    page = await lab.report([one], resolved, Context(language="zh"), images=True)
    assert page.lstrip().lower().startswith('<!doctype html>\n<html lang="zh-cn">')


async def test_a_format_without_builder_fails_alone(store: ContentStore, resolved: ResolvedJob) -> None:
    lab = ChildLaboratory(store.root, builders={"ncnn": "/nowhere/bin/python"})
    try:
        built = await lab.build(resolved, ["fp32"], reduce_range=False, formats=["onnx", "ncnn", "mnn"])
    finally:
        await lab.close()
    assert [variant.failure and variant.failure.code for variant in built] == [
        None,
        "builder.missing",
        "builder.missing",
    ]


async def test_a_missing_source_is_an_error_with_a_code(
    lab: ChildLaboratory, store: ContentStore, resolved: ResolvedJob
) -> None:
    store.remove(resolved.source.sha256)
    with pytest.raises(RunError) as caught:
        await lab.build(resolved, ["fp16"], reduce_range=False, formats=["onnx"])
    assert caught.value.code == "artifact.missing"


async def test_a_child_that_dies_costs_one_task(lab: ChildLaboratory, resolved: ResolvedJob) -> None:
    await lab.judge([], resolved.spec, Context())
    child = lab._evaluator._process
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)  # it cannot answer before it is killed
    task = lab.judge([], resolved.spec, Context())
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(RunError) as caught:
        await task
    assert caught.value.code == "evaluate.crashed"
    assert msgspec.json.decode(await lab.judge([], resolved.spec, Context()))["verdicts"] == []
