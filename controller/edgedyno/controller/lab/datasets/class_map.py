"""Which class of the model each class of a data set is: by name, by number, or by position."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.imagenet import are_wnids
from edgedyno.controller.lab.datasets.yolo import report_indices
from edgedyno.controller.lab.profiles import packaged
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets.base import Labelled
    from edgedyno.controller.lab.datasets.findings import Findings

# VOC's names (Development Kit 2012, section 2) of classes that COCO has under others.
_VOC_AS_COCO = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
_NAMED = 3
_MAX_CLASSES = 100_000


class Classes(Struct, frozen=True):
    """The data set's classes as they are scored."""

    names: list[str]
    """The model's name of each, or its own where the model has none such."""
    indices: list[int | None]
    """The model's index of each."""
    ids: list[int]


def map_classes(labelled: Labelled, model: list[str] | None, findings: Findings) -> Classes:
    """Match the data set's classes to the model's; without a model they are their own.

    Raises ConfigError (dataset.classes) when none of them is one of the model's.
    """
    used = Counter(label.class_index for entry in labelled.entries for label in entry.labels)
    own = labelled.class_names
    if own is None:
        return _by_index(labelled, model, used, findings)
    ids = labelled.category_ids or [index + 1 for index in range(len(own))]
    if model is None:
        return Classes(own, list(range(len(own))), ids)
    indices = _matched(own, model, findings)
    names = [name if index is None else model[index] for name, index in zip(own, indices, strict=True)]
    if own and all(index is None for index in indices):
        raise ConfigError(
            f"none of the model's classes ({_some(model)}) is a class of the data set ({_some(own)})",
            code="dataset.classes",
        )
    _report(own, indices, model, used, labelled, findings)
    return Classes(names, indices, ids)


def _by_index(labelled: Labelled, model: list[str] | None, used: Counter[int], findings: Findings) -> Classes:
    if model is None:
        numbers = [str(index) for index in range(min(max(used, default=0) + 1, _MAX_CLASSES))]
        return Classes(numbers, list(range(len(numbers))), [index + 1 for index in range(len(numbers))])
    labels = [(label.class_index, label.place) for entry in labelled.entries for label in entry.labels]
    report_indices(labels, len(model), findings)
    absent = [name for index, name in enumerate(model) if not used[index]]
    if used:
        findings.add("dataset.class-without-label", *absent)
    indices: list[int | None] = list(range(len(model)))
    return Classes(model, indices, [index + 1 for index in range(len(model))])


def _matched(own: list[str], model: list[str], findings: Findings) -> list[int | None]:
    by_name = {name: index for index, name in enumerate(model)}
    found = [by_name.get(name) for name in own]
    if all(index is None for index in found):
        return _without_names(own, model, findings)
    taken = set(found)
    folded = {_fold(name): index for name, index in by_name.items() if index not in taken}
    for position, name in enumerate(own):
        if found[position] is None:
            index = folded.pop(_fold(_VOC_AS_COCO.get(name, name)), None)
            if index is not None:
                found[position] = index
                findings.add("dataset.class-respelled", f"{name} as {model[index]}")
    return found


def _without_names(own: list[str], model: list[str], findings: Findings) -> list[int | None]:
    """Match classes of which not one is spelled as the model's is."""
    folded = {_fold(name): index for index, name in reversed(list(enumerate(model)))}
    respelled = [folded.get(_fold(_VOC_AS_COCO.get(name, name))) for name in own]
    if any(index is not None for index in respelled):
        pairs = zip(own, respelled, strict=True)
        findings.add(
            "dataset.class-respelled", *(f"{name} as {model[at]}" for name, at in pairs if at is not None)
        )
        return respelled
    if all(name.isascii() and name.isdigit() for name in own):
        return [int(name) if int(name) < len(model) else None for name in own]
    if are_wnids(own) and len(model) == len(_wnids()):
        indices = {wnid: index for index, wnid in enumerate(_wnids())}
        return [indices.get(name) for name in own]
    if len(own) == len(model) and all(name.isdigit() for name in model):
        findings.add("dataset.class-by-position", *(f"{name} as {at}" for at, name in enumerate(own)))
        return list(range(len(own)))
    return [None] * len(own)


def _report(
    own: list[str],
    indices: list[int | None],
    model: list[str],
    used: Counter[int],
    labelled: Labelled,
    findings: Findings,
) -> None:
    strange = [position for position, index in enumerate(indices) if index is None and used[position]]
    code = "dataset.class-unknown" if labelled.task == "classify" else "dataset.class-not-in-model"
    findings.add(code, *(_stranger(own[at], used[at], model) for at in strange))
    known = {index for position, index in enumerate(indices) if used[position]}
    findings.add(
        "dataset.class-without-label", *(name for index, name in enumerate(model) if index not in known)
    )


def _stranger(name: str, labels: int, model: list[str]) -> str:
    return f"{name} ({labels} label{'s' if labels != 1 else ''}{nearest(name, model)})"


def _fold(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " -_")


def _some(names: list[str]) -> str:
    return shown(", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else ""))


@cache
def _wnids() -> list[str]:
    """Return the ids of ImageNet's 1,000 classes, in the order of their indices, which is that of the ids."""
    return (packaged("datasets") / "imagenet_wnids.txt").read_text("utf-8").split()
