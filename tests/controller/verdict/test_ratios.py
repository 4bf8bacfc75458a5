from __future__ import annotations

import math

import msgspec
import pytest

from edgedyno.controller.lab.verdict import judge
from edgedyno.controller.lab.verdict.model import RatioInterval
from edgedyno.controller.lab.verdict.ratios import SampleBook, conclude, measure_ratio, seconds_to_settle
from edgedyno.core.job import JobSpec
from edgedyno.core.statistics import load_half_width
from tests.controller.synthetic import Lab, Trial

MARGIN = 0.02


def ratio(value: float, low: float, high: float, *, paired: bool = True) -> RatioInterval:
    return RatioInterval(value, low, high, 0.95, paired, 60, 30.0)


@pytest.mark.parametrize(
    ("interval", "conclusion"),
    [
        (ratio(1.33, 1.30, 1.36), "slower"),
        (ratio(0.75, 0.73, 0.77), "faster"),
        (ratio(1.001, 0.99, 1.012), "no difference shown"),
        (ratio(1.015, 1.012, 1.018), "no difference shown"),
        (ratio(1.03, 1.01, 1.05), "cannot tell yet"),
        (ratio(1.0, 0.9, 1.1), "cannot tell yet"),
        (ratio(1.15, 1.10, 1.19, paired=False), "cannot tell yet"),
        (ratio(1.40, 1.30, 1.50, paired=False), "slower"),
        (ratio(1.0, 0.999, 1.001, paired=False), "cannot tell yet"),
        (None, "cannot tell yet"),
    ],
)
def test_conclusions_hold_beyond_the_margin_only(interval: RatioInterval | None, conclusion: str) -> None:
    assert conclude(interval, MARGIN) == conclusion


def test_time_to_settle_scales_with_the_square_of_the_width() -> None:
    border = math.log1p(MARGIN)
    half, centre = 0.04, border + 0.02
    wide = ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half))
    assert seconds_to_settle(wide, MARGIN) == pytest.approx(30.0 * (2.0**2 - 1))


def test_nothing_is_promised_where_the_ratio_lies_on_the_border() -> None:
    assert seconds_to_settle(ratio(1.02, 0.99, 1.05), MARGIN) is None
    assert seconds_to_settle(ratio(1.3, 1.2, 1.4), MARGIN) is None


def test_pairing_cancels_the_drift_that_both_share() -> None:
    lab = Lab()
    slow, fast = lab.results(Trial("int8", 1, 0.0133), Trial("fp32", 1, 0.0100))
    found = measure_ratio(slow, fast, SampleBook(lab.read), level=0.95)
    assert found is not None
    assert found.paired
    assert found.low < 1.33 < found.high
    # Drift of a tenth would leave far more; what is left is mostly that each was loaded once.
    once = 2 * load_half_width(0.05, 1, 1)
    assert once < math.log(found.high / found.low) < math.hypot(once, 0.02)
    assert slow.latency_seconds is not None
    low, high = slow.latency_seconds.p50_low, slow.latency_seconds.p50_high
    assert low is not None
    assert high is not None
    assert high / low > found.high / found.low


def test_trials_of_two_executions_are_not_paired() -> None:
    lab, other = Lab(), Lab(seed=7, board="synthetic-x86")
    (a,), (b,) = lab.results(Trial("int8", 1, 0.02)), other.results(Trial("fp32", 1, 0.01))
    artifacts = lab.artifacts | other.artifacts
    found = measure_ratio(a, b, SampleBook(artifacts.__getitem__), level=0.95)
    assert found is not None
    assert not found.paired


def test_samples_of_another_trial_are_refused() -> None:
    lab = Lab()
    a, b = lab.results(Trial("int8", 1, 0.02), Trial("fp32", 1, 0.01))
    swapped = msgspec.structs.replace(a, samples_sha256=b.samples_sha256)
    book = SampleBook(lab.read)
    assert book.samples(swapped) is None
    assert list(book.unreadable.values()) == [f"found samples of trial {b.trial}, expected {a.trial}"]


def test_the_same_file_twice_gives_a_difference_in_at_most_5_percent() -> None:
    """A/A, as docs/method.md asks. The margin is set to nothing, so that the interval alone decides."""
    runs, wrong = 200, 0
    for seed in range(runs):
        lab = Lab(seed=seed, blocks=30, per_burst=4)
        a, b = lab.results(Trial("fp32", 1, 0.01), Trial("fp16", 1, 0.01))
        found = measure_ratio(a, b, SampleBook(lab.read), level=0.95)
        wrong += conclude(found, 0.0) in {"faster", "slower"}
    # 5 % of 200 is 10; 19 or more would come by chance in less than 1 of 100 such tests.
    assert wrong < 19


def test_a_family_of_equal_trials_rarely_shows_any_difference() -> None:
    """Bonferroni: over six equal trials no comparison at all differs in about 95 % of the runs."""
    runs, wrong = 60, 0
    equal = [Trial(precision, threads, 0.01) for precision in ("fp32", "fp16", "int8") for threads in (1, 2)]
    spec = JobSpec(name="synthetic", model="synthetic_net")
    spec = msgspec.structs.replace(spec, measure=msgspec.structs.replace(spec.measure, precision=1e-9))
    for seed in range(runs):
        lab = Lab(seed=1000 + seed, blocks=30, per_burst=4)
        (verdict,) = judge(lab.results(*equal), spec=spec, read=lab.read)
        wrong += any(item.conclusion in {"faster", "slower"} for item in verdict.comparisons)
    # 5 % of 60 is 3; 9 or more would come by chance in less than 1 of 100 such tests.
    assert wrong < 9
