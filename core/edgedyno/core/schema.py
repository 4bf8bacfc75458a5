"""JSON Schemas of the documents and messages, generated from the types."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from edgedyno.core.board import Capabilities
from edgedyno.core.environment import EnvironmentProfile
from edgedyno.core.job import JobSpec
from edgedyno.core.messages import AnyMessage
from edgedyno.core.profile import DatasetProfile, ModelProfile
from edgedyno.core.result import OperatorProfile, Predictions, Result, Samples

SCHEMAS: dict[str, Any] = {
    "job": JobSpec,
    "model": ModelProfile,
    "dataset": DatasetProfile,
    "result": Result,
    "samples": Samples,
    "predictions": Predictions,
    "profile": OperatorProfile,
    "capabilities": Capabilities,
    "environment": EnvironmentProfile,
    "message": AnyMessage,
}


def schema_text(name: str) -> str:
    """Return the schema called `name` as committed under docs/schema/NAME.schema.json."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"edgedyno {name}",
        **_allow_extending(_allow_quantities(msgspec.json.schema(SCHEMAS[name]))),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _allow_quantities(schema: Any) -> Any:
    """Let a number that has a dimension also be written as text: `100 ms`."""
    if isinstance(schema, list):
        return [_allow_quantities(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _allow_quantities(item) for key, item in schema.items()}
    return {**changed, "type": ["number", "string"]} if "x-dimension" in schema else changed


def _allow_extending(schema: Any) -> Any:
    """Let a model's profile leave out what it takes from the one that it extends."""
    profile = schema.get("$defs", {}).get("ModelProfile")
    if profile is not None:
        profile["anyOf"] = [{"required": ["extends"]}, {"required": profile.pop("required")}]
    return schema
