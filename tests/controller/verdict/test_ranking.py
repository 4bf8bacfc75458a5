from __future__ import annotations

from edgedyno.controller.lab.verdict import Verdict, judge
from edgedyno.core.job import JobSpec, Require
from tests.controller.synthetic import Lab, Trial

NO_DROP = (0.0, 0.0, 0.0)


def judged(*trials: Trial, blocks: int = 60) -> Verdict:
    lab = Lab(blocks=blocks)
    spec = JobSpec(name="synthetic", model="synthetic_net", require=Require(accuracy_drop=0.01))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def test_among_equals_the_more_accurate_one_is_preferred_and_that_is_said() -> None:
    verdict = judged(
        Trial("fp32", 1, 0.0101, 0.240, NO_DROP), Trial("int8", 1, 0.0100, 0.230, (0.001, 0.0, 0.002))
    )
    assert verdict.choices[0].precision == "fp32"
    assert verdict.as_fast == [verdict.choices[1].trial]
    assert "as far as shown, and preferred for its higher accuracy" in verdict.headline
    assert verdict.choices[1].reasons == ["as fast as the recommended one, as far as shown"]


def test_then_the_smaller_file() -> None:
    verdict = judged(
        Trial("fp32", 1, 0.0100, 0.240, NO_DROP), Trial("int8", 1, 0.0100, 0.240, (0.0, -0.001, 0.001))
    )
    assert verdict.choices[0].precision == "int8"
    assert "preferred for its smaller file" in verdict.headline


def test_then_fewer_threads() -> None:
    verdict = judged(Trial("fp32", 4, 0.0100, 0.240, NO_DROP), Trial("fp32", 2, 0.0100, 0.240, NO_DROP))
    assert verdict.choices[0].threads == 2
    assert "preferred for its fewer threads" in verdict.headline


def test_what_is_shown_to_be_slower_is_not_preferred_for_anything() -> None:
    verdict = judged(
        Trial("fp32", 1, 0.0105, 0.240, NO_DROP), Trial("int8", 1, 0.0100, 0.230, (0.001, 0.0, 0.002))
    )
    assert verdict.choices[0].precision == "int8"
    assert verdict.as_fast == []
    assert verdict.choices[1].reasons[0].startswith(("4.", "5."))
    assert "% slower than the recommended one (95 % interval" in verdict.choices[1].reasons[0]


def test_with_too_few_blocks_a_difference_below_what_drift_does_is_not_concluded() -> None:
    verdict = judged(
        Trial("fp32", 1, 0.0110, 0.240, NO_DROP), Trial("int8", 1, 0.0100, 0.240, NO_DROP), blocks=4
    )
    (comparison,) = verdict.comparisons
    assert comparison.conclusion == "cannot tell yet"
