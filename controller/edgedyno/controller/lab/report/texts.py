"""All words of the report that are not the verdict's, in one place, so that a second language can follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """English; another language is another instance."""

    language: str = "en"
    product: str = "edgedyno report"
    answer_recommended: str = "Recommended"
    answer_cannot_tell: str = "Cannot tell"
    answer_none_meets: str = "None meets the requirements"
    no_verdict: str = "No trial has given a result yet, so there is nothing to judge."
    on_board: str = "on"
    boards: str = "boards"
    board: str = "board"
    trials: str = "trials"
    trial: str = "trial"
    started: str = "measured"
    required: str = "Required"
    no_requirements: str = "nothing: the job declares no requirement, so speed decides"
    at_most: str = "at most"
    at_least: str = "at least"
    median: str = "Median latency"
    p95: str = "p95 latency"
    accuracy: str = "Accuracy"
    drop: str = "Drop against FP32"
    energy: str = "Energy per inference"
    size: str = "File"
    memory: str = "Peak memory"
    status: str = "Status"
    against_recommended: str = "Ratio to the best"
    why: str = "Why"
    interval: str = "95 % interval"
    images: str = "images"
    not_measured: str = "not measured"
    too_few_samples: str = "too few samples"
    choices: str = "The choices"
    stages_title: str = "From image to answer"
    stages_note: str = (
        "Medians of preparing the image, of the inference and of decoding the output, for each variant at its "
        "fastest setting. The sum of three medians is labelled end to end; only the inference is ever ranked."
    )
    operators_title: str = "Where the time goes"
    operators_note: str = (
        "Types of operators of one trial, profiled after it was measured: profiling slows it down, so the shares "
        "count, not the sum."
    )
    operators_none: str = "No profile by operator"
    operator_type: str = "Type"
    operator_count: str = "Operators"
    operator_time: str = "Time"
    operator_share: str = "Share"
    stages_none: str = "Preparing images and decoding outputs was not timed"
    pre: str = "prepare"
    invoke: str = "inference"
    post: str = "decode"
    end_to_end: str = "end to end"
    not_added: str = "not added up in this scenario"
    starts_title: str = "Before the steady state"
    load: str = "Load"
    first_inference: str = "First inference"
    after_switch: str = "First after a switch"
    rounds_title: str = "Rounds that counted"
    quiet_rounds: str = "Quiet rounds"
    void_rounds: str = "Void rounds"
    scenario_title: str = "Scenario"
    times_first: str = "times the first minute"
    deadline_columns: tuple[str, ...] = (
        "Period",
        "Arrivals",
        "Missed",
        "Of those dropped",
        "Median from arrival",
    )
    throughput_columns: tuple[str, ...] = ("Throughput", "95 % interval")
    soak_columns: tuple[str, ...] = ("First", "Last", "Last to first", "Throttled after", "Steady after")
    notes: str = "What to know"
    open_points: str = "Faster, if it can be shown"
    latency: str = "Latency"
    medians_title: str = "Median latency with its 95 % interval"
    medians_note: str = "Shorter is better. The whisker is the interval of the median."
    limit_note: str = "The dashed red line is the job's limit."
    spread_title: str = "How latencies spread around each median"
    spread_note: str = (
        "Steady-state inferences only; a narrow hill is a steady trial. The tick marks p95 where enough "
        "samples support it."
    )
    spread_outside: str = "beyond"
    scatter_title: str = "Latency against accuracy"
    scatter_note: str = (
        "Up and to the left is better. Numbers are threads, bars 95 % intervals; hollow marks are not shown "
        "to meet the requirements. Nothing beats the trials on the dotted line in both."
    )
    scatter_none: str = "No accuracy was measured, so there is nothing to plot against latency"
    ratios_title: str = "Each precision against FP32"
    ratios_note: str = (
        "Latency ratio on the same runtime: left of 1 is faster. Inside the grey band a difference does not "
        "count. All intervals hold together; a hollow mark was not measured side by side."
    )
    ratios_none: str = "There are no two precisions to compare."
    best: str = "best"
    faster: str = "faster than FP32"
    slower: str = "slower than FP32"
    drift_title: str = "Did the board drift while it measured?"
    drift_note: str = (
        "Each burst's median against the trial's own median, over the time of the run. All panels share one "
        "scale. Trials run interleaved, so drift that they share cancels in the ratios."
    )
    drift_invalid: str = "A cross marks a burst that was found invalid and counts nowhere."
    more_trials: str = "more trials are in the table only"
    runtimes: str = "Runtime against runtime"
    comparisons: str = "Precision against precision"
    out: str = "What did not run"
    conditions: str = "Conditions and validity"
    valid: str = "valid"
    void: str = "void"
    not_checkable: str = "Could not be checked here"
    all_checked: str = "Every check had a source on this board."
    energy_title: str = "Energy"
    energy_scope: str = "scope"
    energy_source: str = "source"
    idle_subtracted: str = "Idle subtracted"
    power: str = "Power"
    reproduce: str = "How to reproduce"
    reproduce_note: str = "Save as job.yaml, then run this on the same board:"
    files: str = "Files, by content"
    role_source: str = "model source (FP32)"
    role_annotations: str = "annotations"
    role_variant: str = "variant"
    samples_note: str = (
        "Raw samples and predictions are kept under the sha256 in each result; every number here can be "
        "computed again from them."
    )
    unit_note: str = "pt: percentage points. Intervals are 95 % intervals unless said otherwise."
    recommended: str = "recommended"
    acceptable: str = "acceptable"
    undecided: str = "undecided"
    rejected: str = "rejected"
    failed: str = "failed"
    skipped: str = "skipped"
    requirement_limit: str = "limit"
    time_axis: str = "seconds into the run"
    milliseconds: str = "milliseconds"
    seconds: str = "seconds"


ENGLISH = Texts()
