"""A controller with TLS for tests: a real service over HTTPS in this process, boards that join it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from edgedyno.agent.identity_joining import join
from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.security.authority import Authority
from edgedyno.controller.service import Service
from tests.controller.security.broker import TlsMosquitto, context_of
from tests.controller.service.standins import ScriptedLaboratory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edgedyno.core.enrolment import Identity


class Site:
    """A controller, and its broker where there is one, in one folder."""

    def __init__(self, folder: Path, config: ControllerConfig, broker: TlsMosquitto | None) -> None:
        self.folder = folder
        self.config = config
        self.broker = broker
        self.service: Service
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Start a controller."""
        self.service = Service(
            self.config, laboratory=ScriptedLaboratory(), needs_reduce_range=lambda _features: False
        )
        await self._running.enter_async_context(self.service.running())

    async def stop(self) -> None:
        """End the controller."""
        await self._running.aclose()

    async def restart(self) -> None:
        """End the controller and start another at the same address."""
        port = httpx.URL(self.service.url).port
        await self.stop()
        self.config = msgspec.structs.replace(self.config, listen_port=port)
        await self.start()

    @property
    def ca_file(self) -> Path:
        """The roots to trust."""
        return self.config.security_folder / "ca.pem"

    def http(self, identity: Path | None = None) -> httpx.AsyncClient:
        """Return a client of the API, with a certificate or without."""
        return httpx.AsyncClient(
            base_url=f"{self.service.url}/api/v1",
            verify=context_of(self.ca_file, identity),
            trust_env=False,
        )

    async def token(self, board: str | None, **options: Any) -> str:
        """Have a token made."""
        async with self.http() as http:
            answer = await http.post("/enrolments", json={"board": board, **options})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def join(self, state_dir: Path, token: str, board: str | None = None) -> Identity:
        """Have a board join; its folder is made."""
        return await asyncio.to_thread(_join, state_dir, token, board)

    async def enrol(self, board: str) -> Path:
        """Have a board join and return its state folder."""
        state_dir = self.folder / board
        await self.join(state_dir, await self.token(board))
        return state_dir


def _join(state_dir: Path, token: str, board: str | None) -> Identity:
    state_dir.mkdir(exist_ok=True)
    return join(state_dir, token, board=board, hostname="host")


@asynccontextmanager
async def running_site(
    folder: Path, *, broker: bool = False, dynsec: bool = False, **config: Any
) -> AsyncIterator[Site]:
    """Run a controller over HTTPS; with `broker`, a mosquitto of the generated configuration as well."""
    data_dir = folder / "controller"
    made = (
        TlsMosquitto(folder / "broker", Authority.ensure(data_dir / "security" / "ca"), dynsec=dynsec)
        if broker
        else None
    )
    if made is not None:
        made.start()
        config |= {
            "broker_port": made.port,
            "broker_tls": True,
            "broker_dir": str(made.folder),
            "broker_pid_file": str(made.pid_file),
            "broker_dynsec": dynsec,
            "boards_broker": f"127.0.0.1:{made.port}",
        }
    site = Site(folder, ControllerConfig(data_dir=str(data_dir), tls=True, listen_port=0, **config), made)
    try:
        await site.start()
        yield site
    finally:
        await site.stop()
        if made is not None:
            made.kill()
