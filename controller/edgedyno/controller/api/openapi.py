"""The API as an OpenAPI 3.1 document, made from the table of routes and the types of their bodies."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.api.parts import json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from edgedyno.controller.api.routes import Endpoint

_PATTERNS = {"sha256": "^[0-9a-f]{64}$"}
_REF = "#/components/schemas/{name}"


async def document(_request: Request) -> Response:
    """Describe this API."""
    from edgedyno.controller.api.routes import ENDPOINTS, PREFIX

    return json_answer(describe(ENDPOINTS, prefix=PREFIX))


def describe(endpoints: Sequence[Endpoint], *, prefix: str) -> dict[str, Any]:
    """Return the document of these routes."""
    listed = [each for each in endpoints if not each.at_root]
    kinds = [each.body for each in listed if each.body not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in listed:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgedyno controller", "version": version("edgedyno")},
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "text"],
            "properties": {"code": {"type": "string"}, "text": {"type": "string"}},
        }
    },
}


def _operation(each: Endpoint, by_kind: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": each.summary,
        "operationId": f"{each.handler.__module__.rpartition('.')[2]}_{each.handler.__name__}",
        "description": f"Scope: {each.need}{' (or a board)' if each.boards else ''}.",
        "parameters": [*_in_path(each), *_in_query(each)],
        "responses": {
            "2XX": {"description": "done", "content": {each.answers: {}}},
            "default": {
                "description": "refused, and why",
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}},
            },
        },
    }
    if each.need != "open":
        found["security"] = [{"token": []}]
    if each.body is bytes:
        content: dict[str, Any] = {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
        }
    else:
        content = {"application/json": {"schema": by_kind.get(each.body, {})}}
    if each.body is not None:
        found["requestBody"] = {"required": True, "content": content}
    return found


def _in_path(each: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"pattern": _PATTERNS[name]} if name in _PATTERNS else {})},
        }
        for name in re.findall(r"{(\w+)}", each.path)
    ]


def _in_query(each: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "schema": {"type": "string", **({"enum": list(known)} if known else {})},
        }
        for name, known in each.query.items()
    ]
