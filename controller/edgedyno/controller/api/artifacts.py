"""Artifacts by HTTP: which are missing, GET with Range, PUT with its hash checked while it streams."""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import FileResponse, Response

from edgedyno.controller.api.access import principal_of
from edgedyno.controller.api.parts import Parts, json_answer, parts_of, read_body
from edgedyno.controller.api.refusals import TooLargeError
from edgedyno.controller.lifecycle import NotFoundError
from edgedyno.controller.security.connection import board_of_connection
from edgedyno.controller.store.results import mark_unscored
from edgedyno.core.errors import ConfigError, RetryableError
from edgedyno.core.profile import Sha256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from edgedyno.controller.lab.files import Upload

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 2**20
_SPARE_BYTES = 2**26  # kept free: a full disk stops the database


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Artifacts that a client is about to upload."""

    sha256: list[Sha256]


async def missing(request: Request) -> Response:
    """Tell which artifacts are not here."""
    wanted = await read_body(request, Wanted)
    store = parts_of(request).store
    absent = await asyncio.to_thread(lambda: [one for one in wanted.sha256 if not store.has(one)])
    return json_answer({"missing": list(dict.fromkeys(absent))})


async def get(request: Request) -> Response:
    """Send an artifact or the asked-for part of it; HEAD sends its headers."""
    sha256 = _name(request)
    store = parts_of(request).store
    await _check_holder(request, sha256)
    if not await asyncio.to_thread(store.has, sha256):
        raise NotFoundError(f"found no artifact {sha256}", code="artifact.unknown")
    headers = {"etag": f'"{sha256}"', "cache-control": "public, max-age=31536000, immutable"}
    return FileResponse(store.path(sha256), headers=headers, media_type="application/octet-stream")


async def put(request: Request) -> Response:
    """Take an artifact in; nothing is left of one whose bytes do not hash to its name."""
    sha256 = _name(request)
    parts = parts_of(request)
    board = board_of_connection(request.scope)
    if board is not None:
        await parts.database.read(parts.board_rights.check_put, board, _announced(request))
    _check_announced(request, parts)
    if await asyncio.to_thread(parts.store.has, sha256):
        async for _ in request.stream():
            pass  # a client that still sends would not hear the answer
        return json_answer({"sha256": sha256, "new": False})
    async with _upload(parts, sha256) as upload:
        block = bytearray()
        async for chunk in request.stream():
            block += chunk
            if len(block) >= _BLOCK_BYTES:
                await asyncio.to_thread(upload.write, bytes(block))
                block.clear()
        await asyncio.to_thread(upload.write, bytes(block))
    if board is not None:
        size_bytes = (await asyncio.to_thread(parts.store.path(sha256).stat)).st_size
        await parts.database.write(parts.board_rights.note_put, board, sha256, size_bytes)
    if await parts.database.write(mark_unscored, sha256):
        parts.scheduler.wake()
    return json_answer({"sha256": sha256, "new": True}, status=201)


async def _check_holder(request: Request, sha256: str) -> None:
    """Raise NotFoundError for a board that fetches what it was not given; HEAD tells it what it need not send."""
    who, parts = principal_of(request), parts_of(request)
    certified = board_of_connection(request.scope)
    if certified is not None:
        await parts.database.read(parts.board_rights.check_get, certified, sha256)
        return
    if who.kind != "board" or request.method != "GET":
        return
    if not await parts.database.read(parts.holdings.may_fetch, who.name, sha256):
        raise NotFoundError(
            f"found no artifact {sha256} among those of what board {who.name!r} runs", code="artifact.unknown"
        )


@asynccontextmanager
async def _upload(parts: Parts, sha256: str) -> AsyncIterator[Upload]:
    """Open an upload whose hashing, syncing and renaming stay off the event loop."""
    with ExitStack() as left:
        opened = parts.store.open_upload(sha256, max_bytes=int(parts.config.max_artifact_bytes))
        upload = await asyncio.to_thread(left.enter_context, opened)
        yield upload
        await asyncio.to_thread(left.close)


def _name(request: Request) -> str:
    name: str = request.path_params["sha256"]
    if not _SHA256.fullmatch(name):
        raise ConfigError(f"found {name!r}, expected 64 hexadecimal digits", code="artifact.name")
    return name


def _check_announced(request: Request, parts: Parts) -> None:
    announced = _announced(request)
    limit = int(parts.config.max_artifact_bytes)
    if announced > limit:
        raise TooLargeError(
            f"found {announced} bytes, expected at most {limit} (max_artifact_bytes)",
            code="artifact.too-large",
        )
    free = shutil.disk_usage(parts.config.data_dir).free
    if announced + _SPARE_BYTES > free:
        raise RetryableError(
            f"found {free} bytes free on the controller's disk, expected {announced + _SPARE_BYTES}",
            code="disk.full",
        )


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0
