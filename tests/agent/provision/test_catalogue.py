"""The catalogue is whole, and what it says of itself holds."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from edgedyno.agent.config import AgentConfig
from edgedyno.agent.environments import find_plugins
from edgedyno.agent.main import _parser
from edgedyno.agent.provision import catalogue
from edgedyno.agent.provision.commands import docs_rows
from edgedyno.agent.provision.pinning import choose_steps, main_version
from edgedyno.controller.config import ControllerConfig
from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import Sweep
from edgedyno.core.schema import schema_text
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.environment import EnvironmentProfile

FOLDER = ROOT / "profiles/edgedyno/profiles/environments"
ENTRIES = catalogue.catalogue()
BUILT = {"ncnn", "openvino", "tflite", "mnn", "rknn"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_an_entry_is_whole(entry: EnvironmentProfile) -> None:
    file = FOLDER / f"{entry.id}.yaml"
    jsonschema.validate(yaml.safe_load(file.read_text()), json.loads(schema_text("environment")))
    assert file.read_text().startswith(
        "# yaml-language-server: $schema=../../../../docs/schema/environment.schema.json\n"
    )
    assert entry.runtimes or entry.builds
    assert set(entry.builds) <= BUILT
    for pins in entry.pins:
        for python in pins.python:
            for architecture in pins.architectures:
                steps = choose_steps(entry, python, architecture)
                assert steps == pins.steps, "two pins for one Python"
                assert main_version(entry, steps)
                names = [each.partition("==")[0].lower() for step in steps for each in step.packages]
                assert "numpy" in names


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_what_was_tested_is_pinned(entry: EnvironmentProfile) -> None:
    for tried in entry.tested:
        assert choose_steps(entry, tried.python, tried.architecture)
        assert dt.date.fromisoformat(tried.date)


def test_every_runtime_and_every_builder_can_be_had() -> None:
    known = {name for one in ENTRIES for name in (*one.runtimes, *one.other_builds)}
    assert {plugin.name for plugin in find_plugins()} <= known
    assert {form for entry in ENTRIES for form in entry.builds} == BUILT


def test_an_unknown_entry_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'openvno' in the catalogue.*did you mean 'openvino'\?"):
        catalogue.find_entry("openvno")


def test_how_to_have_a_runtime(tmp_path: Path) -> None:
    assert catalogue.how_to_add("ncnn", "x86_64") == "edgedyno agent runtimes add ncnn"
    assert catalogue.how_to_add("tensorrt", "x86_64", tmp_path) == ("it needs an NVIDIA GPU, and found none")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert catalogue.how_to_add("tensorrt", "x86_64", tmp_path) == "edgedyno agent runtimes add tensorrt"
    assert catalogue.how_to_add("tensorrt", "aarch64", tmp_path) == "there is no package for aarch64"
    assert catalogue.how_to_add("rknn-simulator", "x86_64", tmp_path) == "edgedyno agent runtimes add rknn"
    assert catalogue.how_to_add("rknn", "aarch64", tmp_path) == ("it needs a Rockchip NPU, and found none")
    assert catalogue.how_to_add("scripted", "x86_64") == "docs/runtimes.md says how to add it"


def test_the_table_of_the_document_is_the_catalogues() -> None:
    assert docs_rows() in (ROOT / "docs/runtimes.md").read_text()


def test_the_configurations_of_the_document_are_valid() -> None:
    text = (ROOT / "docs/runtimes.md").read_text()
    sweep, builders, agent = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert decode_yaml(sweep.partition("\n")[2].strip(), Sweep).runtimes == ["ncnn@20260526", "ncnn@20261020"]
    assert set(decode_yaml(builders, ControllerConfig).builders) == {"openvino", "ncnn"}
    assert decode_yaml(agent, AgentConfig).runtimes[1].runtimes == ["tensorrt"]


def test_the_commands_of_the_document_parse() -> None:
    text = (ROOT / "docs/runtimes.md").read_text()
    lines = re.findall(r"^edgedyno agent (runtimes .*)$", text, re.MULTILINE)
    assert len(lines) >= 7
    for line in lines:
        options = _parser(runtimes=True).parse_args(shlex.split(line, comments=True))
        if hasattr(options, "entry") and options.entry:
            catalogue.find_entry(options.entry)
