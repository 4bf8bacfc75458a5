from __future__ import annotations

import pytest

from edgedyno.controller.lab.verdict import judge, quantities, verdict_lines
from edgedyno.controller.lab.verdict.comparisons import compare_in_words
from edgedyno.controller.lab.verdict.labels import label_trials
from edgedyno.controller.lab.verdict.model import RatioInterval
from edgedyno.core.job import JobSpec, Require
from tests.controller.synthetic import SWEEP, Lab, Trial, failed


def lines_of(*trials: Trial, **require: float) -> list[str]:
    lab = Lab()
    spec = JobSpec(name="synthetic", model="synthetic_net", require=Require(**require))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict_lines(verdict)


def test_lines_fit_80_columns_and_begin_with_the_answer() -> None:
    lines = lines_of(*SWEEP, failed("int8", 4), accuracy_drop=0.01)
    assert lines[0] == "synthetic_net on synthetic-pi: RECOMMENDED"
    assert max(len(line) for line in lines) <= 80
    assert "Why not the others" in lines
    assert "Precision against precision" in lines


def test_a_unit_never_begins_a_line() -> None:
    lines = lines_of(*SWEEP, accuracy_drop=0.01, latency_p95=0.1)
    starts = {line.split()[0] for line in lines if line.split()}
    assert not starts & {"ms", "%", "pt", "s", "threads", "thread"}


def test_equal_reasons_are_told_once() -> None:
    text = "\n".join(lines_of(*SWEEP, accuracy_drop=0.01))
    assert "INT8 · 2 threads, INT8 · 1 thread: undecided" in text


def test_a_ratio_reads_as_a_sentence() -> None:
    slower = RatioInterval(1.33, 1.30, 1.36, 0.95, paired=True, blocks=60, seconds=30.0)
    assert compare_in_words("INT8", "FP32", slower, 0.02) == (
        "INT8 is 1.33 times slower than FP32 (95 % interval 1.30 to 1.36)"
    )
    faster = RatioInterval(0.5, 0.4, 0.625, 0.95, paired=True, blocks=60, seconds=30.0)
    assert compare_in_words("INT8", "FP32", faster, 0.02) == (
        "INT8 is 2.00 times faster than FP32 (95 % interval 1.60 to 2.50)"
    )
    little = RatioInterval(1.04, 1.03, 1.05, 0.95, paired=True, blocks=60, seconds=30.0)
    assert compare_in_words("INT8", "FP32", little, 0.02) == (
        "INT8 is 4.0 % slower than FP32 (95 % interval 3.0 to 5.0 %)"
    )
    unsure = RatioInterval(1.01, 0.95, 1.07, 0.95, paired=True, blocks=60, seconds=30.0)
    assert "cannot tell yet whether INT8 and FP32 differ by 2 %" in compare_in_words(
        "INT8", "FP32", unsure, 0.02
    )
    assert "s more would settle it" in compare_in_words("INT8", "FP32", unsure, 0.02)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (quantities.format_points(0.301), "30.1 pt"),
        (quantities.format_points(-0.00001), "0 pt"),
        (quantities.format_percent(0.02), "2 %"),
        (quantities.format_percent(0.345), "34 %"),
        (quantities.format_watts(0.25), "250 mW"),
        (quantities.format_joules(0.04), "40 mJ"),
        (quantities.format_rate(30.0), "30 /s"),
        (quantities.format_count(6137.0), "6,200"),
        (quantities.format_count(7.2), "8"),
        (quantities.format_span(0.0121, 0.0125, quantities.format_seconds), "12.1 to 12.5 ms"),
        (quantities.format_span(0.9, 1.1, quantities.format_seconds), "900 ms to 1.1 s"),
        (quantities.format_span(0.1, 0.2, quantities.format_ratio), "0.100 to 0.200"),
    ],
)
def test_quantities(written: str, expected: str) -> None:
    assert written == expected


def test_labels_name_only_what_differs_and_are_unique() -> None:
    ncnn = {"runtime": "ncnn", "runtime_version": "20250101", "format": "ncnn"}
    old = {"runtime_version": "1.17.0"}
    big = {"cores": "big"}
    results = Lab().results(
        Trial("fp32", 1, 0.01),
        Trial("fp32", 1, 0.01, more=ncnn),
        Trial("fp32", 1, 0.01, more=old),
        Trial("fp32", 1, 0.01, more=big),
        Trial("fp32", 1, 0.01, more={"recipe": "other"}),
    )
    dynamic = Trial("int8", 1, 0.01, more={"variant": "dynamic"})
    labels = list(label_trials([*results, *Lab().results(dynamic)]).values())
    assert labels.pop().startswith("INT8 dynamic · onnxruntime")
    assert len(set(labels)) == len(results)
    assert labels[1] == "FP32 · ncnn · all cores", "one version of it, and threads that do not vary"
    assert labels[3] == "FP32 · onnxruntime · 1.22.0 · big cores"
    assert list(label_trials(results[:1]).values()) == ["FP32 · 1 thread"]
