"""Hostile HTTP: calls made of the API's own OpenAPI document by schemathesis, and bytes that are hardly HTTP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings

from edgedyno.controller.api.openapi import describe
from edgedyno.controller.api.routes import ENDPOINTS, PREFIX
from tests.hostile import seeds
from tests.hostile.campaign import resident_bytes
from tests.hostile.mutation import Mutator
from tests.hostile.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Mosquitto

# What a well-kept server may answer to nonsense. 500 is none of it.
EXPECTED = frozenset(
    {200, 201, 206, 400, 401, 403, 404, 405, 408, 409, 413, 414, 416, 422, 431, 501, 503, 505}
)
RAW_INPUTS = 150
SCHEMA = schemathesis.openapi.from_dict(describe(ENDPOINTS, prefix=PREFIX))


@pytest.fixture
def url(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[str]:
    with served(tmp_path, mosquitto) as found:
        yield found


def test_calls_made_of_the_document_are_answered_or_refused(url: str) -> None:
    found: Any
    for found in SCHEMA.get_all_operations():
        operation = found.ok()
        assert operation is not None
        _attack(operation, url)
    assert httpx.get(f"{url}/api/v1/jobs", trust_env=False).status_code == 200


def _attack(operation: Any, url: str) -> None:
    """Make calls of one operation; hypothesis shrinks one that is answered badly."""

    @seed(7)
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        invented = {name: text for name, text in (case.headers or {}).items() if name != "Authorization"}
        case.headers = {**invented, "Host": urlsplit(url).netloc}
        answer = case.call(base_url=f"{url}{PREFIX}")
        assert answer.status_code in EXPECTED, answer.text
        if 400 <= answer.status_code < 500 and case.method != "HEAD" and answer.content:
            assert (
                "application/json" not in answer.headers.get("content-type", "")
                or "code" in answer.json()["error"]
            )

    ask()


def test_bytes_that_are_hardly_http_neither_crash_nor_hang_it(url: str) -> None:
    parts = urlsplit(url)
    mutator = Mutator(seeds.requests(), 7)
    before = resident_bytes()
    for _ in range(RAW_INPUTS):
        data = mutator.next()
        status = raw(parts.hostname or "", parts.port or 0, data)
        assert status is None or status in EXPECTED, (status, data[:500])
    assert httpx.get(f"{url}/api/v1/jobs", trust_env=False).status_code == 200
    assert resident_bytes() - before < 64 << 20


def raw(host: str, port: int, data: bytes) -> int | None:
    """Send bytes and an end; return the status of the first answer, None when it hung up without one."""
    with socket.create_connection((host, port), timeout=20) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            head = connection.recv(4096)
        except (ConnectionError, BrokenPipeError):
            return None
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
