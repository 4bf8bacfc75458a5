"""The two forms that scoring reads: COCO instances with boxes alone, and `file,class_index`.

The same content gives the same bytes: images in the order of their ids, labels in the order of what they say.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets.base import Entry, Label
    from edgedyno.controller.lab.datasets.class_map import Classes

_CODE = "dataset.annotations"


def as_coco(entries: list[Entry], classes: Classes) -> bytes:
    """Write boxes as COCO instances; a category has the model's name of its class."""
    ordered = sorted(entries, key=lambda entry: entry.id)
    boxes: list[dict[str, Any]] = []
    for entry in ordered:
        for label in sorted(entry.labels, key=_key):
            boxes.append(_box(len(boxes) + 1, entry.id, label, classes))
    instances = {
        "images": [_image(entry) for entry in ordered],
        "annotations": boxes,
        "categories": [
            {"id": number, "name": name}
            for number, name in sorted(zip(classes.ids, classes.names, strict=True))
        ],
    }
    return msgspec.json.encode(instances)


def as_csv(entries: list[Entry], classes: Classes) -> bytes:
    """Write one class for each image; its row is its id."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("file", "class_index"))
    for entry in entries:
        writer.writerow((entry.name, classes.indices[entry.labels[0].class_index]))
    return written.getvalue().encode()


def read_labels(data: bytes, *, file: str) -> list[tuple[str, int]]:
    """Return file name and class index of each row of the normal form.

    Further columns are passed over. Raises ConfigError (dataset.annotations) naming the line of the first row that
    is not so.
    """
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: not CSV: {error}", code=_CODE) from error
    labels: list[tuple[str, int]] = []
    for line, row in enumerate(rows, start=1):
        is_header = line == 1 and len(row) > 1 and not row[1].strip().isdigit()
        if not row or is_header:
            continue
        if len(row) < 2 or not row[1].strip().isdecimal():  # noqa: PLR2004 - file and class
            raise ConfigError(
                f"{file}:{line}: found {','.join(row)!r}, expected `file,class_index`", code=_CODE
            )
        labels.append((row[0].strip(), int(row[1])))
    if not labels:
        raise ConfigError(f"{file}: found no rows, expected `file,class_index`", code=_CODE)
    return labels


def _key(label: Label) -> tuple[Any, ...]:
    return label.class_index, label.box or (), label.crowd, label.area or 0.0


def _image(entry: Entry) -> dict[str, Any]:
    described: dict[str, Any] = {"id": entry.id, "file_name": entry.name}
    if entry.stated is not None:
        described |= {"width": round(entry.stated[0]), "height": round(entry.stated[1])}
    if entry.credit:
        described["credit"] = entry.credit
    return described


def _box(number: int, image: int, label: Label, classes: Classes) -> dict[str, Any]:
    box = label.box or (0.0, 0.0, 0.0, 0.0)
    return {
        "id": number,
        "image_id": image,
        "category_id": classes.ids[label.class_index],
        "bbox": box,
        "area": box[2] * box[3] if label.area is None else label.area,
        "iscrowd": int(label.crowd),
    }
