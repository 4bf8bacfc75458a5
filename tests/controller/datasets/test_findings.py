"""Each mistake in a data set is found, counted and placed; what is refused and what is only told."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from edgedyno.controller.lab.datasets import finding_line
from edgedyno.controller.lab.datasets.findings import CATALOGUE, Finding, refuse
from edgedyno.core.errors import ConfigError, UnsupportedError
from tests.conftest import ROOT
from tests.controller.datasets.layouts import (
    CLASSES,
    HEIGHT,
    WIDTH,
    boxes,
    codes,
    instances,
    look,
    picture,
    resolve,
    voc_object,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore

FINE = "0 0.5 0.5 0.2 0.2\n"


def _annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 9, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 12], "iscrowd": 0} | changes


def _coco(folder: Path, *annotations: dict[str, Any], **changes: Any) -> Path:
    labels = instances()
    return write_coco(folder, labels | {"annotations": labels["annotations"] + list(annotations)} | changes)


def test_what_is_right_has_no_findings(tmp_path: Path) -> None:
    examined = look(_coco(tmp_path))
    assert codes(examined) == {}
    assert boxes(examined) == [("1.png", "cat", (2, 3, 10, 12)), ("2.png", "dog", (5, 5, 20, 20))]


@pytest.mark.parametrize(
    ("changes", "code", "left"),
    [
        ({"bbox": [30, 20, 12, 12]}, "dataset.box-outside", 3),
        ({"bbox": [60, 60, 5, 5]}, "dataset.box-off-image", 2),
        ({"bbox": [3, 3, 0, 5]}, "dataset.box-degenerate", 2),
        ({"bbox": [30, 20, -5, 5]}, "dataset.box-degenerate", 2),
        ({"bbox": [float("nan"), 3, 5, 5]}, "dataset.box-not-finite", 2),
        ({"bbox": [3, 3, float("inf"), 5]}, "dataset.box-not-finite", 2),
        ({}, "dataset.label-repeated", 2),
        ({"image_id": 77}, "dataset.label-orphan", 2),
        ({"category_id": 12}, "dataset.class-unknown", 2),
    ],
)
def test_a_label_with_a_mistake_is_found(
    changes: dict[str, Any], code: str, left: int, tmp_path: Path
) -> None:
    examined = look(_coco(tmp_path, _annotation(**changes)))
    assert codes(examined) == {code: 1}
    (finding,) = (each for each in examined.findings if each.code == code)
    assert "annotations[2]" in finding.offenders[0]
    assert len(boxes(examined)) == left


def test_a_box_is_cut_at_the_border_beyond_one_pixel_only(tmp_path: Path) -> None:
    cut, kept = _annotation(bbox=[30, 20, 12, 12]), _annotation(bbox=[-0.5, 20, 41, 10.9])
    found = boxes(look(_coco(tmp_path, cut, kept)))
    assert ("1.png", "cat", (30, 20, 10, 10)) in found
    assert ("1.png", "cat", (-0.5, 20, 41, 10.9)) in found


@pytest.mark.parametrize(
    ("file_name", "code"),
    [
        ("/etc/passwd.png", "dataset.image-name"),
        ("../../secret.png", "dataset.image-name"),
        ("a/../../secret.png", "dataset.image-name"),
        ("..\\secret.png", "dataset.image-name"),
        ("C:\\data\\1.png", "dataset.image-name"),
        ("\\\\host\\share\\1.png", "dataset.image-name"),
        ("a\0.png", "dataset.image-name"),
        ("", "dataset.image-name"),
        ("3.png", "dataset.image-missing"),
        ("x" * 5000 + ".png", "dataset.image-missing"),
    ],
)
def test_a_file_name_that_leads_nowhere_or_out_is_refused(
    file_name: str, code: str, tmp_path: Path, store: ContentStore
) -> None:
    picture(tmp_path / "secret.png")
    labels = instances()
    labels["images"].append({"id": 3, "file_name": file_name})
    folder = write_coco(tmp_path / "a/b/set", labels)
    assert codes(look(folder)) == {code: 1}
    with pytest.raises(ConfigError) as caught:
        resolve(folder, store, classes=CLASSES)
    assert caught.value.code == code


def test_files_that_may_be_labels_of_no_known_format_are_told(tmp_path: Path) -> None:
    for number in (1, 2):
        picture(tmp_path / f"{number}.png", seed=number)
    for name in ("1.kitti", "notes.json", "README.txt", "licence", "thumbs.db", ".hidden.json"):
        (tmp_path / name).write_text("{}")
    examined = look(tmp_path)
    assert examined.task is None
    assert codes(examined) == {"dataset.labels-unread": 2}
    assert examined.findings[0].offenders == ["1.kitti", "notes.json"]


def test_a_name_in_another_case_is_hinted_at(tmp_path: Path) -> None:
    labels = instances()
    labels["images"].append({"id": 3, "file_name": "PIC.PNG"})
    folder = write_coco(tmp_path, labels)
    picture(folder / "images/pic.png")
    finding = next(each for each in look(folder).findings if each.code == "dataset.image-missing")
    assert "(there is pic.png)" in finding.offenders[0]


def test_labels_for_other_images_are_told_as_such(tmp_path: Path) -> None:
    labels = instances()
    for image in labels["images"]:
        image["file_name"] = f"other-{image['file_name']}"
    examined = look(write_coco(tmp_path, labels))
    assert codes(examined) == {
        "dataset.other-images": 1, "dataset.image-missing": 2, "dataset.image-unlisted": 2
    }  # fmt: skip


def test_an_image_id_of_two_images_is_refused(tmp_path: Path) -> None:
    labels = instances()
    labels["images"][1]["id"] = 1
    assert codes(look(write_coco(tmp_path, labels)))["dataset.image-id-twice"] == 1


def test_the_same_image_twice_is_told_by_content_and_by_name(tmp_path: Path) -> None:
    labels = instances()
    labels["images"] += [{"id": 3, "file_name": "copy.png"}, {"id": 4, "file_name": "1.png"}]
    folder = write_coco(tmp_path, labels)
    picture(folder / "images/copy.png", seed=1)
    assert codes(look(folder)) == {"dataset.image-same": 1, "dataset.image-twice": 1}


def test_damaged_images_are_told_by_their_headers(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, instances(images=[
        {"id": number, "file_name": name}
        for number, name in enumerate(("1.png", "2.png", "text.png", "cut.jpg", "tiny.png", "none.png"), start=1)
    ]))  # fmt: skip
    (folder / "images/text.png").write_text("not an image")
    whole = picture(folder / "images/cut.jpg", size=(200, 200)).read_bytes()
    (folder / "images/cut.jpg").write_bytes(whole[: len(whole) // 2])
    picture(folder / "images/tiny.png", size=(1, 1))
    (folder / "images/none.png").write_bytes(b"")
    examined = look(folder)
    assert codes(examined) == {"dataset.image-empty": 1, "dataset.image-unreadable": 3}
    told = next(each.offenders for each in examined.findings if each.code == "dataset.image-unreadable")
    assert [re.search(r"\((.*)\)", each)[1][:11] for each in told] == [  # type: ignore[index]
        "begins with", "ends too ea", "1x1 pixels,"
    ]  # fmt: skip


def test_an_image_of_another_size_than_labelled_is_told(tmp_path: Path) -> None:
    labels = instances()
    labels["images"].append({"id": 3, "file_name": "3.png", "width": 400, "height": 300})
    examined = look(write_coco(tmp_path, labels, images=3))
    assert codes(examined) == {"dataset.image-size": 1}
    labels["images"][0] |= {"width": 400, "height": 300}
    assert codes(look(write_coco(tmp_path, labels, images=3))) == {"dataset.image-sizes": 2}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ((WIDTH, HEIGHT), {"dataset.image-rotated": 1}),
        ((HEIGHT, WIDTH), {}),
    ],
)
def test_an_image_turned_by_exif_is_told_where_its_labels_are_not(
    stated: tuple[int, int], expected: dict[str, int], tmp_path: Path
) -> None:
    labels = instances()
    labels["images"][0] |= {"file_name": "1.jpg", "width": stated[0], "height": stated[1]}
    folder = write_coco(tmp_path, labels)
    (folder / "images/1.png").unlink()
    turned = Image.new("RGB", (WIDTH, HEIGHT))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "images/1.jpg", exif=exif)
    examined = look(folder)
    assert codes(examined) == expected
    assert examined.facts["1.jpg"].size == (HEIGHT, WIDTH)


def test_boxes_that_are_corners_are_refused(tmp_path: Path) -> None:
    corners = [[20 + n, 10, 30 + n, 25] for n in range(6)]
    annotations = [_annotation(bbox=box) for box in corners]
    examined = look(write_coco(tmp_path, instances(annotations=annotations)))
    assert codes(examined)["dataset.box-corners"] == 6


def test_a_set_without_a_box_is_refused(tmp_path: Path) -> None:
    assert "dataset.no-boxes" in codes(look(write_coco(tmp_path, instances(annotations=[]))))


def test_classes_are_matched_by_name_and_strangers_are_told(tmp_path: Path) -> None:
    folder = _coco(tmp_path)
    examined = look(folder, classes=["Cat", "hen"])
    assert codes(examined) == {"dataset.class-respelled": 1, "dataset.class-not-in-model": 1}
    assert examined.classes.names == ["Cat", "dog", "cow"]
    stranger = next(each for each in examined.findings if each.code == "dataset.class-not-in-model")
    assert stranger.offenders == ["dog (1 label)"]
    with pytest.raises(ConfigError, match="none of the model's classes") as caught:
        look(folder, classes=["car", "bus"])
    assert caught.value.code == "dataset.classes"


def test_vocs_names_are_taken_for_cocos(tmp_path: Path) -> None:
    folder = write_voc(tmp_path, {"a": voc_xml(voc_object("aeroplane", 2, 3, 9, 9))})
    examined = look(folder, classes=["person", "airplane"])
    assert (examined.classes.names, codes(examined)) == (["airplane"], {"dataset.class-respelled": 1})


def test_a_category_of_roboflow_that_nothing_is_labelled_with_is_passed_over(tmp_path: Path) -> None:
    labels = instances()
    labels["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})
    assert codes(look(write_coco(tmp_path, labels))) == {}
    labels["annotations"].append(_annotation(category_id=0, bbox=[1, 1, 4, 4]))
    assert codes(look(write_coco(tmp_path, labels)))["dataset.class-twice"] == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"a": FINE, "b": ""}, {}),
        ({"a": "0 20 15 10 10\n"}, {"dataset.yolo-pixels": 1, "dataset.no-boxes": 1}),
        (
            {"a": FINE + "1 0.5 0.5 0.1 0.1\n2 0.2 0.2 0.1 0.1\n3 0.2 0.2 0.1 0.1\n"},
            {"dataset.class-unknown": 1},
        ),
        ({"a": "1 0.5 0.5 0.1 0.1\n3 0.2 0.2 0.1 0.1\n"}, {"dataset.class-from-one": 1}),
        ({"a": "0 0.95 0.5 0.3 0.1\n"}, {"dataset.box-outside": 1}),
        ({"a": FINE + "0 0.5 nan 0.3 0.1\n"}, {"dataset.box-not-finite": 1}),
        ({"a": FINE + FINE}, {"dataset.label-repeated": 1}),
        ({"a": FINE + "1 0.1 0.1 0.5 0.1 0.5 0.6\n"}, {"dataset.box-polygon": 1}),
    ],
)
def test_lines_of_yolo(lines: dict[str, str], expected: dict[str, int], tmp_path: Path) -> None:
    assert codes(look(write_yolo(tmp_path, lines))) == expected


def test_cocos_category_ids_in_yolo_are_told_as_such(tmp_path: Path) -> None:
    names = [f"class{number}" for number in range(80)]
    folder = write_yolo(tmp_path, {"a": FINE + "90 0.5 0.5 0.1 0.1\n"}, names=names)
    assert codes(look(folder, classes=names)) == {"dataset.class-coco-ids": 1}


def test_yolo_images_without_labels_and_labels_without_images(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, {"a": FINE, "b": FINE, "c": ""})
    (folder / "labels/val/b.txt").unlink()
    (folder / "labels/val/z.txt").write_text(FINE)
    examined = look(folder)
    assert codes(examined) == {"dataset.image-unlabelled": 1, "dataset.label-orphan": 1}
    assert [entry.name for entry in examined.entries] == [f"images/val/{name}.png" for name in "abc"]


@pytest.mark.parametrize(
    ("database", "corners", "box"),
    [
        ("The VOC2007 Database", (1, 1, 40, 30), (0, 0, 40, 30)),
        ("Unknown", (1, 1, 40, 30), (1, 1, 39, 29)),
        ("The VOC2007 Database", (0, 1, 40, 30), (0, 1, 40, 29)),
        ("The VOC2007 Database", (1.5, 1, 40, 30), (1.5, 1, 38.5, 29)),
    ],
)
def test_vocs_own_corners_count_from_one(
    database: str, corners: tuple[float, ...], box: tuple[float, ...], tmp_path: Path
) -> None:
    text = voc_xml(voc_object("cat", *corners), more=f"<source><database>{database}</database></source>")
    assert boxes(look(write_voc(tmp_path, {"a": text}))) == [("a.png", "cat", box)]


def test_voc_difficult_counts_neither_way(tmp_path: Path) -> None:
    objects = voc_object("cat", 2, 3, 9, 9) + voc_object("dog", 2, 3, 9, 9, difficult=1)
    examined = look(write_voc(tmp_path, {"a": voc_xml(objects)}))
    assert [label.crowd for label in examined.entries[0].labels] == [False, True]
    assert codes(examined) == {}


def test_voc_may_name_an_image_by_a_windows_path(tmp_path: Path) -> None:
    text = voc_xml(voc_object("cat", 2, 3, 9, 9), file_name="C:\\Users\\me\\a.png")
    examined = look(write_voc(tmp_path, {"a": text}))
    assert codes(examined) == {"dataset.file-name": 1}
    assert [entry.name for entry in examined.entries] == ["a.png"]


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (lambda path: write_coco(path, instances(categories=[{"id": 1, "name": "a", "keypoints": ["b"]}])), "pose"),
        (lambda path: _with_keypoints(write_yolo(path, {"a": FINE})), "pose"),
        (lambda path: write_yolo(path, {"a": "0 0.1 0.5 0.5 0.1 0.9 0.5 0.5 0.9\n"}), "OBB"),
    ],
)  # fmt: skip
def test_tasks_to_come_are_refused_in_clear_words(write: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="not supported yet; supported: detect, classify") as caught:
        look(write(tmp_path))
    assert word in str(caught.value)


def _with_keypoints(folder: Path) -> Path:
    with (folder / "data.yaml").open("a") as file:
        file.write("kpt_shape: [17, 3]\n")
    return folder


def test_upright_boxes_of_four_corners_are_boxes(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, {"a": "0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n"})
    assert boxes(look(folder)) == [("images/val/a.png", "cat", (4, 3, 16, 15))]


def test_links_are_followed_and_broken_ones_are_missing(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "set")
    for name, target in (
        ("1.png", picture(tmp_path / "pool/1.png", seed=8)),
        ("2.png", tmp_path / "gone.png"),
    ):
        (folder / "images" / name).unlink()
        (folder / "images" / name).symlink_to(target)
    (folder / "images/loop").symlink_to(folder / "images")
    assert codes(look(folder))["dataset.image-missing"] == 1
    assert codes(look(folder / "images")) == {"dataset.image-missing": 1}


def test_a_name_that_is_not_utf8_is_no_crash(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, {"a": FINE})
    name = os.fsdecode(b"caf\xe9.png")
    picture(folder / "images/val/b.png", seed=5).rename(folder / "images/val" / name)
    examined = look(folder)
    assert codes(examined) == {"dataset.image-name": 1, "dataset.image-unlabelled": 1}
    for finding in examined.findings:
        finding_line(finding).encode()


def test_a_line_shows_the_first_three_and_an_error_every_kind() -> None:
    found = [
        Finding("dataset.image-missing", "error", "gone", 5, list("abcde")),
        Finding("dataset.image-empty", "error", "empty", 1, ["f"]),
        Finding("dataset.image-same", "warning", "same", 1, ["g"]),
    ]
    assert finding_line(found[0]) == "error: gone: 5 (a, b, c, …) [dataset.image-missing]"
    with pytest.raises(ConfigError) as caught:
        refuse(found, "set")
    assert caught.value.code == "dataset.image-missing"
    assert len(str(caught.value).splitlines()) == 2


def test_every_code_is_documented() -> None:
    text = (ROOT / "docs/datasets.md").read_text()
    listed = dict(re.findall(r"^\| `(dataset\.[a-z0-9-]+)` \| (\w+) \|", text, re.MULTILINE))
    assert {code: severity for code, (severity, _) in CATALOGUE.items()}.items() <= listed.items()


def test_what_is_written_is_json_for_every_finding(tmp_path: Path, store: ContentStore) -> None:
    resolved = resolve(_coco(tmp_path, _annotation(bbox=[30, 20, 12, 12])), store, classes=CLASSES)
    assert resolved.annotations is not None
    written = json.loads(store.read(resolved.annotations.sha256))
    assert [box["id"] for box in written["annotations"]] == [1, 2, 3]
    assert {category["name"] for category in written["categories"]} == set(CLASSES)
