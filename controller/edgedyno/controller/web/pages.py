"""The web page: jobs, boards, and where everything is. Plain HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from edgedyno.controller.api.boards import read_views
from edgedyno.controller.api.jobs import read_summaries
from edgedyno.controller.api.parts import parts_of
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from starlette.requests import Request

_environment = Environment(
    loader=PackageLoader("edgedyno.controller.web"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["bytes"] = format_bytes


async def index(request: Request) -> Response:
    """Show jobs and boards."""
    parts = parts_of(request)
    page = _environment.get_template("index.html").render(
        jobs=await parts.database.read(read_summaries, parts.clock.now()),
        boards=await parts.database.read(read_views, parts),
        broker=f"{parts.config.broker_host}:{parts.config.broker_port}",
        broker_connected=parts.mqtt_connected(),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(page, headers={"content-security-policy": policy})
