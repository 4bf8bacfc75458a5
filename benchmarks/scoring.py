"""How long does scoring a data set of COCO's size take, with 1,000 resamples for accuracy and drop?

The set is synthetic: as many images, boxes and classes as COCO val2017 (5,000; 36,335 boxes; 80 classes of which
a third of the boxes is one, as `person` is there), sizes as COCO has them (41 % small, 34 % medium, 24 % large),
and 100 detections an image: of each box several that lie more or less well, the rest where nothing is. Beside it,
in the same run, pycocotools' evaluation of one set of detections, without any interval, and the largest difference
between its figures and ours.
Usage: python benchmarks/scoring.py [--images N] [--detections N] [--seed S]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgedyno.controller.lab.scoring.evaluation import Evaluation, scorer_of
from edgedyno.core.result import Detection, ImagePrediction, Predictions

if TYPE_CHECKING:
    from edgedyno.controller.lab.scoring.evaluation import Scored

CLASSES = 80
BOXES_PER_IMAGE = 7.267
NAMES = [f"class {index}" for index in range(CLASSES)]
# Of boxes by size: side lengths in pixels.
SIZES = ((0.41, 6, 32), (0.34, 32, 96), (0.25, 96, 480))


def truth(rng: np.random.Generator, images: int) -> dict[str, Any]:
    """Return labels of COCO's size and statistics; a few classes make up each image, as there."""
    share = 1 / np.arange(1, CLASSES + 1) ** 0.9
    share[0] = share[1:].sum() / 2
    share /= share.sum()
    boxes = []
    for image in range(images):
        count = min(90, int(rng.geometric(1 / (BOXES_PER_IMAGE + 1))) - 1)
        kinds = rng.choice(CLASSES, size=3, p=share)
        for _ in range(count):
            low, high = SIZES[rng.choice(3, p=[size[0] for size in SIZES])][1:]
            width, height = np.exp(rng.uniform(np.log(low), np.log(high), 2)).round(2).tolist()
            x, y = rng.uniform(0, 640 - width * 0.9), rng.uniform(0, 480 - height * 0.9)
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": image,
                    "category_id": 1 + int(rng.choice(kinds)),
                    "bbox": [round(x, 2), round(y, 2), width, height],
                    "area": width * height,
                    "iscrowd": int(rng.random() < 0.01),
                }
            )
    return {
        "images": [{"id": image, "file_name": f"{image}.jpg"} for image in range(images)],
        "annotations": boxes,
        "categories": [{"id": 1 + index, "name": name} for index, name in enumerate(NAMES)],
    }


def guesses(
    rng: np.random.Generator, labels: dict[str, Any], per_image: int, blur: float
) -> list[ImagePrediction]:
    """Return detections: up to four of each box, the further off the less certain, and others anywhere."""
    found: dict[int, list[Detection]] = {image["id"]: [] for image in labels["images"]}
    kinds: dict[int, list[int]] = {image["id"]: [0] for image in labels["images"]}
    for box in labels["annotations"]:
        kinds[box["image_id"]].append(box["category_id"] - 1)
        x, y, width, height = box["bbox"]
        for spread in (blur, 2 * blur, 3 * blur, 4 * blur)[: rng.integers(0, 5)]:
            off = rng.normal(0, spread, 4)
            found[box["image_id"]].append(
                Detection(
                    x + off[0] * width,
                    y + off[1] * height,
                    width * float(np.exp(off[2])),
                    height * float(np.exp(off[3])),
                    float(rng.beta(4, 2) * np.exp(-2 * spread)),
                    box["category_id"] - 1,
                )
            )
    for image, boxes in found.items():
        more = max(0, per_image - len(boxes))
        spots = rng.uniform((0, 0, 8, 8), (560, 400, 240, 240), (more, 4)).tolist()
        index = np.where(
            rng.random(more) < 0.5, rng.choice(kinds[image], more), rng.integers(0, CLASSES, more)
        )
        scores = rng.beta(1, 8, more)
        boxes += [
            Detection(*spot, float(score), int(kind))
            for spot, score, kind in zip(spots, scores, index, strict=True)
        ]
    return [ImagePrediction(image, detections=boxes[:per_image]) for image, boxes in found.items()]


def plain(labels: dict[str, Any], images: list[ImagePrediction]) -> tuple[float, list[float]]:
    """Return the seconds that pycocotools takes to evaluate once, and its first six figures."""
    found = [
        {
            "image_id": image.image_id,
            "category_id": 1 + box.class_index,
            "bbox": [box.x, box.y, box.width, box.height],
            "score": box.score,
        }
        for image in images
        for box in image.detections
    ]
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = labels
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return time.perf_counter() - began, evaluation.stats[:6].tolist()


def figures(scored: Scored) -> list[float]:
    """Return ours in pycocotools' order."""
    names = ("mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large")
    return [scored.accuracy.value, *(scored.accuracy.details[name] for name in names)]


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make the set, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="an image")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    labels = truth(rng, options.images)
    annotations = msgspec.json.encode(labels)
    sets = [guesses(rng, labels, options.detections, blur) for blur in (0.08, 0.1)]
    fp32, int8 = (
        Predictions(name * 64, "onnxruntime", "c" * 64, images)
        for name, images in zip("ab", sets, strict=True)
    )
    boxes, detections = len(labels["annotations"]), sum(len(image.detections) for image in sets[0])
    print(
        f"synthetic: {options.images} images, {boxes} boxes, {CLASSES} classes, {detections} detections a variant"
    )
    before = peak_mib()
    began = time.perf_counter()
    evaluation = Evaluation(scorer_of("detect", annotations, NAMES), range(options.images))
    prepared = time.perf_counter() - began
    reference = evaluation.scored(fp32)
    first = time.perf_counter() - began
    ours = evaluation.scored(int8)
    found = evaluation.compare(ours, reference)
    seconds = time.perf_counter() - began
    peak = peak_mib()
    theirs, expected = plain(labels, sets[0])
    print(f"accuracy {found.accuracy.value:.4f} [{found.accuracy.low:.4f}, {found.accuracy.high:.4f}]")
    if found.drop is not None:
        print(
            f"drop {found.drop.value:.4f} [{found.drop.low:.4f}, {found.drop.high:.4f}], {len(found.drop.classes)} classes"
        )
    print(
        f"labels and resamples {prepared:.1f} s; FP32 {first - prepared:.1f} s; each further variant {seconds - first:.1f} s"
    )
    print(
        f"FP32 and one variant with 1,000 resamples each: {seconds:.1f} s; pycocotools, one set, no interval: {theirs:.1f} s"
    )
    print(
        f"ratio {seconds / theirs:.2f}; peak memory {peak:.0f} MiB, of which {before:.0f} MiB before scoring"
    )
    worst = max(abs(a - b) for a, b in zip(figures(reference), expected, strict=True))
    print(f"largest difference of six figures to pycocotools: {worst:.1e}")


if __name__ == "__main__":
    main()
