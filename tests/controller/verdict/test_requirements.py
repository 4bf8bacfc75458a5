from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.controller.lab.verdict.measured import QUANTITIES
from edgedyno.controller.lab.verdict.requirements import judge_requirements
from edgedyno.core.job import Require
from edgedyno.core.result import Accuracy, Drop, LatencySummary, Result
from tests.controller.synthetic import Lab, Trial, metered

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Judgement


def result(precision: str = "int8", **changes: Any) -> Result:
    made = Lab().results(Trial(precision, 1, 0.02, 0.23, (0.012, -0.03, 0.05)))[0]
    return msgspec.structs.replace(made, **changes)


def only(made: Result, **require: float) -> Judgement:
    (judgement,) = judge_requirements(made, Require(**require))
    return judgement


def test_every_field_of_require_can_be_judged() -> None:
    assert [quantity.name for quantity in QUANTITIES] == list(Require.__struct_fields__)


@pytest.mark.parametrize(
    ("drop", "outcome"),
    [
        (Drop(0.002, -0.004, 0.009), "met"),
        (Drop(0.30, 0.22, 0.37), "violated"),
        (Drop(0.012, -0.03, 0.05), "undecided"),
        (Drop(0.002, None, None), "undecided"),
        (Drop(0.0, 0.0, 0.0), "met"),
    ],
)
def test_a_drop_is_judged_by_its_whole_interval(drop: Drop, outcome: str) -> None:
    assert only(result(accuracy_drop=drop), accuracy_drop=0.01).outcome == outcome


def test_words_of_a_violated_drop() -> None:
    judgement = only(result(accuracy_drop=Drop(0.301, 0.22, 0.37)), accuracy_drop=0.01)
    assert judgement.text == (
        "accuracy drop 30.1 pt (95 % interval 22 to 37 pt), 29.1 pt above the limit of 1 pt"
    )
    assert judgement.excess_ratio == pytest.approx(29.1)


def test_images_to_settle_scale_with_the_square_of_the_width() -> None:
    # The limit is 0.8 pt above the value, the interval reaches 3.2 pt above it: 4 times too wide, 16 x 100.
    made = result(
        accuracy_drop=Drop(0.002, -0.03, 0.034), accuracy=Accuracy("mAP50-95", 0.24, 0.2, 0.28, 100)
    )
    assert only(made, accuracy_drop=0.01).settle == "about 1,500 more images (100 were used)"


def test_a_value_on_its_limit_is_not_promised_to_be_settled() -> None:
    made = result(accuracy_drop=Drop(0.0100001, -0.03, 0.05))
    assert only(made, accuracy_drop=0.01).settle == "nothing soon: the value lies on the limit"


def test_fp32_meets_a_drop_by_definition_unless_another_was_found() -> None:
    assert only(result("fp32", accuracy_drop=None), accuracy_drop=0.0).outcome == "met"
    converted = result("fp32", accuracy_drop=Drop(0.2, 0.1, 0.3))
    assert only(converted, accuracy_drop=0.01).outcome == "violated"


@pytest.mark.parametrize("name", ["power", "energy", "accuracy", "accuracy_drop", "throughput", "memory"])
def test_what_was_not_measured_is_never_passed(name: str) -> None:
    made = result(
        accuracy=None,
        accuracy_reason="there are no annotations",
        accuracy_drop=None,
        throughput_per_second=None,
        peak_rss_bytes=None,
    )
    judgement = only(made, **{name: 1e9 if name != "throughput" else 0.0})
    assert judgement.outcome == "undecided"
    assert " cannot be judged: " in judgement.text


def latency(**changes: Any) -> LatencySummary:
    summary = LatencySummary(n=40, min=0.09, p50=0.12, mean=0.12, p50_low=0.11, p50_high=0.13)
    return msgspec.structs.replace(summary, **changes)


def test_a_percentile_with_too_few_samples_says_how_many_more() -> None:
    judgement = only(result(latency_seconds=latency()), latency_p95=0.2)
    assert judgement.outcome == "undecided"
    assert judgement.text == "p95 latency cannot be judged: 40 samples do not support a p95, 130 do"
    assert judgement.settle == "90 more samples"


def test_a_median_beyond_the_limit_of_a_percentile_decides_without_it() -> None:
    judgement = only(result(latency_seconds=latency()), latency_p99=0.1)
    assert judgement.outcome == "violated"
    assert "the median alone takes at least 110 ms, limit 100 ms" in judgement.text


@pytest.mark.parametrize(("limit", "outcome"), [(0.131, "met"), (0.12, "undecided"), (0.1, "violated")])
def test_a_median_is_judged_by_its_interval(limit: float, outcome: str) -> None:
    assert only(result(latency_seconds=latency()), latency_p50=limit).outcome == outcome


@pytest.mark.parametrize(
    ("require", "outcome"),
    [
        ({"latency_p90": 0.2}, "met"),
        ({"latency_p90": 0.14}, "violated"),
        ({"throughput": 30.0}, "met"),
        ({"throughput": 60.0}, "violated"),
        ({"power": 15.0}, "met"),
        ({"power": 4.0}, "violated"),
        ({"energy": 0.05}, "met"),
        ({"energy": 0.0401}, "undecided"),
        ({"energy": 0.03}, "violated"),
        ({"memory": 64e6}, "met"),
        ({"memory": 32e6}, "violated"),
        ({"size": 1e6}, "met"),
        ({"size": 1e5}, "violated"),
        ({"accuracy": 0.10}, "met"),
        ({"accuracy": 0.25}, "undecided"),
        ({"accuracy": 0.40}, "violated"),
    ],
)
def test_each_requirement_decides(require: dict[str, float], outcome: str) -> None:
    made = result(
        latency_seconds=latency(p90=0.15),
        throughput_per_second=45.0,
        size_bytes=500_000,
        **metered(0.04, 5.0),
    )
    judgement = next(
        one for one in judge_requirements(made, Require(**require)) if one.requirement in require
    )
    assert judgement.outcome == outcome


def test_energy_names_its_scope() -> None:
    assert "(package)" in only(result(**metered(0.04, 5.0)), energy=0.05).text


def test_a_loss_that_may_still_be_small_is_no_collapse() -> None:
    made = result(accuracy_drop=Drop(0.2, 0.05, 0.3))
    assert judge_requirements(made, Require()) == []
