"""Writes labelled images as the tools of each format do, and small data sets made on the spot."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import cv2
import numpy as np

from edgedyno.controller.lab.datasets import examine_dataset, find_dataset, resolve_dataset
from edgedyno.controller.lab.profiles import packaged

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.importing import ResolvedDataset
    from edgedyno.controller.lab.datasets.survey import Examined
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.profile import Task

CLASSES = ["cat", "dog", "cow"]
WIDTH, HEIGHT = 40, 30


def sample() -> tuple[Path, dict[str, Any]]:
    """Return the folder of the bundled images, and their labels but for crowds, which YOLO and CSV cannot say."""
    folder = packaged("samples") / "data/coco_ccby"
    labels = json.loads((folder / "instances.json").read_text())
    labels["annotations"] = [box for box in labels["annotations"] if not box["iscrowd"]]
    return folder / "images", labels


def picture(path: Path, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Write an image that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def instances(**changes: Any) -> dict[str, Any]:
    """Return COCO labels of two images with a box each."""
    labels: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT}
            for number in (1, 2)
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 12], "area": 120, "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 2, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0},
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)],
    }
    return labels | changes


def write_coco(folder: Path, labels: dict[str, Any] | None = None, *, images: int = 2) -> Path:
    """Write images 1.png, 2.png, … and their labels."""
    for number in range(1, images + 1):
        picture(folder / "images" / f"{number}.png", seed=number)
    (folder / "instances.json").write_text(json.dumps(instances() if labels is None else labels))
    return folder


def write_yolo(folder: Path, lines: dict[str, str], *, names: list[str] | None = None) -> Path:
    """Write an image for each name, with a label file where there are lines."""
    for seed, (stem, text) in enumerate(lines.items()):
        picture(folder / "images/val" / f"{stem}.png", seed=seed)
        (folder / "labels/val").mkdir(parents=True, exist_ok=True)
        (folder / "labels/val" / f"{stem}.txt").write_text(text)
    listed = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES if names is None else names))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames:\n{listed}\n")
    return folder


def voc_xml(objects: str, *, file_name: str = "a.png", more: str = "") -> str:
    """Return one image's labels."""
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{file_name}</filename>{more}{size}\n{objects}\n</annotation>\n"


def voc_object(name: str, *corners: float, difficult: int = 0) -> str:
    """Return one object."""
    tags = "".join(
        f"<{tag}>{number!r}</{tag}>"
        for tag, number in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{escape(name)}</name><difficult>{difficult}</difficult><bndbox>{tags}</bndbox></object>"


def write_voc(folder: Path, files: dict[str, str]) -> Path:
    """Write an image and an XML file for each name."""
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for seed, (stem, text) in enumerate(files.items()):
        picture(folder / "JPEGImages" / f"{stem}.png", seed=seed)
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
    return folder


def look(path: Path, *, classes: list[str] | None = CLASSES, task: Task | None = "detect") -> Examined:
    """Examine what lies at a path."""
    found = find_dataset(str(path) if "/" in str(path) else f"./{path}", base=path.parent, task=task)
    return examine_dataset(found.profile, classes, base=found.base, task=task)


def codes(examined: Examined) -> dict[str, int]:
    """Return how often each thing was found, without notes."""
    return {each.code: each.count for each in examined.findings if each.severity != "note"}


def boxes(examined: Examined) -> list[tuple[str, str, tuple[float, ...]]]:
    """Return image, class and box of each label."""
    return [
        (entry.name, examined.classes.names[label.class_index], label.box or ())
        for entry in examined.entries
        for label in entry.labels
    ]


def resolve(path: Path, store: ContentStore, *, classes: list[str], task: Task = "detect") -> ResolvedDataset:
    """Put what lies at a path into the store."""
    found = find_dataset(str(path), base=path.parent, task=task)
    return resolve_dataset(found.profile, classes, base=found.base, store=store)


def convert(target: Path, form: str) -> Path:
    """Write the bundled images and their labels in another format and layout."""
    images, labels = sample()
    return _WRITERS[form](target, images, labels)


def _by_image(labels: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    return [
        (image, [box for box in labels["annotations"] if box["image_id"] == image["id"]])
        for image in labels["images"]
    ]


def _as_yolo(labels: dict[str, Any], *, polygons: bool) -> dict[str, str]:
    index = {category["id"]: number for number, category in enumerate(labels["categories"])}
    files = {}
    for image, found in _by_image(labels):
        width, height = image["width"], image["height"]
        lines = []
        for box in found:
            x, y, w, h = box["bbox"]
            numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            if polygons:
                left, top, right, bottom = x / width, y / height, (x + w) / width, (y + h) / height
                middle = (left + right) / 2
                numbers = [left, top, middle, top, right, top, right, bottom, left, bottom]
            lines.append(" ".join([str(index[box["category_id"]]), *(repr(number) for number in numbers)]))
        files[image["file_name"]] = "".join(f"{line}\n" for line in lines)
    return files


def _write_yolo(
    images: Path, labels: dict[str, Any], image_folder: Path, label_folder: Path, *, polygons: bool = False
) -> None:
    for folder in (image_folder, label_folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in _as_yolo(labels, polygons=polygons).items():
        shutil.copy(images / name, image_folder)
        (label_folder / name).with_suffix(".txt").write_text(text)


def _names(labels: dict[str, Any]) -> list[str]:
    return [category["name"] for category in labels["categories"]]


def _ultralytics(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    _write_yolo(images, labels, target / "images/val2017", target / "labels/val2017")
    named = "\n".join(f"  {number}: {name}" for number, name in enumerate(_names(labels)))
    (target / "coco.yaml").write_text(
        f"path: ../datasets/coco\ntrain: images/train2017\nval: images/val2017\nnames:\n{named}\n"
    )
    return target


def _roboflow(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    _write_yolo(images, labels, target / "valid/images", target / "valid/labels", polygons=True)
    (target / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\n"
        f"nc: {len(labels['categories'])}\nnames: {_names(labels)}\n"
    )
    return target


def _darknet(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    _write_yolo(images, labels, target, target)
    (target / "classes.txt").write_text("".join(f"{name}\n" for name in _names(labels)))
    return target


def _voc(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    names = {category["id"]: category["name"] for category in labels["categories"]}
    (target / "JPEGImages").mkdir(parents=True)
    for folder in ("Annotations", "ImageSets/Main"):
        (target / folder).mkdir(parents=True)
    stems = []
    for image, found in _by_image(labels):
        shutil.copy(images / image["file_name"], target / "JPEGImages")
        objects = [
            voc_object(names[box["category_id"]], x, y, x + w, y + h, difficult=box["iscrowd"])
            for box in found
            for x, y, w, h in [box["bbox"]]
        ]
        size = f"<size><width>{image['width']}</width><height>{image['height']}</height></size>"
        stem = image["file_name"].removesuffix(".jpg")
        (target / "Annotations" / f"{stem}.xml").write_text(
            f"<annotation><filename>{image['file_name']}</filename>{size}{''.join(objects)}</annotation>"
        )
        stems.append(stem)
    (target / "ImageSets/Main/val.txt").write_text("".join(f"{stem}\n" for stem in stems))
    return target


def _csv(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    names = {category["id"]: category["name"] for category in labels["categories"]}
    shutil.copytree(images, target / "images")
    rows = [
        f"{image['file_name']},{','.join(repr(number) for number in box['bbox'])},{names[box['category_id']]}\n"
        for image, found in _by_image(labels)
        for box in found
    ]
    (target / "boxes.csv").write_text("file,x,y,width,height,class\n" + "".join(rows))
    return target


def _coco(target: Path, images: Path, labels: dict[str, Any]) -> Path:
    shutil.copytree(images, target / "val2017")
    (target / "annotations").mkdir()
    (target / "annotations/instances_val2017.json").write_text(json.dumps(labels))
    (target / "annotations/captions_val2017.json").write_text('{"images": [], "annotations": []}')
    return target


_WRITERS = {
    "ultralytics": _ultralytics,
    "roboflow": _roboflow,
    "darknet": _darknet,
    "voc": _voc,
    "csv": _csv,
    "coco": _coco,
}
FORMS = sorted(_WRITERS)
