"""The same labels in any format give the same score for the same predictions of a real model."""

from __future__ import annotations

import csv
import shutil
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import find_profile, packaged
from edgedyno.controller.lab.scoring import score
from edgedyno.core.profile import ModelProfile
from tests.controller.datasets.layouts import FORMS, convert, look, resolve, sample
from tests.controller.lab.predict import predict

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets import ResolvedDataset
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.profile import Task
    from edgedyno.core.result import Accuracy, Predictions

NAMES = class_names("coco80", base=packaged("models"))
WNIDS = (packaged("datasets") / "imagenet_wnids.txt").read_text().split()


@pytest.fixture(scope="module")
def found() -> dict[str, Predictions]:
    """Return what FastestDet finds, by the name of each bundled image."""
    model = find_profile("fastestdet", ModelProfile, base=Path())
    images, _ = sample()
    source = (model.base / model.profile.source).read_bytes()
    paths = sorted(images.iterdir())
    predictions = predict(source, model.profile, [(at, path.read_bytes()) for at, path in enumerate(paths)])
    return {path.name: msgspec.structs.replace(predictions, images=[each])
            for path, each in zip(paths, predictions.images, strict=True)}  # fmt: skip


def _score(
    resolved: ResolvedDataset, found: dict[str, Predictions], store: ContentStore, names: list[str]
) -> Accuracy:
    assert resolved.annotations is not None
    images = [
        msgspec.structs.replace(found[PurePosixPath(image.file.name).name].images[0], image_id=image.id)
        for image in resolved.images
    ]
    predictions = msgspec.structs.replace(next(iter(found.values())), images=images)
    annotations = store.read(resolved.annotations.sha256)
    task: Task = "detect" if names is NAMES else "classify"
    return score(predictions, annotations=annotations, class_names=names, baseline=None, task=task).accuracy


@pytest.mark.parametrize("form", FORMS)
def test_every_format_of_boxes_gives_the_same_score(
    form: str, found: dict[str, Predictions], store: ContentStore, tmp_path: Path
) -> None:
    bundled = resolve(convert(tmp_path / "as it is", "coco"), store, classes=NAMES)
    expected = _score(bundled, found, store, NAMES)
    resolved = resolve(convert(tmp_path / "set", form), store, classes=NAMES)
    scored = _score(resolved, found, store, NAMES)
    assert expected.value > 0.1
    assert scored.images == 17
    for name in ("mAP50", "mAP75"):
        assert scored.details[name] == pytest.approx(expected.details[name], abs=1e-9)
    assert (scored.value, scored.low, scored.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-9
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_normal_form_is_the_same_every_time(form: str, store: ContentStore, tmp_path: Path) -> None:
    first = resolve(convert(tmp_path / "one", form), store, classes=NAMES)
    second = resolve(convert(tmp_path / "two", form), store, classes=NAMES)
    assert first.annotations is not None
    assert second.annotations is not None
    assert first.annotations.sha256 == second.annotations.sha256
    assert first.images == second.images


def test_the_order_of_a_json_file_does_not_matter(store: ContentStore, tmp_path: Path) -> None:
    folder = convert(tmp_path / "set", "coco")
    path = folder / "annotations/instances_val2017.json"
    before = resolve(folder, store, classes=NAMES)
    labels = msgspec.json.decode(path.read_bytes())
    shuffled = {name: labels[name][::-1] for name in ("categories", "annotations", "images")}
    path.write_bytes(msgspec.json.encode(labels | shuffled))
    after = resolve(folder, store, classes=NAMES)
    assert (before.annotations, before.images) == (after.annotations, after.images)


@pytest.mark.parametrize("form", FORMS)
def test_the_bundled_labels_have_nothing_wrong(form: str, tmp_path: Path) -> None:
    examined = look(convert(tmp_path / "set", form), classes=NAMES)
    odd = {each.code for each in examined.findings if each.severity != "note"}
    assert odd == ({"dataset.box-polygon"} if form == "roboflow" else set())
    assert (len(examined.entries), sum(len(entry.labels) for entry in examined.entries)) == (17, 161)


def _imagenet_layouts(zoo: Path, target: Path) -> dict[str, Path]:
    """Write ImageNet's sample by id, by index, and as tables of indices and of names."""
    rows = list(csv.DictReader(StringIO((zoo / "data/imagenet_sample/labels.csv").read_text())))
    by_id, by_index, table = target / "by_id", target / "by_index", target / "table"
    shutil.copytree(zoo / "data/imagenet_sample/images", table / "images")
    for row in rows:
        for folder in (by_id / "val" / row["wnid"], by_index / row["class_index"]):
            folder.mkdir(parents=True)
            shutil.copy(table / "images" / row["file"], folder)
    lines = "".join(f"{row['file']} {row['class_index']}\n" for row in rows)
    (table / "val.txt").write_text(lines)
    return {"by_id": by_id, "by_index": by_index, "table": table / "val.txt"}


def test_every_format_of_classes_gives_the_same_score(zoo: Path, store: ContentStore, tmp_path: Path) -> None:
    model = find_profile("squeezenet", ModelProfile, base=Path())
    numbers = [str(index) for index in range(1000)]
    images = sorted((zoo / "data/imagenet_sample/images").iterdir())
    source = next((zoo / "models/squeezenet_v1.1").glob("*.onnx")).read_bytes()
    predictions = predict(source, model.profile, [(at, path.read_bytes()) for at, path in enumerate(images)])
    found = {path.name: msgspec.structs.replace(predictions, images=[each])
             for path, each in zip(images, predictions.images, strict=True)}  # fmt: skip
    scores = {
        name: _score(resolve(path, store, classes=numbers, task="classify"), found, store, numbers)
        for name, path in {
            "as it is": zoo / "data/imagenet_sample", **_imagenet_layouts(zoo, tmp_path)
        }.items()
    }  # fmt: skip
    values = {name: (each.value, each.details["top-5"], each.images) for name, each in scores.items()}
    assert len(set(values.values())) == 1, values
    top_1, top_5, images_scored = values["as it is"]
    assert (top_1, top_5) == pytest.approx((0.67, 0.87), abs=0.03)
    assert images_scored == 250


def test_imagenets_ids_are_those_of_its_sample(zoo: Path) -> None:
    rows = list(csv.DictReader(StringIO((zoo / "data/imagenet_sample/labels.csv").read_text())))
    assert [WNIDS[int(row["class_index"])] for row in rows] == [row["wnid"] for row in rows]
    assert (len(set(WNIDS)), sorted(WNIDS)) == (1000, WNIDS)
