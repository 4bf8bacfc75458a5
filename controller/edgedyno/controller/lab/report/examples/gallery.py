"""Which images are shown of a job on one board, and what is said beneath each.

The images are the data set's; whoever must not show them leaves them out (`Budget(0)`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.report.examples import pictures
from edgedyno.controller.lab.report.examples.changes import Mark, compare, compare_classes, shown
from edgedyno.controller.lab.verdict.labels import precision_in_words
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.predictions import read_predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.report.examples.changes import Change
    from edgedyno.controller.lab.report.examples.labels import Labels
    from edgedyno.core.manifest import Image, ResolvedJob
    from edgedyno.core.result import ImagePrediction, Result

MAX_IMAGES = 6
MAX_VARIANTS = 3
MAX_CLASSES = 3
# Of an image: score shifts that add up to less are not worth a picture.
LEAST_CHANGE = 0.02
PAGE_BYTES = 1_500_000
"""For all images of a page together."""


@dataclass
class Budget:
    """Bytes that are left for images on the page; it is spent as galleries are made."""

    left: int = PAGE_BYTES
    shown: set[tuple[str, ...]] = field(default_factory=set)
    """Predictions that are on the page already, such as those of another board."""


class Panel(NamedTuple):
    """What one variant sees in an image."""

    name: str
    precision: str
    picture: Markup
    words: list[str]


class Example(NamedTuple):
    """One image with a panel for FP32 and each variant."""

    name: str
    image_id: int
    store: Markup
    panels: list[Panel]
    credit: str
    label: str
    """The class that the image is labelled with, where whole images are."""


@dataclass(frozen=True)
class Gallery:
    """The images of one board, and what is said of those that are not here."""

    examples: list[Example]
    reference: str
    """What was compared with, such as `FP32 on onnxruntime`."""
    notes: list[str]
    licence: str
    labelled: bool
    detects: bool


class _Seen(NamedTuple):
    result: Result
    by_image: dict[int, ImagePrediction]


def make_gallery(
    results: Sequence[Result],
    resolved: ResolvedJob,
    labels: Labels,
    *,
    runtime: str | None,
    read: Callable[[str], bytes],
    budget: Budget,
    key: str,
) -> Gallery | None:
    """Choose the images that change most and draw them; None where there is nothing to compare.

    `runtime` is the one that is preferred, that of the trial the verdict is about.
    """
    if budget.left <= 0 or not resolved.images:
        return None
    seen = _variants(results, runtime, read)
    shas = tuple(str(one.result.predictions_sha256) for one in seen)
    if len(seen) <= 1 or shas in budget.shown:
        return None
    budget.shown.add(shas)
    return _Maker(seen, resolved, labels, read, budget, key).gallery()


def _variants(results: Sequence[Result], runtime: str | None, read: Callable[[str], bytes]) -> list[_Seen]:
    """Return FP32 and what there is beside it on one runtime, FP32 first."""
    by_runtime: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.status == "ok" and result.predictions_sha256:
            by_runtime.setdefault(result.runtime, {}).setdefault(precision_in_words(result), result)
    usable = {
        name: found
        for name, found in by_runtime.items()
        if len(found) > 1 and any(one.precision == "fp32" for one in found.values())
    }
    if not usable:
        return []
    chosen = runtime if runtime in usable else max(usable, key=lambda name: len(usable[name]))
    found = sorted(usable[chosen].values(), key=lambda one: ("fp32", "int8", "fp16").index(one.precision))
    seen = [_Seen(result, images) for result in found if (images := _read(result, read))]
    if not seen or seen[0].result.precision != "fp32":
        return []
    return seen[: MAX_VARIANTS + 1]


def _read(result: Result, read: Callable[[str], bytes]) -> dict[int, ImagePrediction]:
    try:
        predictions = read_predictions(read(str(result.predictions_sha256)))
    except (EdgedynoError, OSError, KeyError, msgspec.MsgspecError):
        return {}
    return {image.image_id: image for image in predictions.images}


class _Maker:
    """One gallery while it is made."""

    def __init__(
        self,
        seen: list[_Seen],
        resolved: ResolvedJob,
        labels: Labels,
        read: Callable[[str], bytes],
        budget: Budget,
        key: str,
    ) -> None:
        self._reference, *self._others = seen
        self._resolved, self._labels, self._read = resolved, labels, read
        self._budget, self._key = budget, key
        self._detects = resolved.model.task == "detect"
        self._notes: list[str] = []

    def gallery(self) -> Gallery:
        """Return the examples and what is to be said."""
        ranked = self._ranked()
        examples: list[Example] = []
        unreadable: list[str] = []
        for image, changes in ranked:
            if len(examples) == MAX_IMAGES:
                break
            try:
                thumbnail = pictures.shrink(self._read(image.file.sha256))
            except (EdgedynoError, OSError, KeyError) as error:
                unreadable.append(say("{image}: {reason}", image=_name(image), reason=retell(str(error))))
                continue
            if len(thumbnail.data_uri) > self._budget.left:
                self._notes.append(say("Further images are left out to keep the page small."))
                self._budget.left = 0
                break
            self._budget.left -= len(thumbnail.data_uri)
            examples.append(self._example(image, changes, thumbnail, len(examples)))
        self._explain(ranked, examples, unreadable)
        dataset = self._resolved.dataset
        return Gallery(
            examples=examples,
            reference=say("FP32 on {runtime}", runtime=self._reference.result.runtime),
            notes=self._notes,
            licence=(dataset.licence or "") if dataset else "",
            labelled=self._labels.known,
            detects=self._detects,
        )

    def _ranked(self) -> list[tuple[Image, list[Change]]]:
        """Return the images that change, the most changed first, with the change of each variant."""
        compare_one = compare if self._detects else compare_classes
        rows = []
        for image in self._resolved.images:
            theirs = self._reference.by_image.get(image.id)
            ours = [other.by_image.get(image.id) for other in self._others]
            if theirs is None or None in ours:
                continue
            changes = [compare_one(theirs, one) for one in ours if one is not None]
            rows.append((image, changes))
        rows.sort(key=lambda row: -max(change.amount for change in row[1]))
        self._drop_the_unchanged(rows)
        return [row for row in rows if row[1] and max(one.amount for one in row[1]) >= LEAST_CHANGE]

    def _drop_the_unchanged(self, rows: list[tuple[Image, list[Change]]]) -> None:
        """Leave out variants that find what FP32 finds in every image: a column of equal pictures tells nothing."""
        for place in reversed(range(len(self._others))):
            ours = [changes[place] for _, changes in rows]
            most = max((change.amount for change in ours), default=0.0)
            if most >= LEAST_CHANGE and any(change.lost or change.new for change in ours):
                continue
            other = self._others.pop(place)
            for _, changes in rows:
                changes.pop(place)
            words = {"variant": precision_in_words(other.result), "count": len(rows), "shift": f"{most:.3f}"}
            self._notes.append(
                say(
                    "{variant} finds the same objects as FP32 in all {count} images; its scores shift by at most "
                    "{shift} in all in one image.",
                    **words,
                )
                if self._detects
                else say(
                    "{variant} puts the same class first as FP32 in all {count} images; its probabilities shift by at "
                    "most {shift} in all in one image.",
                    **words,
                )
            )

    def _example(
        self, image: Image, changes: list[Change], thumbnail: pictures.Thumbnail, number: int
    ) -> Example:
        key = f"{self._key}-image{number}"
        first = self._reference.by_image[image.id]
        panels = [self._panel(self._reference, first, None, thumbnail, key)]
        panels += [
            self._panel(other, other.by_image[image.id], change, thumbnail, key)
            for other, change in zip(self._others, changes, strict=True)
        ]
        credit = self._labels.credit(image.id)
        index = self._labels.classes.get(image.id)
        label = "" if index is None else pictures.name_of(index, self._resolved.class_names)
        return Example(_name(image), image.id, pictures.define(thumbnail, key), panels, credit, label)

    def _panel(
        self,
        seen: _Seen,
        prediction: ImagePrediction,
        change: Change | None,
        thumbnail: pictures.Thumbnail,
        key: str,
    ) -> Panel:
        marks = [Mark("kept", one) for one in shown(prediction)] if change is None else change.marks
        words = self._words(prediction, change)
        name = precision_in_words(seen.result)
        names = self._resolved.class_names
        spoken = say(", ").join(_mark_in_words(mark, names) for mark in marks) or say("nothing found")
        if not self._detects:
            spoken = say(", ").join(words)
        label = say("{variant}: {text}", variant=name, text=spoken)
        return Panel(
            name, seen.result.precision, pictures.draw_panel(thumbnail, key, marks, names, label), words
        )

    def _words(self, prediction: ImagePrediction, change: Change | None) -> list[str]:
        if prediction.error is not None:
            return [say("no prediction: {reason}", reason=retell(prediction.error))]
        if not self._detects:
            names = self._resolved.class_names
            return [
                f"{pictures.name_of(index, names)} {share:.2f}"
                for index, share in prediction.classes[:MAX_CLASSES]
            ]
        words = []
        if change is not None:
            words.append(
                say(
                    "{kept} kept, {lost} lost, {new} new",
                    kept=change.kept,
                    lost=change.lost,
                    new=change.new,
                )
            )
        if self._labels.known:
            found, objects, wrong = self._labels.found(prediction.image_id, shown(prediction))
            words.append(
                say(
                    "{found} of {objects} labelled objects found, {wrong} boxes on none",
                    found=found,
                    objects=objects,
                    wrong=wrong,
                )
            )
        return words

    def _explain(
        self, ranked: list[tuple[Image, list[Change]]], examples: list[Example], unreadable: list[str]
    ) -> None:
        if unreadable:
            self._notes.append(
                say(
                    "{count} images cannot be shown: {reasons}.",
                    count=len(unreadable),
                    reasons=say("; ").join(unreadable[:MAX_IMAGES]),
                )
            )
        if examples and len(ranked) > len(examples):
            self._notes.append(
                say(
                    "{shown} of {count} images that change are shown.",
                    shown=len(examples),
                    count=len(ranked),
                )
            )


def _name(image: Image) -> str:
    return image.file.name or str(image.id)


def _mark_in_words(mark: Mark, names: Sequence[str]) -> str:
    label = pictures.label_of(mark, names)
    if mark.kind == "lost":
        return say("{label} (lost)", label=label)
    return say("{label} (new)", label=label) if mark.kind == "new" else label
