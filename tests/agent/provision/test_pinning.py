"""What pip is told, by entry, Python, architecture and version."""

from __future__ import annotations

import pytest

from edgedyno.agent.provision.catalogue import find_entry
from edgedyno.agent.provision.pinning import choose_steps, main_version, nearest_python
from edgedyno.core.errors import ConfigError, UnsupportedError


def packages(name: str, python: str, version: str | None = None) -> list[str]:
    steps = choose_steps(find_entry(name), python, "x86_64", version)
    return [each for step in steps for each in step.packages]


def test_each_python_has_its_pins() -> None:
    assert packages("onnxruntime", "3.9") == ["onnxruntime==1.19.2", "numpy==2.0.2"]
    assert packages("onnxruntime", "3.13")[0] == "onnxruntime==1.31.1"
    assert packages("tflite", "3.11") == ["tflite-runtime==2.14.0", "numpy==1.26.4"]


def test_a_version_takes_the_place_of_the_main_packages_pin() -> None:
    assert packages("onnxruntime", "3.11", "1.30.0") == ["onnxruntime==1.30.0", "numpy==2.4.6"]
    for version in ("20260526", "1.0.20260526"):
        steps = choose_steps(find_entry("ncnn"), "3.11", "x86_64", version)
        assert steps[0].packages == ["ncnn==1.0.20260526", "numpy==2.4.6"]
        assert main_version(find_entry("ncnn"), steps) == "20260526"
    rknn = choose_steps(find_entry("rknn"), "3.11", "x86_64", "2.3.2")
    assert rknn[0].packages[0] == "rknn-toolkit2==2.3.2"
    assert rknn[0].no_deps


def test_a_python_without_pins_names_those_that_have_them() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_steps(find_entry("tflite"), "3.13", "x86_64")
    assert str(caught.value) == (
        "tflite: found no pins for Python 3.13 on x86_64, expected one of 3.8, 3.9, 3.10, 3.11; "
        "the nearest is --python 3.11"
    )
    assert nearest_python("3.9", ["3.8", "3.10"]) == "3.10"


def test_an_architecture_without_packages_is_said() -> None:
    with pytest.raises(UnsupportedError, match="rknn-lite: found the architecture x86_64, expected aarch64"):
        choose_steps(find_entry("rknn-lite"), "3.11", "x86_64")
    with pytest.raises(UnsupportedError, match=r"aarch64 \(32-bit Python\), expected aarch64 or x86_64"):
        choose_steps(find_entry("ncnn"), "3.11", "aarch64 (32-bit Python)")
