"""Documents: errors name file:line, path, found, expected and the nearest name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec

GOOD = """\
# yaml-language-server: $schema=../schema/job.schema.json
name: yolox-int8-or-fp16
model: yolox_nano
dataset: coco_ccby
boards: {labels: {soc: rk3588}}
sweep:
  runtimes: [onnxruntime, ncnn, litert]
  precisions: [fp32, fp16, int8]
  threads: [1, 2, 4, all]
  cores: [all, big, little]
  batch: [1]
  scenario: single-stream
measure:
  precision: 2%
  max_seconds: 600
require:
  latency_p95: 100 ms
  accuracy_drop: 1 pt
  power: 15 W
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        decode_yaml(text, JobSpec, file="job.yaml")
    return str(caught.value).splitlines()


def test_the_documented_job_is_read() -> None:
    job = decode_yaml(GOOD, JobSpec)
    assert job.sweep.threads == [1, 2, 4, "all"]
    assert job.measure.precision == pytest.approx(0.02)
    assert job.require.latency_p95 == pytest.approx(0.1)
    assert job.require.accuracy_drop == pytest.approx(0.01)
    assert job.boards.labels == {"soc": "rk3588"}


def test_a_scenario_with_parameters_is_read() -> None:
    job = decode_yaml("name: a\nmodel: b\nsweep: {scenario: {fixed-rate: {fps: 30}}}", JobSpec)
    assert not isinstance(job.sweep.scenario, str)
    assert job.sweep.scenario.fixed_rate is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("model: yolox", "modle: yolox"),
            "job.yaml:3: modle: found the unknown key 'modle'; did you mean 'model'?",
        ),
        (
            ("precisions: [fp32, fp16, int8]", "precisions: [fp32, int9]"),
            "job.yaml:8: sweep.precisions[1]: found 'int9', expected 'fp16' or 'fp32' or 'int8'; did",
        ),
        (
            ("threads: [1, 2, 4, all]", "threads: [1, al]"),
            "job.yaml:9: sweep.threads[1]: found 'al', expected a number or 'all'; did you mean 'all'?",
        ),
        (
            ("threads: [1, 2, 4, all]", "threads: [0]"),
            "job.yaml:9: sweep.threads[0]: found 0, expected int >= 1",
        ),
        (
            ("100 ms", "100 mss"),
            "job.yaml:17: require.latency_p95: found '100 mss', expected a time such as '100 ms'",
        ),
        (("single-stream", "singlestream"), "did you mean 'single-stream'?"),
        (
            ("name: yolox-int8-or-fp16\n", ""),
            "job.yaml:2: document: found no key 'name', expected one in JobSpec",
        ),
        (
            ("dataset: coco_ccby", "name: again"),
            "job.yaml:4: name: found the key 'name' twice, expected it once",
        ),
    ],
)
def test_a_mistake_is_placed_and_explained(change: tuple[str, str], expected: str) -> None:
    found = mistakes(GOOD.replace(*change))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("measure: {precision: 0}", "measure.precision: found 0, expected a ratio above 0% and at most 50%"),
        ("measure: {precision: 200%}", "found '200%', expected a ratio above 0% and at most 50%"),
        ("measure: {precision: -1%}", "found '-1%', expected a ratio above 0%"),
        ("measure: {precision: 2}", "found 2, expected a ratio above 0% and at most 50%; did you mean '2%'?"),
        ("measure: {precision: .nan}", "found nan, expected a ratio"),
        ("measure: {max_seconds: 0}", "measure.max_seconds: found 0, expected a time at least 1 s"),
        ("measure: {max_seconds: 10 ms}", "found '10 ms', expected a time at least 1 s"),
        (
            "require: {accuracy_drop: 1}",
            "found 1, expected a ratio above -100% and below 100%; did you mean '1%'?",
        ),
        ("require: {power: -3 W}", "require.power: found '-3 W', expected a power above 0 W"),
        ("require: {latency_p95: 0}", "require.latency_p95: found 0, expected a time above 0 s"),
        ("timeouts: {whole: 0}", "timeouts.whole: found 0, expected a time above 0 s"),
        ("sweep: {scenario: {fixed-rate: {fps: 0}}}", "fps: found 0, expected a rate above 0 /s"),
        ("sweep: {threads: []}", "sweep.threads: found [], expected array of length >= 1"),
    ],
)
def test_a_quantity_out_of_bounds_is_placed_with_its_bounds(line: str, expected: str) -> None:
    (found,) = mistakes(f"name: a\nmodel: b\n{line}\n")
    assert found.startswith("job.yaml:3: ")
    assert expected in found


def test_the_bounds_themselves_are_allowed() -> None:
    job = decode_yaml("name: a\nmodel: b\nmeasure: {precision: 50%, max_seconds: 1 s}", JobSpec)
    assert (job.measure.precision, job.measure.max_seconds) == (0.5, 1.0)


def test_all_mistakes_are_reported_at_once() -> None:
    text = GOOD.replace("name:", "nam:").replace("power: 15 W", "power: 15 Watt")
    assert len(mistakes(text)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# a comment",
        "a: [",
        "- 1",
        "words",
        "a: &a [*a]",
        "a: !!python/object:os.system x",
        "[" * 99 + "]" * 99,
    ],
)
def test_what_is_no_job_is_refused(text: str) -> None:
    assert mistakes(text)[0].startswith("job.yaml:")


@given(st.text(max_size=200))
def test_any_text_gives_a_job_or_a_config_error(text: str) -> None:
    try:
        decode_yaml(text, JobSpec)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
