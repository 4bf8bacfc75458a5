"""Committed schemas are the types' own, and the documented job passes them."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from edgedyno.core.schema import SCHEMAS, schema_text
from tests.conftest import ROOT
from tests.core.test_document import GOOD


@pytest.mark.parametrize("name", SCHEMAS)
def test_committed_schema_is_current(name: str) -> None:
    assert (ROOT / "docs" / "schema" / f"{name}.schema.json").read_text() == schema_text(name)


def test_editors_accept_the_documented_job() -> None:
    jsonschema.validate(yaml.safe_load(GOOD), json.loads(schema_text("job")))


def test_editors_refuse_an_unknown_key() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD + "colour: blue\n"), json.loads(schema_text("job")))
