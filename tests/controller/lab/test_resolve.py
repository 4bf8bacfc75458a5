"""Jobs to resolved jobs: names, paths and inline profiles, and a clear error for each thing that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import onnx
import pytest

from edgedyno.controller.lab.resolve import load_job, resolve_job
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.job import FixedRate, Scenario, Soak, Sweep
from edgedyno.core.profile import QuantizeSpec
from tests.controller.lab import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import JobSpec
    from edgedyno.core.manifest import ResolvedJob


def _error(spec: JobSpec, base: Path, store: ContentStore) -> EdgedynoError:
    with pytest.raises(EdgedynoError) as caught:
        resolve_job(spec, base=base, store=store)
    return caught.value


def _model(**changes: Any) -> JobSpec:
    return tiny.job(model=tiny.model_profile(**changes))


def _dataset(**changes: Any) -> JobSpec:
    return tiny.job(dataset=tiny.dataset_profile(**changes))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a folder with everything that the tiny job needs."""
    folder = tmp_path / "user"
    folder.mkdir()
    return tiny.write_all(folder)


def test_the_bundled_jobs_resolve(sample_jobs: dict[str, ResolvedJob], sample_store: ContentStore) -> None:
    assert set(sample_jobs) == {"fastestdet", "yolox_nano", "yolox_nano_float_stem"}
    for resolved in sample_jobs.values():
        assert (len(resolved.images), len(resolved.calibration)) == (17, 24)
        assert resolved.class_names[0] == "person"
        assert len(resolved.class_names) == 80
        assert resolved.source.sha256 == resolved.model.sha256
        assert resolved.annotations is not None
        files = [resolved.source, resolved.annotations, *resolved.calibration]
        for reference in [*files, *(image.file for image in resolved.images)]:
            sample_store.verify(reference.sha256)


def test_image_ids_are_those_of_the_annotations(
    sample_jobs: dict[str, ResolvedJob], sample_store: ContentStore
) -> None:
    resolved = sample_jobs["fastestdet"]
    assert resolved.annotations is not None
    listed = json.loads(sample_store.read(resolved.annotations.sha256))["images"]
    assert {(image.id, image.file.name) for image in resolved.images} == {
        (image["id"], image["file_name"]) for image in listed
    }


def test_an_inline_job_resolves(base: Path, store: ContentStore) -> None:
    resolved = resolve_job(tiny.job(), base=base, store=store)
    assert resolved.class_names == tiny.CLASSES
    assert [image.id for image in resolved.images] == list(range(6))
    assert resolved.model.sha256 == resolved.source.sha256


def test_profiles_are_found_by_path_and_their_paths_are_relative_to_them(
    base: Path, store: ContentStore, tmp_path: Path
) -> None:
    (base / "mine.yaml").write_bytes(msgspec.yaml.encode(tiny.model_profile()))
    (base / "data.yaml").write_bytes(msgspec.yaml.encode(tiny.dataset_profile()))
    spec = tiny.job(model="user/mine.yaml", dataset="user/data.yaml")
    assert len(resolve_job(spec, base=tmp_path, store=store).images) == 6


def test_a_job_without_a_data_set_resolves(base: Path, store: ContentStore) -> None:
    resolved = resolve_job(tiny.job(dataset=None), base=base, store=store)
    assert (resolved.images, resolved.dataset, resolved.annotations) == ([], None, None)


def test_a_data_set_without_annotations_resolves(base: Path, store: ContentStore) -> None:
    resolved = resolve_job(_dataset(annotations=None), base=base, store=store)
    assert resolved.annotations is None
    assert [image.id for image in resolved.images] == list(range(6))


def test_class_names_come_from_a_file_too(base: Path, store: ContentStore) -> None:
    (base / "names.txt").write_text("b\ng\n\nr\n")
    assert resolve_job(_model(classes="names.txt"), base=base, store=store).class_names == ["b", "g", "r"]


def test_an_unknown_model_names_the_nearest_and_the_place(base: Path, store: ContentStore) -> None:
    error = _error(tiny.job(model="yolox-nano"), base, store)
    assert error.code == "profile.unknown"
    assert error.exit_code == 2
    assert "did you mean 'yolox_nano'?" in str(error)
    assert "profiles/models" in str(error)


def test_an_unknown_data_set_names_the_nearest(base: Path, store: ContentStore) -> None:
    error = _error(tiny.job(dataset="coco_cc"), base, store)
    assert error.code == "profile.unknown"
    assert "did you mean 'coco_ccby'?" in str(error)


def test_a_path_that_leads_nowhere_is_named(base: Path, store: ContentStore) -> None:
    error = _error(tiny.job(model="no/such.yaml"), base, store)
    assert (error.code, str(base / "no/such.yaml") in str(error)) == ("profile.unknown", True)


def test_a_model_file_in_place_of_a_profile_is_explained(base: Path, store: ContentStore) -> None:
    error = _error(tiny.job(model="tiny.onnx"), base, store)
    assert error.code == "profile.is-model"
    assert "source: tiny.onnx" in str(error)


def test_a_mistake_in_a_profile_names_its_line(base: Path, store: ContentStore) -> None:
    (base / "mine.yaml").write_text("name: x\ntask: detect\nsorce: y\n")
    error = _error(tiny.job(model="./mine.yaml"), base, store)
    assert "mine.yaml:3: sorce: found the unknown key 'sorce'; did you mean 'source'?" in str(error)


def test_tasks_that_differ_are_refused(base: Path, store: ContentStore) -> None:
    assert _error(tiny.job(dataset="coco_ccby"), base, store).code == "job.task"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "model.missing"),
        (b"", "model.empty"),
        (b"this is text and no model", "model.not-onnx"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "model.not-onnx"),
        (bytes(4096), "model.not-onnx"),
    ],
)
def test_a_source_that_is_no_model_is_refused(
    base: Path, store: ContentStore, content: bytes | None, code: str
) -> None:
    (base / "tiny.onnx").unlink()
    if content is not None:
        (base / "tiny.onnx").write_bytes(content)
    error = _error(tiny.job(), base, store)
    assert (error.code, "tiny.onnx" in str(error)) == (code, True)
    assert list(store.names()) == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_model_is_refused(base: Path, store: ContentStore, share: float) -> None:
    data = (base / "tiny.onnx").read_bytes()
    (base / "tiny.onnx").write_bytes(data[: int(len(data) * share)])
    assert _error(tiny.job(), base, store).code in {"model.not-onnx", "model.invalid"}


def test_a_wrong_sha256_is_refused(base: Path, store: ContentStore) -> None:
    error = _error(_model(sha256="0" * 64), base, store)
    assert error.code == "model.wrong-sha256"
    assert "0" * 64 in str(error)


def test_a_model_without_fp32_weights_is_refused(base: Path, store: ContentStore) -> None:
    tiny.write_model(base / "tiny.onnx", weight_type=onnx.TensorProto.FLOAT16)
    error = _error(tiny.job(), base, store)
    assert error.code == "model.not-fp32"
    assert "81 of FLOAT16" in str(error)


def test_an_opset_of_the_future_is_refused(base: Path, store: ContentStore) -> None:
    tiny.write_model(base / "tiny.onnx", opset=999)
    error = _error(tiny.job(), base, store)
    assert (error.code, "999" in str(error)) == ("model.opset", True)


def test_weights_in_another_file_are_refused(base: Path, store: ContentStore) -> None:
    onnx.save(
        tiny.model(), base / "tiny.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    assert _error(tiny.job(), base, store).code == "model.external-data"


def test_an_input_of_another_size_is_refused(base: Path, store: ContentStore) -> None:
    spec = msgspec.structs.replace(tiny.model_profile().input, size=(32, 16))
    error = _error(_model(input=spec), base, store)
    assert error.code == "model.input"
    assert "[1, 3, 16, 16]" in str(error)
    assert "[1, 3, 32, 16]" in str(error)


@pytest.mark.parametrize("pattern", ["convolution", "(", "con"])
def test_an_exclusion_that_matches_nothing_is_refused(base: Path, store: ContentStore, pattern: str) -> None:
    error = _error(_model(quantize=QuantizeSpec(exclude=[pattern])), base, store)
    assert (error.code, repr(pattern) in str(error)) == ("model.exclude", True)


def test_a_typo_in_an_exclusion_names_the_nearest_node(base: Path, store: ContentStore) -> None:
    error = _error(_model(quantize=QuantizeSpec(exclude=["flaten"])), base, store)
    assert "did you mean 'flatten'?" in str(error)


@pytest.mark.parametrize("classes", ["coco8", [], ["a", "b", "a"]])
def test_class_names_that_cannot_be_are_refused(
    base: Path, store: ContentStore, classes: str | list[str]
) -> None:
    assert _error(_model(classes=classes), base, store).code == "model.classes"


def test_a_folder_that_is_not_there_is_named(base: Path, store: ContentStore) -> None:
    error = _error(_dataset(images="pictures"), base, store)
    assert (error.code, str(base / "pictures") in str(error)) == ("dataset.images", True)


def test_a_folder_without_images_is_refused(base: Path, store: ContentStore) -> None:
    (base / "bare").mkdir()
    assert _error(_dataset(images="bare", annotations=None), base, store).code == "dataset.images"


def test_missing_images_are_counted_and_the_first_are_named(base: Path, store: ContentStore) -> None:
    for index in range(4):
        (base / f"images/0-{index:03}.png").unlink()
    error = _error(tiny.job(), base, store)
    assert error.code == "dataset.image-missing"
    assert "are not there: 4 (" in str(error)
    assert "0-002.png, …" in str(error)


def test_empty_images_are_counted(base: Path, store: ContentStore) -> None:
    (base / "images/0-001.png").write_bytes(b"")
    error = _error(tiny.job(), base, store)
    assert (error.code, "0 bytes: 1 (0-001.png)" in str(error)) == ("dataset.image-empty", True)


def test_missing_annotations_are_named(base: Path, store: ContentStore) -> None:
    error = _error(_dataset(annotations="no.csv"), base, store)
    assert (error.code, "no.csv" in str(error)) == ("dataset.annotations", True)


@pytest.mark.parametrize("text", ["", "file,class_index\n", "a.png\n", "file,class\na.png,1\nb.png,cat\n"])
def test_labels_that_are_none_are_refused(base: Path, store: ContentStore, text: str) -> None:
    (base / "labels.csv").write_text(text)
    assert _error(tiny.job(), base, store).code == "dataset.annotations"


def test_a_wrong_row_is_named_by_its_line(base: Path, store: ContentStore) -> None:
    (base / "labels.csv").write_text("file,class_index\n0-000.png,1\n0-001.png,cat\n")
    assert "labels.csv:3: found the class 'cat' among numbers" in str(_error(tiny.job(), base, store))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "not JSON"),
        ("[]", "not COCO instances"),
        ('{"images": [], "annotations": [], "categories": []}', "no images"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "file_name"),
    ],
)
def test_instances_that_are_none_are_refused(base: Path, store: ContentStore, text: str, found: str) -> None:
    (base / "instances.json").write_text(text)
    spec = tiny.job(
        model=tiny.model_profile(task="detect"),
        dataset=tiny.dataset_profile(task="detect", annotations="instances.json"),
    )
    error = _error(spec, base, store)
    assert (error.code, found in str(error)) == ("dataset.annotations", True)


def test_categories_that_the_model_does_not_know_are_refused(base: Path, store: ContentStore) -> None:
    instances = {
        "images": [{"id": 1, "file_name": "0-000.png"}],
        "annotations": [],
        "categories": [{"id": 1, "name": "submarine"}],
    }
    (base / "instances.json").write_text(json.dumps(instances))
    spec = tiny.job(
        model=tiny.model_profile(task="detect"),
        dataset=tiny.dataset_profile(task="detect", annotations="instances.json"),
    )
    assert _error(spec, base, store).code == "dataset.classes"


def test_a_calibration_folder_that_is_not_there_is_named(base: Path, store: ContentStore) -> None:
    error = _error(_dataset(calibration="warmth"), base, store)
    assert (error.code, str(base / "warmth") in str(error)) == ("dataset.calibration", True)


def test_a_job_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgedynoError, match=r"none\.yaml") as caught:
        load_job(tmp_path / "none.yaml")
    assert caught.value.code == "job.unreadable"


def test_a_job_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgedynoError) as caught:
        load_job(tmp_path / "job.yaml")
    assert caught.value.code == "job.unreadable"


def test_a_soak_longer_than_the_time_to_measure_is_refused(base: Path, store: ContentStore) -> None:
    spec = tiny.job(sweep=Sweep(scenario=Scenario(soak=Soak(30.0))))
    error = _error(spec, base, store)
    assert error.code == "soak.too-long"
    assert "found 30 min for 1 trial, 1800 s in all" in str(error)


@pytest.mark.parametrize("fps", [0.0, 1e6])
def test_a_rate_that_no_board_can_time_is_refused(base: Path, store: ContentStore, fps: float) -> None:
    spec = tiny.job(sweep=Sweep(scenario=Scenario(fixed_rate=FixedRate(fps))))
    error = _error(spec, base, store)
    assert error.code == "scenario.invalid"
    assert "expected 0.5 to 2000" in str(error)
