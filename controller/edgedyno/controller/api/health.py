"""Health and metrics by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder
from sqlalchemy import select
from starlette.responses import Response

from edgedyno.controller.api.parts import json_answer, parts_of

if TYPE_CHECKING:
    from starlette.requests import Request


async def healthz(request: Request) -> Response:
    """Tell whether database and broker are there; a database that is not answers as an error."""
    parts = parts_of(request)
    await parts.database.read(lambda connection: connection.execute(select(1)).scalar())
    connected = parts.mqtt_connected()
    found = {"database": True, "broker": connected}
    return json_answer(found, status=200 if connected else 503)


async def metrics(request: Request) -> Response:
    """Send the metrics in the format that the scraper prefers."""
    parts = parts_of(request)
    parts.collector.snapshot = await parts.database.read(parts.snapshots.take)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(parts.registry), headers={"content-type": content_type})
