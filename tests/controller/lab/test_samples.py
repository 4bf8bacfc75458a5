"""The bundled sample: whole, attributed, and free to be passed on."""

from __future__ import annotations

import json
import re

import pytest

from edgedyno.controller.lab.profiles import packaged

FREE = {4, 5, 7, 8}
"""COCO's licence ids that allow redistribution: CC BY, CC BY-SA, no known restrictions, US government work."""


@pytest.mark.parametrize(("name", "count"), [("coco_ccby", 17), ("coco_cc_calib", 24)])
def test_every_image_is_attributed(name: str, count: int) -> None:
    folder = packaged("samples") / "data" / name
    images = sorted(path.name for path in (folder / "images").iterdir())
    rows = re.findall(
        r"^\| `([^`]+)` \| \[[^]]+\]\(http\S+\) \| <http\S+> \|",
        (folder / "ATTRIBUTION.md").read_text(),
        re.MULTILINE,
    )
    assert len(images) == count
    assert rows == images


def test_every_scored_image_may_be_redistributed() -> None:
    instances = json.loads((packaged("samples") / "data/coco_ccby/instances.json").read_text())
    assert {image["license"] for image in instances["images"]} <= FREE


def test_every_model_has_its_licence_beside_it() -> None:
    models = list((packaged("samples") / "models").rglob("*.onnx"))
    assert len(models) == 2
    readme = (packaged("samples") / "models/README.md").read_text()
    for model in models:
        assert (model.parent / "LICENSE").read_text().strip()
        assert f"{model.parent.name}/{model.name}" in readme


@pytest.mark.parametrize("folder", ["models", "datasets", "jobs"])
def test_every_profile_names_its_schema(folder: str) -> None:
    paths = list(packaged(folder).glob("*.yaml"))
    assert paths
    for path in paths:
        first = path.read_text().splitlines()[0]
        match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert match, path
        schema = (path.parent / match[1]).resolve()
        assert schema.name == f"{folder.removesuffix('s')}.schema.json"
        assert json.loads(schema.read_text())
