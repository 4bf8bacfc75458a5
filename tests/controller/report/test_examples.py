from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import pytest

from edgedyno.controller.lab.report import Section, judge_and_render, render_report
from edgedyno.controller.lab.report.examples.changes import compare, compare_classes
from edgedyno.controller.lab.report.examples.gallery import Budget, make_gallery
from edgedyno.controller.lab.report.examples.labels import Labels
from edgedyno.controller.lab.report.examples.pictures import LONGEST_SIDE, shrink
from edgedyno.core.job import Require
from edgedyno.core.manifest import ArtifactRef, Image, ResolvedJob
from edgedyno.core.profile import DatasetProfile
from edgedyno.core.result import Detection, ImagePrediction, Predictions, Result
from tests.controller.report.test_report import Page, resolved_job
from tests.controller.synthetic import SWEEP, Lab

if TYPE_CHECKING:
    from collections.abc import Sequence

CAT = Detection(10, 10, 50, 40, 0.9, 0)
DOG = Detection(100, 80, 60, 60, 0.8, 1)


def keep(lab: Lab, data: bytes) -> str:
    sha = hashlib.sha256(data).hexdigest()
    lab.artifacts[sha] = data
    return sha


def jpeg(lab: Lab, seed: int, size: tuple[int, int] = (240, 320)) -> ArtifactRef:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    data = cv2.imencode(".jpg", cv2.GaussianBlur(pixels, (0, 0), 9))[1].tobytes()
    return ArtifactRef(keep(lab, data), len(data), f"{seed}.jpg")


def pictured_job(
    lab: Lab, results: Sequence[Result], resolved: ResolvedJob, *, images: int = 8
) -> tuple[ResolvedJob, list[Result]]:
    """Give a job images, labels and predictions: INT8 loses the dog, and more of the cat's score in each image."""
    shown = [Image(number, jpeg(lab, number)) for number in range(images)]
    coco = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "credit": "a/b.jpg, Attribution License"} for i in range(images)],
        "annotations": [
            {"id": i * 2 + at, "image_id": i, "category_id": at + 1, "bbox": list(box)[:4], "area": 1.0}
            for i in range(images)
            for at, box in enumerate([(10, 10, 50, 40), (100, 80, 60, 60)])
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog <b>"}],
    }  # fmt: skip
    annotations = ArtifactRef(keep(lab, msgspec.json.encode(coco)), 1, "labels.json")
    made = msgspec.structs.replace(
        resolved,
        images=shown,
        annotations=annotations,
        class_names=["cat", "dog <b>"],
        dataset=DatasetProfile(name="pets", task="detect", images="images", licence="CC BY 2.0"),
    )
    predictions = {name: keep(lab, _predictions(name, images)) for name in ("fp32", "fp16", "int8")}
    return made, [
        msgspec.structs.replace(one, predictions_sha256=predictions[one.precision]) for one in results
    ]


def _predictions(precision: str, images: int) -> bytes:
    faded = [msgspec.structs.replace(CAT, score=0.9 - 0.05 * i) for i in range(images)]
    seen = [ImagePrediction(i, [faded[i]] if precision == "int8" else [CAT, DOG]) for i in range(images)]
    return msgspec.json.encode(Predictions("0" * 64, "onnxruntime", "1" * 64, seen))


@pytest.fixture
def lab() -> Lab:
    return Lab(blocks=12)


def made(lab: Lab, **options: int) -> tuple[ResolvedJob, list[Result]]:
    return pictured_job(lab, lab.results(*SWEEP), resolved_job(Require()), **options)


def test_the_most_changed_images_come_first_with_boxes_names_and_credits(lab: Lab) -> None:
    resolved, results = made(lab)
    page = judge_and_render([(results, resolved)], read=lab.read)
    Page(page)
    figures = re.findall(r'<figure class="example">.*?</figure>', page, flags=re.DOTALL)
    captions = [figure.partition("figcaption")[2] for figure in figures]
    assert [re.findall(r"(\d+)\.jpg", caption)[0] for caption in captions] == list("765432")
    first = figures[0]
    assert first.count("<image ") == 1
    assert first.count("<use ") == 2
    assert "dog &lt;b&gt; 0.80" in first
    assert 'class="lost"' in first
    assert "1 kept, 1 lost, 0 new" in first
    assert "1 of 2 labelled objects found, 0 boxes on none" in first
    assert "Attribution License" in first
    assert "FP16 finds the same objects as FP32 in all 8 images" in page
    assert "Licence of the images: CC BY 2.0." in page


def test_images_can_be_left_out(lab: Lab) -> None:
    resolved, results = made(lab)
    page = judge_and_render([(results, resolved)], read=lab.read, images=False)
    assert "data:image" not in page
    assert "Images of the data set were left out on request." in page


def test_an_image_that_cannot_be_read_is_said_and_the_next_takes_its_place(lab: Lab) -> None:
    resolved, results = made(lab)
    lab.artifacts[resolved.images[7].file.sha256] = b"no image"
    del lab.artifacts[resolved.images[6].file.sha256]
    page = judge_and_render([(results, resolved)], read=lab.read)
    assert page.count('class="example"') == 6
    assert "2 images cannot be shown: 7.jpg: " in page


def test_the_budget_bounds_the_page(lab: Lab) -> None:
    resolved, results = made(lab)
    labels = Labels.of(resolved, lab.read)
    gallery = make_gallery(
        results, resolved, labels, runtime=None, read=lab.read, budget=Budget(12_000), key="k"
    )
    assert gallery is not None
    assert 0 < len(gallery.examples) < 6
    assert "Further images are left out to keep the page small." in gallery.notes


def test_the_same_predictions_of_another_board_are_shown_once(lab: Lab) -> None:
    resolved, results = made(lab)
    there = [msgspec.structs.replace(one, board="b2", execution="j.b2") for one in results]
    page = judge_and_render([([*results, *there], resolved)], read=lab.read)
    assert page.count("What FP32 and the variants see in the same images") == 1


def test_without_labels_or_predictions_the_page_goes_without(lab: Lab) -> None:
    resolved, results = made(lab)
    unlabelled = msgspec.structs.replace(resolved, annotations=None)
    page = judge_and_render([(results, unlabelled)], read=lab.read)
    assert page.count('class="example"') == 6
    assert "labelled objects" not in page
    bare = [msgspec.structs.replace(one, predictions_sha256="f" * 64) for one in results]
    page = render_report([Section([], bare, resolved)], read=lab.read)
    assert 'class="example"' not in page


def test_what_changed_between_two_predictions() -> None:
    moved = Detection(14, 10, 50, 40, 0.6, 0)
    other = Detection(200, 200, 20, 20, 0.5, 1)
    change = compare(ImagePrediction(1, [CAT, DOG]), ImagePrediction(1, [moved, other]))
    assert [(mark.kind, mark.detection) for mark in change.marks] == [
        ("kept", moved),
        ("lost", DOG),
        ("new", other),
    ]
    assert change.amount == pytest.approx(0.3 + 0.8 + 0.5)
    assert (change.kept, change.lost, change.new) == (1, 1, 1)


def test_faint_detections_count_nowhere_but_as_what_faded() -> None:
    faint = Detection(10, 10, 50, 40, 0.1, 0)
    assert compare(ImagePrediction(1, [faint]), ImagePrediction(1, [])).amount == 0
    faded = compare(ImagePrediction(1, [CAT]), ImagePrediction(1, [faint]))
    assert faded.lost == 1
    assert faded.amount == pytest.approx(0.8)


def test_another_best_class_is_the_largest_change() -> None:
    ours, theirs = [(1, 0.6), (2, 0.4)], [(2, 0.6), (1, 0.4)]
    same = compare_classes(ImagePrediction(1, classes=ours), ImagePrediction(1, classes=ours))
    turned = compare_classes(ImagePrediction(1, classes=theirs), ImagePrediction(1, classes=ours))
    assert same.amount == 0
    assert turned.amount == pytest.approx(1.4)


def test_images_of_any_size_become_small_ones(lab: Lab) -> None:
    tall = shrink(lab.read(jpeg(lab, 1, (2000, 60)).sha256))
    assert (tall.width, tall.height) == (60, 2000)
    assert len(tall.data_uri) < 60 * LONGEST_SIDE
