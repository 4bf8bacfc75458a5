"""How far two predictions of an image differ, on made ones whose difference is known."""

from __future__ import annotations

import pytest

from edgedyno.agent.measure.difference import Difference, difference
from edgedyno.core.profile import OutputSpec
from edgedyno.core.result import Detection, ImagePrediction

SPEC = OutputSpec(decoder="yolox", score_threshold=0.005, max_detections=3)
CAT = Detection(10, 10, 50, 40, 0.9, 1)
DOG = Detection(200, 10, 50, 40, 0.8, 2)


def moved(box: Detection, *, by: float = 0.0, score: float = 0.0) -> Detection:
    return Detection(box.x + by, box.y, box.width, box.height, box.score + score, box.class_index)


def between(one: list[Detection], other: list[Detection]) -> tuple[float, float]:
    found = difference(ImagePrediction(1, one), ImagePrediction(1, other), SPEC)
    return found.score, found.box_pixels


def test_the_same_differs_by_nothing() -> None:
    assert between([CAT, DOG], [CAT, DOG]) == (0, 0)


def test_the_order_does_not_matter() -> None:
    assert between([CAT, DOG], [DOG, CAT]) == (0, 0)


def test_the_largest_of_scores_and_places_count_apart() -> None:
    found = between([CAT, DOG], [moved(CAT, by=2, score=-0.1), moved(DOG, by=-3, score=0.05)])
    assert found == pytest.approx((0.1, 3))


def test_a_box_that_one_lacks_counts_with_all_of_its_score() -> None:
    assert between([CAT, DOG], [CAT]) == between([CAT], [CAT, DOG]) == pytest.approx((0.795, 0))
    assert between([CAT], []) == pytest.approx((0.895, 0))


def test_beyond_a_full_list_nothing_can_be_missed() -> None:
    """The other's fourth box, with 0.69 at most, had no room."""
    full = [CAT, DOG, moved(DOG, by=100, score=-0.1)]
    assert between([*full[:2], moved(CAT, by=200, score=-0.19)], full) == pytest.approx((0.01, 0))


def test_another_class_or_place_is_no_partner() -> None:
    other_class = Detection(CAT.x, CAT.y, CAT.width, CAT.height, CAT.score, 5)
    assert between([CAT], [other_class])[0] == pytest.approx(0.895)
    assert between([CAT], [moved(CAT, by=40)])[0] == pytest.approx(0.895)


def test_a_box_is_used_once() -> None:
    assert between([CAT, moved(CAT, by=1, score=-0.5)], [CAT])[0] == pytest.approx(0.395)


def test_an_error_of_one_alone_is_as_far_as_can_be() -> None:
    broken = ImagePrediction(1, error="output.not-a-number: NaN")
    assert difference(broken, ImagePrediction(1, []), SPEC) == Difference(score=1.0)
    assert difference(broken, broken, SPEC) == Difference()


def test_classes_beyond_the_best_have_the_least_score_at_most() -> None:
    one = ImagePrediction(1, classes=[(3, 0.7), (5, 0.2)])
    other = ImagePrediction(1, classes=[(3, 0.6), (8, 0.3)])
    assert difference(one, other, SPEC).score == pytest.approx(0.1)
    turned = ImagePrediction(1, classes=[(5, 0.7), (3, 0.2)])
    assert difference(one, turned, SPEC).score == pytest.approx(0.5)
