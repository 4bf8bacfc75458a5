"""The sweep as cells; every cell that is not run says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.measure.planner import Cell, plan
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.job import FixedRate, Measure, Scenario, Soak, Sweep, Throughput
from edgedyno.core.manifest import ArtifactRef, Failure, Manifest, Variant
from tests.agent.boards import board, copy_board, write
from tests.agent.measure.requests import MODEL, capabilities

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.board import Capabilities

ORT = RuntimeInfo("onnxruntime", "1.31.1", available=True, formats=["onnx"])
OLD_ORT = RuntimeInfo("onnxruntime", "1.19.2", available=True, formats=["onnx"], environment="old")
LITERT = RuntimeInfo(
    "litert", None, available=False, reason="cannot be imported: No module named 'ai_edge_litert'"
)
FP32 = Variant("fp32", "onnx", ArtifactRef("a" * 64, 10))
INT8 = Variant("int8", "onnx", ArtifactRef("b" * 64, 5))


def cells(
    *variants: Variant, runtimes: list[RuntimeInfo] | None = None, cpus: int = 4, **sweep: Any
) -> tuple[list[Cell], list[Cell]]:
    if "named" in sweep:
        sweep["runtimes"] = sweep.pop("named")
    sweep.setdefault("precisions", list(dict.fromkeys(variant.precision for variant in variants)))
    manifest = Manifest("j", "j.b", MODEL, list(variants), Sweep(**sweep), Measure())
    found = plan(manifest, capabilities(*([ORT] if runtimes is None else runtimes), cpus=cpus))
    return found.trials, found.skipped


def reason(cell: Cell) -> str:
    assert cell.failure is not None
    return cell.failure.text


def test_threads_are_clipped_to_the_core_set_and_duplicates_dropped() -> None:
    trials, skipped = cells(FP32, threads=[1, 2, 4, "all"], cores=["all", "little"])
    assert [(cell.cores, cell.threads, cell.cpus) for cell in trials] == [
        ("all", 1, [0, 1, 2, 3]),
        ("all", 2, [0, 1, 2, 3]),
        ("all", 4, [0, 1, 2, 3]),
        ("little", 1, [0, 1]),
        ("little", 2, [0, 1]),
    ]
    assert skipped == []


def test_more_threads_than_the_board_has_are_skipped() -> None:
    trials, skipped = cells(FP32, threads=[1, 64], cpus=2)
    assert [cell.threads for cell in trials] == [1]
    assert reason(skipped[0]) == "64 threads asked, the core set 'all' has 2 CPUs"


def test_core_sets_by_number() -> None:
    trials, skipped = cells(FP32, threads=["all"], cores=["0-1,3", "2-9"])
    assert [(cell.threads, cell.cpus) for cell in trials] == [(3, [0, 1, 3])]
    assert reason(skipped[0]) == "core set '2-9' names CPU 4-9, this board has 0-3"


def test_unknown_core_set_names_the_nearest() -> None:
    _, skipped = cells(FP32, threads=[1], cores=["bigg"])
    assert reason(skipped[0]) == (
        "found no core set 'bigg', expected one of all, big, little, or CPUs such as '0-3'; "
        "did you mean 'big'?"
    )


def on_board(found: Capabilities, *cores: str) -> list[Cell]:
    """Plan one variant with all threads on each core set."""
    sweep = Sweep(precisions=["fp32"], threads=["all"], cores=list(cores))
    planned = plan(
        Manifest("j", "e", MODEL, [FP32], sweep, Measure()), structs.replace(found, runtimes=[ORT])
    )
    return [*planned.trials, *planned.skipped]


def test_an_offline_cpu_is_named_with_the_way_to_bring_it_online(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    write(tree / "rootfs/sys/devices/system/cpu/online", "0-3,6-7\n")
    (cell,) = on_board(read_capabilities(root=tree), "4-7")
    assert cell.failure == Failure(
        "cores.offline",
        "core set '4-7' names CPU 4-5, which is offline; expected CPUs out of 0-3,6-7, or bring it online: "
        "echo 1 | sudo tee /sys/devices/system/cpu/cpu4/online",
    )


def test_cpus_outside_the_agents_mask_are_named_as_such() -> None:
    found = capabilities(ORT, cpus=2)
    cpu = structs.replace(found.cpu, barred=[2, 3])
    sets = {**found.core_sets, "node0": [0, 1], "node1": []}
    listed, node = on_board(structs.replace(found, cpu=cpu, core_sets=sets), "1-3", "node1")
    assert listed.failure is not None
    assert node.failure is not None
    assert (listed.failure.code, node.failure.code) == ("cores.barred", "cores.barred")
    assert "'1-3' names CPU 2-3, which the agent may not use" in listed.failure.text
    assert "'node1' has no CPU that the agent may use" in node.failure.text
    assert "expected CPUs out of 0-1" in node.failure.text
    assert "affinity mask and cgroup" in node.failure.text


def test_core_sets_within_a_memory_node_bind_memory_to_it() -> None:
    cells = on_board(
        read_capabilities(root=board("kunpeng920-2s")), "all", "node0", "node3", "cluster0", "32-40", "31-32"
    )
    assert [(cell.cores, cell.memory_node) for cell in cells] == [
        ("all", None),
        ("node0", 0),
        ("node3", 3),
        ("cluster0", 0),
        ("32-40", 1),
        ("31-32", None),
    ]


def test_one_memory_node_needs_no_binding() -> None:
    assert [cell.memory_node for cell in on_board(read_capabilities(root=board("x86-rapl")), "all", "0")] == [
        None,
        None,
    ]


def test_runtime_that_is_not_there() -> None:
    _, skipped = cells(FP32, threads=[1], runtimes=[ORT, LITERT], cores=["all"])
    assert skipped == []
    found = plan(
        Manifest(
            "j",
            "e",
            MODEL,
            [FP32],
            Sweep(runtimes=["litert", "onxruntime"], precisions=["fp32"], threads=[1]),
            Measure(),
        ),
        capabilities(ORT, LITERT),
    )
    assert found.trials == []
    assert [(cell.failure and cell.failure.code, reason(cell)) for cell in found.skipped] == [
        (
            "runtime.unavailable",
            "litert in 'default': cannot be imported: No module named 'ai_edge_litert'",
        ),
        (
            "runtime.unknown",
            (
                "found no runtime 'onxruntime' on this board, expected one of onnxruntime, litert; "
                "did you mean 'onnxruntime'?"
            ),
        ),
    ]


def test_no_runtime_for_a_format_says_what_each_lacks() -> None:
    _, skipped = cells(FP32, threads=[1], runtimes=[LITERT])
    assert reason(skipped[0]) == (
        "no runtime on this board can run 'onnx' "
        "(litert: cannot be imported: No module named 'ai_edge_litert')"
    )


def test_asked_runtime_cannot_load_the_format() -> None:
    manifest = Manifest(
        "j",
        "e",
        MODEL,
        [Variant("fp32", "ncnn", ArtifactRef("c" * 64, 1))],
        Sweep(runtimes=["onnxruntime"], precisions=["fp32"], threads=[1]),
        Measure(),
    )
    (cell,) = plan(manifest, capabilities(ORT)).skipped
    assert reason(cell) == "onnxruntime 1.31.1 loads onnx; found fp32 variants in 'ncnn'"


def test_a_cross_check_runs_where_it_is_named_or_alone() -> None:
    opencv = RuntimeInfo("opencv", "5.0.0", available=True, formats=["onnx"])

    def names(*runtimes: RuntimeInfo, **sweep: Any) -> set[str]:
        return {cell.runtime for cell in cells(FP32, runtimes=list(runtimes), **sweep)[0]}

    assert names(ORT, opencv) == {"onnxruntime"}
    assert names(ORT, opencv, named=["opencv"]) == {"opencv"}
    assert names(LITERT, opencv) == {"opencv"}


def test_two_versions_of_one_runtime_are_two_runtimes() -> None:
    trials, _ = cells(FP32, threads=[1], runtimes=[ORT, OLD_ORT])
    assert [(cell.runtime_version, cell.environment) for cell in trials] == [
        ("1.31.1", "default"),
        ("1.19.2", "old"),
    ]
    assert len({cell.trial for cell in trials}) == 2


def test_a_job_names_a_version() -> None:
    for wanted, version in (("1.19.2", "1.19.2"), ("1.31", "1.31.1"), ("31.1", "1.31.1")):
        trials, _ = cells(FP32, threads=[1], runtimes=[ORT, OLD_ORT], named=[f"onnxruntime@{wanted}"])
        assert [cell.runtime_version for cell in trials] == [version]
    both, _ = cells(FP32, threads=[1], runtimes=[ORT, OLD_ORT], named=["onnxruntime@1.19.2", "onnxruntime"])
    assert len(both) == 2
    trials, skipped = cells(FP32, threads=[1], runtimes=[ORT, OLD_ORT], named=["onnxruntime@1.31.2"])
    assert trials == []
    assert [(cell.runtime, reason(cell)) for cell in skipped] == [
        (
            "onnxruntime",
            (
                "found no 'onnxruntime@1.31.2' on this board, expected one of onnxruntime@1.31.1, "
                "onnxruntime@1.19.2; did you mean 'onnxruntime@1.31.1'?"
            ),
        )
    ]


OPENVINO = RuntimeInfo("openvino", "2026.4.1", available=True, formats=["openvino", "onnx"])
NCNN = RuntimeInfo("ncnn", "1.0.20261020", available=True, formats=["ncnn"])
OV32 = Variant("fp32", "openvino", ArtifactRef("c" * 64, 10))
OV8 = Variant("int8", "openvino", failure=Failure("variant.failed", "NNCF found nothing to quantize"))
NCNN8 = Variant("int8", "ncnn", ArtifactRef("d" * 64, 5), name="kl")
NCNN8_ACIQ = Variant("int8", "ncnn", ArtifactRef("e" * 64, 5), name="aciq")
NO_NCNN8 = Variant("int8", "ncnn", failure=Failure("variant.failed", "no scales"), name="minmax")
BOARD = [ORT, OPENVINO, NCNN]


def tried(trials: list[Cell]) -> list[tuple[str, str, str, str]]:
    return [(cell.runtime, cell.variant.precision, cell.variant.format, cell.variant.name) for cell in trials]


def test_a_runtime_takes_the_first_of_its_formats_that_was_built() -> None:
    trials, skipped = cells(FP32, OV32, INT8, OV8, NCNN8, threads=[1], runtimes=BOARD)
    assert tried(trials) == [
        ("onnxruntime", "fp32", "onnx", ""),
        ("openvino", "fp32", "openvino", ""),
        ("onnxruntime", "int8", "onnx", ""),
        ("openvino", "int8", "onnx", ""),
        ("ncnn", "int8", "ncnn", "kl"),
    ]
    assert skipped == []


def test_a_runtime_without_another_format_fails_for_the_reason_of_the_build() -> None:
    trials, skipped = cells(INT8, OV8, NO_NCNN8, threads=[1], runtimes=BOARD)
    assert tried(trials) == [("onnxruntime", "int8", "onnx", ""), ("openvino", "int8", "onnx", "")]
    assert [(cell.runtime, reason(cell)) for cell in skipped] == [("ncnn", "no scales")]


def test_all_variants_of_the_format_are_tried() -> None:
    trials, skipped = cells(NCNN8, NCNN8_ACIQ, NO_NCNN8, threads=[1], runtimes=BOARD)
    assert [cell.variant.name for cell in trials] == ["kl", "aciq"]
    assert [cell.variant.name for cell in skipped] == ["minmax"]
    unnamed = structs.replace(NO_NCNN8, name="")
    _, other = cells(unnamed, threads=[1], runtimes=BOARD)
    assert other[0].trial != skipped[0].trial


def test_a_job_names_formats() -> None:
    trials, skipped = cells(FP32, OV32, threads=[1], runtimes=BOARD, formats=["onnx", "openvino"])
    assert tried(trials) == [
        ("onnxruntime", "fp32", "onnx", ""),
        ("openvino", "fp32", "onnx", ""),
        ("openvino", "fp32", "openvino", ""),
    ]
    assert skipped == []
    trials, skipped = cells(FP32, OV32, threads=[1], runtimes=BOARD, formats=["onx", "openvino"])
    assert tried(trials) == [("openvino", "fp32", "openvino", "")]
    assert [reason(cell) for cell in skipped] == [
        (
            "found no format 'onx' among variants and runtimes, expected one of ncnn, onnx, openvino; "
            "did you mean 'onnx'?"
        )
    ]


def test_a_named_runtime_that_has_no_variant_says_what_there_is() -> None:
    trials, skipped = cells(FP32, OV32, threads=[1], runtimes=BOARD, named=["ncnn", "openvino"])
    assert tried(trials) == [("openvino", "fp32", "openvino", "")]
    assert [(cell.runtime, reason(cell)) for cell in skipped] == [
        ("ncnn", "ncnn 1.0.20261020 loads ncnn; found fp32 variants in 'onnx', 'openvino'")
    ]
    _, skipped = cells(FP32, OV32, threads=[1], runtimes=BOARD, named=["onnxruntime"], formats=["openvino"])
    assert reason(skipped[0]) == "onnxruntime 1.31.1 loads onnx; the job asks for openvino"


def test_ids_of_jobs_with_onnx_only_are_as_they_ever_were() -> None:
    (trial,), _ = cells(FP32, threads=[2], runtimes=[ORT])
    _, (failed,) = cells(
        Variant("int8", "onnx", failure=Failure("quantize.failed", "x")), threads=[1], runtimes=[ORT]
    )
    # As version 0.1.0 wrote them.
    assert (trial.trial, failed.trial) == ("fca27a5591063ec0", "958bf1bcd5a23fdb")


def test_variant_that_failed_or_is_missing() -> None:
    failed = Variant("int8", "onnx", failure=Failure("quantize.failed", "no calibration images"))
    trials, skipped = cells(FP32, failed, threads=[1], precisions=["fp32", "int8", "fp16"])
    assert [cell.variant.precision for cell in trials] == ["fp32"]
    assert [(cell.variant.precision, reason(cell)) for cell in skipped] == [
        ("int8", "no calibration images"),
        ("fp16", "the manifest holds no fp16 variant of fastestdet"),
    ]


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        (Scenario(fixed_rate=FixedRate(30.0)), "fixed-rate 30 fps"),
        (Scenario(throughput=Throughput(4)), "throughput 4 streams"),
        (Scenario(soak=Soak(30.0)), "soak 30 min"),
    ],
)
def test_every_scenario_has_its_name_and_ids_of_its_own(scenario: Scenario, name: str) -> None:
    (cell,), skipped = cells(FP32, threads=[1], scenario=scenario)
    assert skipped == []
    assert cell.scenario == name
    (single,), _ = cells(FP32, threads=[1])
    assert cell.trial != single.trial


def test_trial_ids_are_stable_and_distinct() -> None:
    first, _ = cells(FP32, INT8, threads=[1, 2], batch=[1, 4])
    second, _ = cells(INT8, FP32, threads=[2, 1], batch=[4, 1])
    assert len({cell.trial for cell in first}) == 8
    assert {cell.trial for cell in first} == {cell.trial for cell in second}
    assert all(len(cell.trial) == 16 for cell in first)
