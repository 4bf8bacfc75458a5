"""Artifacts, errors and limits of the HTTP API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import pytest_asyncio

from edgedyno.controller.config import ControllerConfig
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import MODEL_BYTES, resolved_job, sha256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Mosquitto
    from tests.controller.service.standins import ScriptedLaboratory

DATA = bytes(range(256)) * 5000


@pytest_asyncio.fixture
async def http(
    tmp_path: Path, mosquitto: Mosquitto, laboratory: ScriptedLaboratory
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a service with small limits on SQLite."""
    config = ControllerConfig(
        data_dir=str(tmp_path / "data"),
        broker_port=mosquitto.port,
        listen_port=0,
        max_artifact_bytes=2e6,
        max_request_bytes=1e5,
    )
    async with (
        make_service(config, laboratory).running() as service,
        httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False) as client,
    ):
        yield client


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and error code."""
    error = answer.json()["error"]
    assert error["text"]
    return answer.status_code, error["code"]


async def test_an_artifact_comes_back_whole_and_in_parts(http: httpx.AsyncClient) -> None:
    url = f"/artifacts/{sha256(DATA)}"
    assert (await http.post("/artifacts/missing", json={"sha256": [sha256(DATA)]})).json() == {
        "missing": [sha256(DATA)]
    }
    assert (await http.put(url, content=DATA)).status_code == 201
    assert (await http.put(url, content=DATA)).json()["new"] is False
    assert (await http.post("/artifacts/missing", json={"sha256": [sha256(DATA)]})).json() == {"missing": []}
    head = await http.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")
    assert (await http.get(url)).content == DATA
    part = await http.get(url, headers={"range": "bytes=1000-"})
    assert (part.status_code, part.content) == (206, DATA[1000:])
    assert part.headers["content-range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
    beyond = await http.get(url, headers={"range": f"bytes={len(DATA)}-"})
    assert beyond.status_code == 416


async def test_an_artifact_of_other_bytes_is_refused_and_leaves_nothing(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    name = sha256(b"other")
    assert error_of(await http.put(f"/artifacts/{name}", content=DATA)) == (422, "artifact.wrong-content")
    truncated = await http.put(f"/artifacts/{sha256(DATA)}", content=DATA[:-1])
    assert error_of(truncated) == (422, "artifact.wrong-content")
    assert error_of(await http.get(f"/artifacts/{name}")) == (404, "artifact.unknown")
    left = [path for path in (tmp_path / "data" / "artifacts").rglob("*") if path.is_file()]
    assert left == []


async def test_an_upload_that_breaks_off_leaves_nothing(http: httpx.AsyncClient, tmp_path: Path) -> None:
    port = http.base_url.port
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        f"PUT /api/v1/artifacts/{sha256(DATA)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA)}\r\n\r\n"
    )
    writer.write(request.encode() + DATA[:100_000])
    await writer.drain()
    incoming = tmp_path / "data" / "artifacts" / "incoming"
    for _ in range(200):
        if list(incoming.iterdir()):
            break
        await asyncio.sleep(0.02)
    writer.close()
    await writer.wait_closed()
    for _ in range(200):
        if not list(incoming.iterdir()):
            break
        await asyncio.sleep(0.02)
    assert list(incoming.iterdir()) == []
    assert (await http.head(f"/artifacts/{sha256(DATA)}")).status_code == 404
    assert reader is not None


async def test_what_is_too_large_is_refused(http: httpx.AsyncClient) -> None:
    large = bytes(2_100_000)
    url = f"/artifacts/{sha256(large)}"
    assert error_of(await http.put(url, content=large)) == (413, "artifact.too-large")

    async def unannounced() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    assert error_of(await http.put(url, content=unannounced())) == (413, "artifact.too-large")
    assert error_of(await http.post("/jobs", content=b" " * 100_001)) == (413, "request.too-large")


@pytest.mark.parametrize("name", ["x", "..%2f..%2fetc%2fpasswd", "A" * 64, "0" * 63])
async def test_names_that_are_no_hash_are_refused(http: httpx.AsyncClient, name: str) -> None:
    status, _ = error_of(await http.get(f"/artifacts/{name}"))
    assert status in (400, 404)


async def test_errors_name_the_place_and_the_nearest(http: httpx.AsyncClient) -> None:
    assert error_of(await http.get("/jobs/none-000000")) == (404, "job.unknown")
    assert error_of(await http.post("/jobs/none-000000/cancel")) == (404, "job.unknown")
    assert error_of(await http.get("/jobs/none-000000/verdict")) == (404, "job.unknown")
    assert error_of(await http.get("/boards/none")) == (404, "board.unknown")
    assert error_of(await http.patch("/boards/none", json={"drained": True})) == (404, "board.unknown")
    assert error_of(await http.patch("/boards/none", json={"drain": True})) == (400, "request.invalid")
    assert error_of(await http.get("/nothing")) == (404, "path.unknown")
    assert error_of(await http.delete("/jobs")) == (405, "method.unknown")
    assert error_of(await http.get("/results", params={"jbo": "x"})) == (400, "request.invalid")
    bad = msgspec.json.encode(resolved_job()).replace(b'"tiny.onnx"', b"7")
    answer = await http.post("/jobs", content=bad)
    assert error_of(answer) == (400, "request.invalid")
    assert "$" in answer.json()["error"]["text"], "it names the place"
    missing = await http.post("/jobs", content=msgspec.json.encode(resolved_job()))
    assert error_of(missing) == (422, "artifact.missing")
    assert sha256(MODEL_BYTES) in missing.json()["error"]["text"]


async def test_pages_are_safe_to_show(http: httpx.AsyncClient) -> None:
    page = await http.get(str(http.base_url.join("/")))
    assert page.status_code == 200
    assert "No job yet" in page.text
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
