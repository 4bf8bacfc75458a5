"""Do the intervals of accuracy and drop hold? Samples of images from simulated populations with known scores.

A population is 20,000 images with boxes of some classes, unlike in how hard images and classes are, what FP32 finds
in them, and what a variant finds: FP32's detections moved, their scores shifted, some lost. What the population
scores as a whole is the truth. Each trial draws some of its images and asks for the 95 % intervals.
`bias` is how much higher the mean score of the samples is: mAP reads higher on few images.
Usage: python benchmarks/bootstrap_coverage.py [--trials N] [--images N ...] [--classes N] [--seed S]
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.controller.lab.scoring.bootstrap import Bootstrap
from edgedyno.controller.lab.scoring.detections import Detections
from edgedyno.controller.lab.scoring.halves import Halves
from edgedyno.controller.lab.scoring.matching import Labels, match
from edgedyno.controller.lab.scoring.precision import average_precisions, mean_over_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedyno.controller.lab.scoring.matching import ClassMatches
    from edgedyno.controller.lab.scoring.scorer import Resampling

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

POPULATION = 20_000
SIZES = (17, 70, 140, 500)
FALSE_PER_IMAGE = 20


class Population(NamedTuple):
    """What FP32 and the variant find in all images, matched to the labels, and what they score."""

    fp32: list[ClassMatches]
    variant: list[ClassMatches]
    size: int
    accuracy: float
    drop: float


class Row(NamedTuple):
    """What came of the trials of one quantity and size."""

    below: int
    """The truth lies below the interval."""
    above: int
    none: int
    """There was no interval."""
    trials: int
    half_width: float
    bias: float

    @property
    def covered(self) -> float:
        """Return the share of intervals that hold the truth, of those that there are."""
        return 1 - (self.below + self.above) / max(1, self.trials - self.none)


def detection_population(rng: np.random.Generator, *, classes: int, size: int = POPULATION) -> Population:
    """Return images with three kinds of objects each, as COCO's have, and what is found in them."""
    share = 1 / np.arange(1, classes + 1) ** 0.9
    kinds = rng.choice(classes, size=(size, 3), p=share / share.sum())
    image = np.repeat(np.arange(size), np.minimum(40, rng.geometric(1 / 8.3, size) - 1))
    class_index = kinds[image, rng.integers(0, 3, len(image))]
    side = np.exp(rng.uniform(np.log(10), np.log(300), (len(image), 2)))
    box = np.hstack([rng.uniform(0, 1, side.shape) * (np.array([640, 480]) - side * 0.8), side])
    labels = Labels(image, class_index, box, np.zeros(len(image), dtype=bool)).ordered()
    skill, missed = rng.uniform(0.02, 0.09, classes), rng.uniform(0.1, 0.5, classes)
    tries = rng.integers(1, 3, len(image)) * (rng.random(len(image)) > missed[class_index])
    of = np.repeat(np.arange(len(image)), tries)
    hardness = np.exp(rng.normal(0, 0.3, size))
    spread = skill[class_index[of]] * hardness[image[of]] * rng.choice([1, 2], len(of))
    off = rng.normal(0, 1, (len(of), 4)) * spread[:, None]
    score = rng.beta(4, 2, len(of)) * np.exp(-3 * spread)
    false = _false_detections(rng, kinds, classes)
    both = []
    for noise, lost in ((0.0, 0.0), (0.035, 0.05)):
        kept = rng.random(len(of)) >= lost
        moved = (off + rng.normal(0, 1, off.shape) * noise)[kept]
        shifted = np.clip(score * np.exp(rng.normal(0, 1, len(score)) * noise * 4), 0, 1)[kept]
        at = box[of[kept]]
        near = np.hstack([at[:, :2] + moved[:, :2] * at[:, 2:], at[:, 2:] * np.exp(moved[:, 2:])])
        found = Detections(
            np.concatenate([image[of[kept]], false.image]),
            np.concatenate([class_index[of[kept]], false.class_index]),
            np.vstack([near, false.box]),
            np.concatenate([shifted, false.score * np.exp(rng.normal(0, 1, len(false.score)) * noise * 4)]),
        )
        both.append(match(found, labels))
    once = np.ones((size, 1), dtype=np.int32)
    first, second = (float(_scores(one, once)[0]) for one in both)
    return Population(both[0], both[1], size, first, first - second)


def _false_detections(rng: np.random.Generator, kinds: Ints, classes: int) -> Detections:
    count = FALSE_PER_IMAGE * len(kinds)
    image = rng.integers(0, len(kinds), count)
    likely = kinds[image, rng.integers(0, 3, count)]
    index = np.where(rng.random(count) < 0.5, likely, rng.integers(0, classes, count))
    box = rng.uniform((0, 0, 8, 8), (560, 400, 240, 240), (count, 4))
    return Detections(image, index, box, 0.6 * rng.beta(1, 8, count))


def _scores(matches: list[ClassMatches], counts: NDArray[np.int32]) -> Floats:
    return mean_over_classes(average_precisions(matches, counts))


def sample(matches: list[ClassMatches], chosen: Ints, size: int) -> list[ClassMatches]:
    """Return the matches in some of the images."""
    place = np.full(size, -1)
    place[chosen] = np.arange(len(chosen))
    found = []
    for one in matches:
        boxes = place[one.box_image]
        kept = place[one.image] >= 0
        if (boxes >= 0).any():
            found.append(
                one._replace(
                    image=place[one.image[kept]],
                    hit=one.hit[:, kept],
                    ignored=one.ignored[:, kept],
                    box_image=boxes[boxes >= 0],
                )
            )
    return found


def detection_rows(rng: np.random.Generator, of: Population, images: int, trials: int) -> list[Row]:
    """Return how often the intervals of mAP and of its drop hold the truth."""
    halves = Halves(images)
    counts = np.concatenate([halves.counts, np.ones((images, 1), dtype=np.int32)], axis=1)
    seen = []
    for _ in range(trials):
        chosen = rng.choice(of.size, images, replace=False)
        fp32 = _scores(sample(of.fp32, chosen, of.size), counts)
        seen.append((fp32, fp32 - _scores(sample(of.variant, chosen, of.size), counts)))
    return [
        _row([one[0] for one in seen], of.accuracy, halves, images, is_drop=False),
        _row([one[1] for one in seen], of.drop, halves, images, is_drop=True),
    ]


def class_rows(rng: np.random.Generator, images: int, trials: int) -> list[Row]:
    """Return the same for top-1: FP32 is right in 70 %, the variant in 67 %, mostly on the same images."""
    bootstrap = Bootstrap(images)
    total = bootstrap.counts.sum(axis=0)
    seen = []
    for _ in range(trials):
        luck, change = rng.random(images), rng.random(images)
        fp32 = luck < 0.7
        variant = np.where(fp32, change >= 0.08, change < 0.0866667)
        values = [right.astype(float) for right in (fp32, variant)]
        scores = [np.append(value @ bootstrap.counts / total, value.mean()) for value in values]
        seen.append((scores[0], scores[0] - scores[1]))
    truth = 0.7 - (0.7 * 0.92 + 0.3 * 0.0866667)
    return [
        _row([one[0] for one in seen], 0.7, bootstrap, images, is_drop=False),
        _row([one[1] for one in seen], truth, bootstrap, images, is_drop=True),
    ]


def _row(values: list[Floats], truth: float, resampling: Resampling, images: int, *, is_drop: bool) -> Row:
    """Judge the intervals; the last value of each is that of the sample as it is."""
    bounds_of = resampling.bounds_of_difference if is_drop else resampling.bounds
    bounds = [bounds_of(float(one[-1]), one[:-1], images) for one in values]
    known = [one for one in bounds if one is not None]
    return Row(
        below=sum(truth < low for low, _ in known),
        above=sum(truth > high for _, high in known),
        none=len(bounds) - len(known),
        trials=len(bounds),
        half_width=float(np.mean([(high - low) / 2 for low, high in known])) if known else 0.0,
        bias=float(np.mean([one[-1] for one in values])) - truth,
    )


def _print(name: str, images: int, rows: list[Row]) -> None:
    for quantity, row in zip(("accuracy", "drop"), rows, strict=True):
        print(
            f"{name:24} {images:5} images  {quantity:8}  covered {row.covered:6.1%}  truth below {row.below:3} "
            f"above {row.above:3} of {row.trials}, {row.none} without  ±{row.half_width:.4f}  bias {row.bias:+.4f}",
            flush=True,
        )


def main() -> None:
    """Print a row for each population, size and quantity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--images", type=int, nargs="+", default=SIZES)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    population = detection_population(rng, classes=options.classes)
    print(f"mAP of {options.classes} classes: truth {population.accuracy:.4f}, drop {population.drop:.4f}")
    for images in options.images:
        _print("top-1", images, class_rows(rng, images, options.trials))
        _print("mAP50-95", images, detection_rows(rng, population, images, options.trials))


if __name__ == "__main__":
    main()
