"""JSON Schemas of the documents and messages, generated from the types."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from edgedyno.core.board import Capabilities
from edgedyno.core.job import JobSpec
from edgedyno.core.messages import AnyMessage
from edgedyno.core.profile import DatasetProfile, ModelProfile
from edgedyno.core.result import Predictions, Result, Samples

SCHEMAS: dict[str, Any] = {
    "job": JobSpec,
    "model": ModelProfile,
    "dataset": DatasetProfile,
    "result": Result,
    "samples": Samples,
    "predictions": Predictions,
    "capabilities": Capabilities,
    "message": AnyMessage,
}


def schema_text(name: str) -> str:
    """Return the schema called `name` as committed under docs/schema/NAME.schema.json."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"edgedyno {name}",
        **msgspec.json.schema(SCHEMAS[name]),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
