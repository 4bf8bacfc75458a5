from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from edgedyno.controller.lab.report import Section, render_report
from edgedyno.controller.lab.report.conditions import describe_conditions
from edgedyno.controller.lab.report.reproduce import job_yaml
from edgedyno.controller.lab.verdict import judge
from edgedyno.core.document import decode_yaml
from edgedyno.core.job import JobSpec, Measure, Require, Sweep
from edgedyno.core.manifest import ArtifactRef, Failure, Image, ResolvedJob
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.result import (
    NOT_TRIED,
    Bounded,
    Deadlines,
    OperatorProfile,
    OperatorTime,
    Soak,
    StageSummary,
)
from edgedyno.core.targets import BoardSelector
from tests.controller.synthetic import SWEEP, Lab, Trial, failed, metered, sha256, skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

EVIL = "<script>alert('x')</script> & \"quoted\""


def resolved_job(require: Require) -> ResolvedJob:
    model = ModelProfile(
        name="synthetic_net",
        task="detect",
        source="net.onnx",
        input=InputSpec(size=(352, 352)),
        output=OutputSpec(decoder="yolox"),
    )
    return ResolvedJob(
        spec=JobSpec(name="synthetic", model="synthetic_net", dataset="synthetic_set", require=require),
        model=model,
        source=ArtifactRef(sha256("source"), 1_000_000, "net.onnx"),
        class_names=["thing"],
        images=[Image(1, ArtifactRef(sha256("image"), 10))],
        annotations=ArtifactRef(sha256("annotations"), 10, "annotations.json"),
    )


def page_of(*trials: Trial, lab: Lab | None = None, require: Require | None = None) -> str:
    lab = lab or Lab()
    resolved = resolved_job(require or Require())
    results = lab.results(*trials)
    verdicts = judge(results, spec=resolved.spec, read=lab.read)
    return render_report([Section(verdicts, results, resolved)], read=lab.read)


class Page(HTMLParser):
    """Collects ids, references and tags, and checks that tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
                self.links.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


CASES: dict[str, tuple[Sequence[Trial], Require]] = {
    "sweep": (SWEEP, Require(accuracy_drop=0.01, latency_p95=0.1)),
    "one trial": ([Trial("fp32", 1, 0.05)], Require()),
    "all failed": ([failed("fp32", 1), skipped("int8", 1)], Require(accuracy_drop=0.01)),
    "no accuracy": ([Trial("fp32", 1, 0.05), Trial("int8", 1, 0.03)], Require()),
    "none meets": (SWEEP, Require(latency_p50=0.001)),
    "cannot tell": (SWEEP, Require(power=5.0)),
    "void": ([*SWEEP[:2], Trial("int8", 1, 0.01, void="the clock fell")], Require()),
    "metered": (
        [Trial("fp32", 1, 0.05, more=metered(0.04, 5.0)), Trial("int8", 1, 0.04)],
        Require(energy=0.05),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole_and_loads_nothing(case: str) -> None:
    trials, require = CASES[case]
    html = page_of(*trials, require=require)
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert "None" not in re.sub(r"None meets", "", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_named_for_those_who_cannot_see_it_and_takes_the_pages_colours(case: str) -> None:
    trials, require = CASES[case]
    html = page_of(*trials, require=require)
    figures = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert bool(figures) == any(trial.latency_seconds for trial in trials)
    for figure in figures:
        root = ET.fromstring(figure.replace("<svg ", '<svg xmlns:xlink="urn:xlink" ', 1))
        assert root.get("role") == "img"
        title, description = root.find("title"), root.find("desc")
        assert title is not None
        assert description is not None
        assert title.text
        assert description.text
        assert "#01f1" not in figure
        assert "var(--" in figure
        colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", figure))
        assert colours <= set()


def test_figures_show_what_was_measured() -> None:
    html = page_of(*SWEEP, require=Require(accuracy_drop=0.01))
    for words in (
        "Median latency with its 95 % interval",
        "Latency against accuracy",
        "Each precision against",
    ):
        assert words in html
    assert html.count('role="img"') == 5 + len(SWEEP)


def test_text_of_users_is_escaped_everywhere() -> None:
    lab = Lab(board=EVIL)
    evil = {"runtime": EVIL, "cores": EVIL, "runtime_version": EVIL, "format": EVIL}
    trials = [Trial("fp32", 1, 0.02), Trial("int8", 1, 0.01, more=evil), failed("fp16", 1, EVIL)]
    html = page_of(*trials, lab=lab)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    Page(html)


def test_dollar_signs_in_names_are_no_formulas() -> None:
    more = {"runtime": "a$x^2$b"}
    html = page_of(Trial("fp32", 1, 0.02), Trial("fp32", 2, 0.02, more=more))
    assert "a$x^2$b · 2 threads" in html


def test_reasons_for_what_is_missing_are_told() -> None:
    html = page_of(Trial("fp32", 1, 0.05), failed("int8", 1), skipped("fp16", 1))
    assert "this board has no power sensor" in html
    assert "nothing to plot against latency: the data set has no annotations" in html
    assert "the worker was killed by signal 11 (worker.crashed)" in html
    assert "no runtime of this board can run tflite" in html
    assert "memory clock" in html


def test_it_can_be_reproduced_from_the_page() -> None:
    html = page_of(*SWEEP, require=Require(accuracy_drop=0.01))
    assert sha256("source") in html
    assert sha256("annotations") in html
    assert sha256("synthetic_net-int8-onnx-") in html
    assert "edgedyno run job.yaml" in html


def test_the_same_results_give_the_same_page() -> None:
    assert page_of(*SWEEP) == page_of(*SWEEP)


def test_a_large_sweep_stays_small() -> None:
    trials = [
        Trial(precision, threads, 0.03 / threads**0.7, 0.24, (0.0, -0.001, 0.001), more={"runtime": runtime})
        for precision in ("fp32", "fp16", "int8")
        for threads in (1, 2, 3, 4, 6, 8)
        for runtime in ("onnxruntime", "ncnn", "openvino")
    ]
    html = page_of(*trials, lab=Lab(blocks=40), require=Require(accuracy_drop=0.01))
    assert len(html) < 2_000_000
    assert "more trials are in the table only" in html
    Page(html)


def test_several_boards_have_a_verdict_each_before_any_detail() -> None:
    here, there = Lab(seed=1), Lab(seed=2, board="synthetic-x86")
    resolved = resolved_job(Require())
    results = [*here.results(*SWEEP), *there.results(*SWEEP[:2])]
    read = (here.artifacts | there.artifacts).__getitem__
    html = render_report(
        [Section(judge(results, spec=resolved.spec, read=read), results, resolved)], read=read
    )
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert html.count('class="card verdict') == 2
    assert html.rindex('class="card verdict') < html.index("The choices")


def test_no_results_at_all() -> None:
    resolved = resolved_job(Require())
    html = render_report([Section([], [], resolved)], read=Lab().read)
    assert "No trial has given a result yet" in html
    Page(html)


def test_missing_samples_leave_the_rest_of_the_page() -> None:
    lab = Lab()
    resolved = resolved_job(Require())
    results = lab.results(*SWEEP)
    verdicts = judge(results, spec=resolved.spec, read=Lab().read)
    html = render_report([Section(verdicts, results, resolved)], read=Lab().read)
    assert "Median latency with its 95 % interval" in html
    assert "cannot be read: KeyError" in html


def test_the_job_as_yaml_reads_back_as_the_same_job() -> None:
    spec = JobSpec(
        name="round",
        model="yolox_nano",
        dataset="coco_ccby",
        boards=BoardSelector(labels={"soc": "rk3588"}),
        sweep=Sweep(threads=[1, "all"], precisions=["fp32", "int8"]),
        measure=Measure(precision=0.015, max_seconds=30.0),
        require=Require(latency_p95=0.1, latency_p50=0.0123456789, accuracy_drop=0.01, power=15.0, size=2e6),
    )
    text = job_yaml(spec)
    assert "latency_p95: 100 ms" in text
    assert "accuracy_drop: 1 pt" in text
    assert decode_yaml(text, JobSpec) == spec


STAGES = {
    "preprocess_seconds": StageSummary(17, 0.0041),
    "postprocess_seconds": StageSummary(17, 0.0077),
    "after_switch_seconds": Bounded(0.0003, 0.0001, 0.0005),
}


def test_stages_are_shown_for_each_variant_at_its_fastest_and_their_sum_is_labelled() -> None:
    html = page_of(*(replace(trial, more=STAGES) for trial in SWEEP))
    Page(html)
    assert html.count('class="stages"') == 3
    assert "From image to answer" in html
    assert "end to end 25.3" in html
    assert "prepare 4.1" in html
    assert html.count(
        "+300\N{NO-BREAK SPACE}µs (+100\N{NO-BREAK SPACE}µs to +500\N{NO-BREAK SPACE}µs)"
    ) == len(SWEEP)


def test_stages_are_not_added_up_where_inputs_come_by_the_clock() -> None:
    html = page_of(replace(SWEEP[0], more={**STAGES, "scenario": "fixed-rate 30 fps"}))
    assert html.count('class="stages"') == 1
    assert "not added up in this scenario" in html
    assert ">end to end" not in html


def test_stages_that_were_not_timed_say_why() -> None:
    html = page_of(Trial("fp32", 1, 0.02, more={"stages_reason": "not timed: the job has no images"}))
    assert "was not timed (1 of 1): not timed: the job has no images." in html


def test_every_state_stands_in_the_table_with_its_reason() -> None:
    left_out = Failure(NOT_TRIED, "more threads than those that were beaten")
    trials = [
        SWEEP[1],
        replace(SWEEP[0], more={"settled": False}),
        replace(SWEEP[2], more={"eliminated": True}),
        replace(SWEEP[4], void="other processes took 97 % of one CPU"),
        *(Trial("int8", n, None, more={"status": "skipped", "failure": left_out}) for n in (8, 9)),
    ]
    html = page_of(*trials)
    assert "eliminated: beaten beyond doubt" in html
    assert html.count("other processes took 97\N{NO-BREAK SPACE}% of one CPU") == 2
    assert "2 cells were not tried: more threads than those that were beaten." in html
    assert "9 threads" not in html


@pytest.mark.parametrize(
    ("scenario", "fields", "words"),
    [
        (
            "fixed-rate 30 fps",
            {"deadlines": Deadlines(1 / 30, 900, 104, 52)},
            ["104 (12\N{NO-BREAK SPACE}%)", "900"],
        ),
        (
            "throughput 4 streams",
            {"throughput_per_second_interval": Bounded(150.0, 147.0, 153.0)},
            ["147 to 153\N{NO-BREAK SPACE}/s"],
        ),
        (
            "soak 30 min",
            {"soak": Soak(1800.0, 0.0135, 0.02, Bounded(1.48, 1.46, 1.5), 94.0, 600.0)},
            ["\N{MULTIPLICATION SIGN}1.48 (1.46 to 1.50)", "94\N{NO-BREAK SPACE}s"],
        ),
    ],
)
def test_a_scenario_has_a_table_of_its_own(scenario: str, fields: dict[str, Any], words: list[str]) -> None:
    html = page_of(replace(SWEEP[0], more={"scenario": scenario, **fields}))
    Page(html)
    assert f"Scenario: {scenario}" in html
    assert f"<dt>{scenario.capitalize()}</dt>" in html
    for word in words:
        assert word in html


def test_whatever_the_conditions_carry_is_shown_by_name_and_unit() -> None:
    lab = Lab()
    results = lab.results(*SWEEP[:2])
    extra = {
        "gating_seconds": 12.5,
        "foreign_cpu_ratio": 0.03,
        "lowest_hz": {"cpu0": 1.8e9},
        "streams": [[0], [1]],
    }
    conditions = msgspec.structs.replace(results[0].conditions, extra=extra)
    lines = dict(
        describe_conditions([msgspec.structs.replace(results[0], conditions=conditions), results[1]])
    )
    assert lines["waited to cool down"] == "12.5 s"
    assert lines["foreign CPU time on the used cores"] == "3 %"
    assert lines["lowest cpu0"] == "1.8 GHz"
    assert lines["temperature soc"] == "51.5 °C"
    assert lines["governor"] == "performance"
    assert lines["throttled"] == "no"
    assert lines["streams"] == "0, 1"


def with_profile(trial: Trial, lab: Lab) -> Trial:
    """Give a trial a profile of ten types of operators."""
    operators = [OperatorTime(f"n{i}", f"Type{i}", "fp32", (10 - i) / 1e3) for i in range(10)]
    data = msgspec.json.encode(OperatorProfile("t", "onnxruntime", 5, operators, "a synthetic profile"))
    sha = hashlib.sha256(data).hexdigest()
    lab.artifacts[sha] = data
    return replace(trial, more={"profile_sha256": sha})


def test_where_the_time_goes_is_shown_for_the_recommended_trial() -> None:
    lab = Lab()
    page = page_of(SWEEP[0], with_profile(SWEEP[1], lab), lab=lab)
    assert "Where the time goes" in page
    assert "Type0" in page
    assert "2 other types" in page
    assert "18.2 %" in page
    assert "a synthetic profile" in page
    assert "Where the time goes" not in page_of(SWEEP[0], SWEEP[1])


def test_a_profile_that_is_not_there_says_why() -> None:
    unsupported = replace(SWEEP[1], more={"profile_reason": "profile.unsupported: no times of operators"})
    assert "profile.unsupported: no times of operators." in page_of(unsupported)
    gone = replace(SWEEP[1], more={"profile_sha256": "0" * 64})
    assert "the profile cannot be read" in page_of(gone)


def test_a_reason_stands_once_for_all_that_share_it_without_spans_of_intervals() -> None:
    html = page_of(*SWEEP, require=Require(accuracy_drop=0.01))
    void = page_of(*(replace(trial, void=f"tasks waited {60 + trial.threads} %") for trial in SWEEP))
    assert "All 6 trials" in void
    # The answer's sentence has it too.
    assert void.count("tasks waited 61 to 62") == 2
    assert not re.search(r"interval \S+ to \S+ to", html)
