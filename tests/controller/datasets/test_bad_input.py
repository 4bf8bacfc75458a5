"""Files that are not what they should be end in an error with their place; nothing else ever gets out."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedyno.controller.lab.coco import decode_instances
from edgedyno.controller.lab.datasets.normal import as_coco
from edgedyno.core.errors import ConfigError, EdgedynoError
from tests.controller.datasets.layouts import (
    CLASSES,
    boxes,
    codes,
    instances,
    look,
    picture,
    voc_object,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.lab.datasets.survey import Examined
    from edgedyno.core.profile import Task

FINE = "0 0.5 0.5 0.2 0.2\n"
COCO = json.dumps(instances())
XML = voc_xml(voc_object("cat", 2, 3, 9, 9))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (COCO[:200], "not JSON"),
        ("[1, 2]", "not COCO instances"),
        (COCO.replace("[2, 3, 10, 12]", "[2, 3, 10]"), "annotations[0]: found a bbox of 3 numbers"),
        (COCO.replace('"bbox": [2, 3, 10, 12], ', ""), "annotations[0]: found no bbox"),
        (COCO.replace("[2, 3, 10, 12]", '"2,3"'), r"$.annotations[0].bbox"),
        ("[" * 100_000, "not COCO instances"),
        ('{"images": [NaN]}', "not COCO instances"),
        ("", "no content"),
    ],
)
def test_json_that_is_no_coco(text: str, found: str, tmp_path: Path) -> None:
    folder = write_coco(tmp_path)
    (folder / "instances.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        look(folder / "instances.json")
    assert found in str(caught.value) or "nested" in str(caught.value)
    assert (caught.value.code, "instances.json" in str(caught.value) or found.startswith("annot")) == (
        "dataset.annotations", True
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (XML[:120], "a.xml:"),
        ("<html></html>", "a.xml:1: found <html>, expected <annotation>"),
        (XML.replace("<xmin>2</xmin>", ""), "a.xml:3: cat: found no number for xmin"),
        (XML.replace("<name>cat</name>", ""), "a.xml:3: found an object without a name"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + XML, "declares a document type"),
        ("<a>" * 1000, "nested too deeply"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "a.xml: unknown encoding: klingon"),
    ],
)
def test_xml_that_is_no_voc(text: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        look(write_voc(tmp_path, {"a": text}))
    assert (caught.value.code, found in str(caught.value)) == ("dataset.annotations", True), caught.value


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0 0.5 0.5 0.2 0.2 0.9", "found 6 columns"),
        ("0 0.5 0.5", "found 3 columns"),
        ("cat 0.5 0.5 0.2 0.2", "expected numbers"),
        ("-1 0.5 0.5 0.2 0.2", "found the class -1"),
        ("0.5 0.5 0.5 0.2 0.2", "found the class 0.5"),
    ],
)
def test_a_line_that_is_no_yolo(line: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        look(write_yolo(tmp_path, {"a": FINE + line + "\n"}))
    assert found in str(caught.value)
    assert "a.txt:2: " in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_of_other_systems_are_read(end: str, encoding: str, tmp_path: Path) -> None:
    folder = write_yolo(tmp_path / "yolo", {"a": FINE})
    (folder / "labels/val/a.txt").write_bytes(
        (FINE + FINE.replace("0.2", "0.3")).replace("\n", end).encode(encoding)
    )
    assert len(boxes(look(folder))) == 2
    folder = write_coco(tmp_path / "coco")
    (folder / "instances.json").write_bytes(
        json.dumps(instances(), indent=1).replace("\n", end).encode(encoding)
    )
    assert len(boxes(look(folder / "instances.json"))) == 2
    picture(tmp_path / "table/a.png")
    (tmp_path / "table/l.csv").write_bytes(f"file,class{end}a.png,dog{end}".encode(encoding))
    examined = look(tmp_path / "table/l.csv", task="classify")
    assert examined.classes.indices == [CLASSES.index("dog")]


def test_names_with_spaces_commas_and_chinese_letters(tmp_path: Path) -> None:
    name = "图 片, 一"
    folder = write_yolo(tmp_path / "数 据", {name: FINE})
    assert boxes(look(folder))[0][:2] == (f"images/val/{name}.png", "cat")
    folder = write_voc(
        tmp_path / "voc 数据", {name: voc_xml(voc_object("猫", 2, 3, 9, 9), file_name=f"{name}.png")}
    )
    assert boxes(look(folder, classes=["猫"])) == [(f"{name}.png", "猫", (2, 3, 7, 6))]
    (folder / "JPEGImages/labels.csv").write_text(f'file,class\n"{name}.png",dog\n')
    assert len(look(folder / "JPEGImages/labels.csv", task="classify").entries) == 1


@pytest.mark.parametrize(("row", "code"), [
    ("sub\\a.png,dog", None), ("C:\\sub\\a.png,dog", "dataset.image-name"), ("b.png,dog", "dataset.image-missing")
])  # fmt: skip
def test_windows_paths_in_a_table(row: str, code: str | None, tmp_path: Path) -> None:
    picture(tmp_path / "sub/a.png")
    (tmp_path / "l.csv").write_text(f"file,class\n{row}\n")
    found = codes(look(tmp_path / "l.csv", task="classify"))
    found.pop("dataset.image-unlisted", None)
    assert found == ({} if code is None else {code: 1})


def test_a_table_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "l.csv").write_text("file,class\na.png,dog\na.png,cat\n")
    assert codes(look(tmp_path / "l.csv", task="classify")) == {"dataset.label-differs": 1}


def test_fewer_classes_in_the_model_than_in_the_labels(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}/a.png", seed=number)
    assert codes(look(tmp_path, classes=["0", "1", "2"], task="classify")) == {"dataset.class-unknown": 1}
    (tmp_path / "3/a.png").unlink()
    assert codes(look(tmp_path, classes=["0", "1", "2"], task="classify")) == {}


def test_several_data_sets_in_one_folder_are_choices(tmp_path: Path) -> None:
    folder = write_coco(tmp_path)
    write_voc(folder, {"a": XML})
    with pytest.raises(ConfigError, match="several data sets") as caught:
        look(folder)
    assert caught.value.code == "dataset.format"
    assert "format: coco" in str(caught.value)
    assert "format: voc" in str(caught.value)


def test_what_is_for_another_task_is_no_candidate(tmp_path: Path) -> None:
    folder = write_coco(tmp_path)
    with pytest.raises(ConfigError) as caught:
        look(folder / "instances.json", task="classify")
    assert caught.value.code == "dataset.format"


def test_a_huge_file_is_read_once_and_kept_small(tmp_path: Path) -> None:
    """100 MB, nearly all of it outlines, which are skipped."""
    outline = ", ".join(["123.45"] * 2000)
    rows = ",".join(
        json.dumps({"image_id": 1, "category_id": 1, "bbox": [n % 30, 3, 1 + n / 1e4, 2]})[:-1]
        + f', "segmentation": [[{outline}]]}}'
        for n in range(6500)
    )
    folder = write_coco(tmp_path)
    text = COCO.replace('"annotations": [', f'"annotations": [{rows},')
    (folder / "instances.json").write_text(text)
    assert len(text) > 100_000_000
    examined = look(folder / "instances.json")
    assert len(boxes(examined)) == 6502


_TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
_NUMBER = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.sampled_from(["", "x", "1e999", "-0", "٣"]))
_LINES = st.lists(st.lists(_NUMBER.map(str), max_size=10).map(" ".join), max_size=6).map("\n".join)
_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(2**70), 2**70), st.text(max_size=9)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _damaged_json(draw: st.DrawFn) -> bytes:
    """Return labels with a value replaced anywhere, and perhaps a byte."""
    labels = instances()
    part = draw(st.sampled_from(["images", "annotations", "categories"]))
    entry = labels[part][draw(st.integers(0, 1))]
    entry[draw(st.sampled_from(sorted(entry)))] = draw(_VALUE)
    return _with_a_byte_changed(draw, json.dumps(labels).encode())


def _with_a_byte_changed(draw: st.DrawFn, data: bytes) -> bytes:
    if not draw(st.booleans()):
        return data
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + draw(st.integers(0, 3)) :]


@st.composite
def _damaged_xml(draw: st.DrawFn) -> bytes:
    numbers = [draw(st.floats()) for _ in range(4)]
    text = voc_xml(
        voc_object("cat", *numbers), file_name=draw(st.sampled_from(["a.png", "../a.png", "", "b\\a.png"]))
    )
    return _with_a_byte_changed(draw, text.encode())


def _has_errors(examined: Examined) -> bool:
    return any(finding.severity == "error" for finding in examined.findings)


def _fuzzed(write: Callable[[Path, bytes], Path], data: bytes, *, task: Task = "detect") -> None:
    """Look at damaged labels: they are read and written, or refused as they should be."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EdgedynoError):
        examined = look(write(Path(folder), data), task=task)
        if examined.task == "detect" and not _has_errors(examined):
            decode_instances(as_coco(examined.entries, examined.classes), file="normal")


_FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def _write(name: str, *, images: tuple[str, ...] = ("a.png",)) -> Callable[[Path, bytes], Path]:
    pixels: dict[str, bytes] = {}

    def write(folder: Path, data: bytes) -> Path:
        for image in images:
            if image not in pixels:
                pixels[image] = picture(folder / image).read_bytes()
            (folder / image).write_bytes(pixels[image])
        (folder / name).write_bytes(data)
        return folder / name if name.endswith(("json", "csv", "xml", "yaml")) else folder

    return write


@_FUZZ
@given(_damaged_json() | st.binary(max_size=200))
def test_fuzzed_json(data: bytes) -> None:
    _fuzzed(_write("l.json", images=("1.png", "2.png")), data)


@_FUZZ
@given(_damaged_xml() | st.binary(max_size=200))
def test_fuzzed_xml(data: bytes) -> None:
    _fuzzed(_write("a.xml"), data)


@_FUZZ
@given(_LINES.map(str.encode) | _TEXT.map(str.encode) | st.binary(max_size=200))
def test_fuzzed_yolo(data: bytes) -> None:
    _fuzzed(_write("a.txt"), data)


@_FUZZ
@given(_TEXT.map(lambda text: f"names: [a, b]\nval: {text}\n".encode()) | st.binary(max_size=200))
def test_fuzzed_yolo_yaml(data: bytes) -> None:
    _fuzzed(_write("data.yaml"), data)


_CELL = _TEXT.map(lambda text: text[:9]) | st.sampled_from(["a.png", "file", "class", "xmin", "1"])
_TABLE = st.lists(st.lists(_CELL, max_size=4).map(",".join), max_size=5).map("\n".join)


@_FUZZ
@given(_TABLE.map(str.encode) | st.binary(max_size=200))
def test_fuzzed_tables(data: bytes) -> None:
    _fuzzed(_write("l.csv"), data, task="classify")
    _fuzzed(_write("l.csv"), data)


@_FUZZ
@given(st.binary(max_size=60) | st.binary(max_size=300).map(lambda data: b"\xff\xd8\xff\xe1" + data)
       | st.binary(max_size=300).map(lambda data: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + data))  # fmt: skip
def test_fuzzed_images(data: bytes) -> None:
    def write(folder: Path, content: bytes) -> Path:
        write_coco(folder)
        (folder / "images/1.png").write_bytes(content)
        return folder / "instances.json"

    _fuzzed(write, data)
