"""How much the HTTP side takes: rates, headers, bodies, slowness, connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from edgedyno.controller.api import gate
from edgedyno.controller.api.gate import Body
from edgedyno.controller.api.refusals import SlowBodyError
from edgedyno.controller.security import deadlines
from edgedyno.controller.security.limits import RateLimit
from tests.controller.service.conftest import make_service
from tests.controller.service.standins import ScriptedLaboratory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.service import Service


@pytest.fixture
def database_url(tmp_path: Any) -> str:
    """No matter of the database's kind."""
    return f"sqlite:///{tmp_path / 'store.sqlite3'}"


@pytest.fixture
async def limited(config: ControllerConfig) -> AsyncIterator[Service]:
    """Run a service with a small rate."""
    small = msgspec.structs.replace(config, requests_per_second=1.0, requests_at_once=5.0)
    async with make_service(small, ScriptedLaboratory()).running() as running:
        yield running


async def raw(url: str, text: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes as they are; return all that comes until the other side hangs up."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(text)
        return await asyncio.wait_for(reader.read(), seconds)
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server does in its own time."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.04)
    pytest.fail("it did not come")


def test_a_bucket_fills_again_and_forgets_the_oldest_client() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3.0, clients=2, clock=lambda: now[0])
    assert [limit.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] += 0.5
    assert limit.empty("a") == 0.0
    assert limit.take("a") == 0.0
    assert limit.take("a") > 0.0
    limit.take("b")
    limit.take("c")
    assert len(limit) == 2


async def test_too_many_requests_are_told_when_to_come_back(limited: Service) -> None:
    async with httpx.AsyncClient(base_url=limited.url, trust_env=False) as client:
        answers = [await client.get("/healthz") for _ in range(8)]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5 or answers[0].status_code == 503
    last = answers[-1]
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert last.json()["error"]["code"] == "request.rate"


async def test_guessing_tokens_is_slowed_down(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
        answers = [
            await client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {number}"})
            for number in range(25)
        ]
    assert {answer.status_code for answer in answers} == {401, 429}


@pytest.mark.parametrize("path", ["/api/v1/jobs", f"/api/v1/artifacts/{'ab' * 32}", "/api/v1/nowhere", "/"])
async def test_ten_gigabytes_are_refused_before_one_byte_is_read(service: Service, path: str) -> None:
    method = "PUT" if "artifacts" in path else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000000\r\n\r\n"
    answer = await raw(service.url, head.encode())
    expected = {"/": b"405", "/api/v1/nowhere": b"404"}.get(path, b"413")
    assert answer.split(b" ")[1] == expected
    assert b"connection: close" in answer.lower()


async def test_an_announced_body_is_not_awaited_where_none_belongs(service: Service) -> None:
    head = b"POST /api/v1/jobs/x/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 70000\r\n\r\n"
    assert b" 413 " in await raw(service.url, head)


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"0x10", b"\xb2", b"5, 6"])
async def test_a_length_that_is_no_number_is_refused(service: Service, length: bytes) -> None:
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + length + b"\r\n\r\n"
    assert b" 400 " in await raw(service.url, head)


async def test_a_chunked_body_is_counted(config: ControllerConfig) -> None:
    small = msgspec.structs.replace(config, max_request_bytes=2e5)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with make_service(small, ScriptedLaboratory()).running() as running:
        head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await raw(running.url, head + chunk * 4)
    assert b" 413 " in answer.partition(b"\r\n")[0]


async def test_many_headers_are_refused(service: Service) -> None:
    lines = b"".join(b"X-%d: y\r\n" % number for number in range(150))
    answer = await raw(
        service.url, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + lines + b"\r\n"
    )
    assert b" 431 " in answer.partition(b"\r\n")[0]


async def test_headers_without_end_are_refused(service: Service) -> None:
    answer = await raw(service.url, b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000)
    assert b" 400 " in answer.partition(b"\r\n")[0]


async def test_a_long_path_is_refused(service: Service) -> None:
    answer = await raw(
        service.url, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    assert b" 414 " in answer.partition(b"\r\n")[0]


async def test_slow_headers_end_the_connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEADER_SECONDS", 0.3)
    parts = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)

    async def drip() -> None:
        while True:
            writer.write(b"G")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        with contextlib.suppress(ConnectionResetError):  # a plain end will do as well
            assert await asyncio.wait_for(reader.read(), 10) == b""
    finally:
        dripping.cancel()
        writer.close()
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 200


async def test_a_kept_connection_has_the_same_time_for_its_next_headers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "HEADER_SECONDS", 0.3)
    whole = b"GET /api/v1/boards HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    try:
        answer = await raw(service.url, whole + b"GET / HT")
    except ConnectionResetError:
        return
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_body_that_stands_still_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_IDLE_SECONDS", 0.3)
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"
    answer = await raw(service.url, head)
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert b"request.slow" in answer


async def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_GRACE_SECONDS", 0.0)

    async def drop() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    body = Body(drop, announced=1000.0)

    async def read() -> None:
        for _ in range(100):
            await body()

    with pytest.raises(SlowBodyError, match="bytes of the body came"):
        await read()


async def test_an_upload_that_breaks_off_leaves_nothing(service: Service, config: ControllerConfig) -> None:
    head = f"PUT /api/v1/artifacts/{'ab' * 32} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc"
    parts = urlsplit(service.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    await until(lambda: not [one for one in config.artifacts_dir.rglob("*") if one.is_file()])


def test_a_reader_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server on a socket whose other side never reads."""
    import uvicorn

    monkeypatch.setattr(deadlines, "DRAIN_SECONDS", 0.2)
    ended: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * (1 << 20), "more_body": True})
        ended.append("sent all")

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(endless, http=deadlines.GuardedProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: bool(server.server_state.connections))
        await until(lambda: not server.server_state.connections)
        writer.close()
        server.should_exit = True
        await serving

    asyncio.run(main())


async def test_an_address_has_its_share_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "PER_ADDRESS", 2)
    import uvicorn
    from uvicorn.server import ServerState

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    state = ServerState()
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    transports = [_Transport(("192.0.2.1", number)) for number in range(4)] + [_Transport(("192.0.2.2", 1))]
    for transport in transports:
        protocol = deadlines.GuardedProtocol(config, state, {})
        protocol.connection_made(transport)
        transport.protocol = protocol
    assert [transport.aborted for transport in transports] == [False, False, True, True, False]
    for transport in transports:
        transport.protocol.connection_lost(None)


class _Transport(asyncio.Transport):
    """A connection that exists in name only."""

    def __init__(self, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": ("192.0.2.9", 80)})
        self.aborted = False
        self.protocol: Any = None

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.aborted


NAMES = (
    "..",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a%0Ab",
    "%2e%2e/%2e%2e",
    "C:%5Cx",
    "a" * 500,
)
PATHS = ("artifacts/{}", "jobs/{}", "boards/{}", "jobs/{}/report", "jobs/{}/verdict")


async def test_no_id_is_ever_a_path(service: Service) -> None:
    for name in NAMES:
        for path in PATHS:
            asked = (
                f"GET /api/v1/{path.format(name)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            )
            answer = await raw(service.url, asked.encode())
            assert answer.split(b" ")[1] in (b"400", b"404"), (path, name, answer)
        put = f"PUT /api/v1/artifacts/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        answer = await raw(service.url, put.encode() + b"Content-Length: 1\r\n\r\nx")
        assert answer.split(b" ")[1] in (b"400", b"404", b"405"), (name, answer)


async def test_the_openapi_document_names_every_route(service: Service) -> None:
    from edgedyno.controller.api.routes import ENDPOINTS

    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
        found = (await client.get("/api/v1/openapi.json")).json()
    listed = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert listed == {(each.method, each.path) for each in ENDPOINTS if not each.at_root}
    assert "ResolvedJob" in found["components"]["schemas"]
    for methods in found["paths"].values():
        for operation in methods.values():
            assert operation["summary"].endswith(".")
