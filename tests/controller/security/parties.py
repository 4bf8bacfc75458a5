"""Clients with certificates for the tests of identities, and the server they call."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from edgedyno.controller.security.connection import board_of_connection, peer_of_connection
from edgedyno.controller.security.tls import server_context
from edgedyno.controller.server import HttpServer, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from starlette.requests import Request

    from edgedyno.controller.security.authority import Authority
    from edgedyno.controller.security.certificates import Revoked


def write_trust(authority: Authority, folder: Path, revoked: Iterable[Revoked] = ()) -> None:
    """Write the roots and the list of revoked certificates into `folder`."""
    (folder / "ca.pem").write_bytes(authority.bundle())
    (folder / "crl.pem").write_bytes(authority.revocations(revoked))


def server_tls(authority: Authority, folder: Path) -> ssl.SSLContext:
    """Return the server's context; its files are in `folder`."""
    authority.server(folder / "server", ["127.0.0.1", "localhost"])
    write_trust(authority, folder)
    return server_context(ca_file=folder / "ca.pem", list_file=folder / "crl.pem", identity=folder / "server")


def client_tls(ca_file: Path, identity: Path | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts `ca_file`, with a certificate or without."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if identity is not None:
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    return context


async def _who(request: Request) -> JSONResponse:
    peer = peer_of_connection(request.scope)
    return JSONResponse({"board": board_of_connection(request.scope), "name": peer.name if peer else None})


@asynccontextmanager
async def who_server(context: ssl.SSLContext | None) -> AsyncIterator[tuple[str, HttpServer]]:
    """Run a server that tells clients who they are; yield its URL and itself."""
    listener = listen("127.0.0.1", 0)
    server = HttpServer(listener, context=context)
    task = asyncio.create_task(server.run(Starlette(routes=[Route("/who", _who)])))
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/who", server
    finally:
        await server.stop()
        await task
        listener.close()


async def ask(url: str, tls: ssl.SSLContext | None = None) -> dict[str, str | None]:
    """Ask a server who this client is."""
    async with httpx.AsyncClient(verify=tls or True, trust_env=False) as client:
        answer: dict[str, str | None] = (await client.get(url)).raise_for_status().json()
        return answer
