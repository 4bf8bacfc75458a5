"""Corners of suppression; that it is the plain rule is tested through the decoders."""

from __future__ import annotations

import numpy as np

from edgedyno.core.profile import OutputSpec
from edgedyno.core.vision.geometry import Geometry
from edgedyno.core.vision.suppression import CHUNK, Candidates, suppress

GEOMETRY = Geometry(100, 90, 200, 180, 2.0, 2.0, 3.0, 1.0)


def test_scores_that_tie_keep_the_order_of_the_model() -> None:
    boxes = np.array([[10, 10, 4, 4], [50, 50, 4, 4], [10, 10, 4, 4]], np.float32)
    scores = np.full((3, 1), 0.5, np.float32)
    found = suppress(Candidates(boxes, scores), OutputSpec(decoder="yolox"), GEOMETRY)
    assert [each.x for each in found] == [2.5, 22.5]


def test_nothing_above_the_threshold_is_nothing() -> None:
    none = Candidates(np.ones((5, 4), np.float32), np.zeros((5, 3), np.float32))
    assert suppress(none, OutputSpec(decoder="yolox"), GEOMETRY) == []


def test_boxes_of_one_class_in_later_chunks_meet_those_that_were_kept() -> None:
    count = 3 * CHUNK
    boxes = np.tile(np.array([[50, 50, 20, 20]], np.float32), (count, 1))
    scores = np.linspace(0.9, 0.1, count, dtype=np.float32)[:, None]
    assert len(suppress(Candidates(boxes, scores), OutputSpec(decoder="yolox"), GEOMETRY)) == 1
