"""The controller's HTTP API as the operator's commands see it: typed answers, readable errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec

from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from typing_extensions import Self

    from edgedyno.core.manifest import ResolvedJob

TIMEOUT_SECONDS = 60.0


class Controller:
    """A connection to one controller; use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise ConfigError(
                f"found {url!r} as the controller's address, expected http://HOST:PORT", code="url"
            )
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return the decoded JSON answer; raise what the controller said was wrong."""
        return self._send(method, path, **options).json()

    def text(self, path: str) -> str:
        """Return a page as text."""
        return self._send("GET", path).text

    def artifact(self, sha256: str) -> bytes:
        """Return an artifact's bytes."""
        return self._send("GET", f"/artifacts/{sha256}").content

    def upload(self, paths: dict[str, Path]) -> Iterable[tuple[str, int]]:
        """Upload the files that the controller lacks; yield (sha256, bytes) as each arrives."""
        missing = self.call("POST", "/artifacts/missing", json={"sha256": sorted(paths)})["missing"]
        for sha256 in missing:
            with paths[sha256].open("rb") as file:
                self._send("PUT", f"/artifacts/{sha256}", content=file)
            yield sha256, paths[sha256].stat().st_size

    def submit(self, job: ResolvedJob) -> dict[str, Any]:
        """Submit a job whose artifacts are there; return its id and boards."""
        answer: dict[str, Any] = self.call(
            "POST", "/jobs", content=msgspec.json.encode(job), headers={"Content-Type": "application/json"}
        )
        return answer

    def results(self, **filters: str | None) -> list[Result]:
        """Return results filtered by job, board or execution."""
        query = {key: value for key, value in filters.items() if value}
        return msgspec.convert(self.call("GET", "/results", params=query)["results"], list[Result])

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise RetryableError(
                f"no controller answers at {self.url} ({error}); start one with `edgedyno up` or name yours "
                "by --controller URL or EDGEDYNO_CONTROLLER_URL",
                code="controller.unreachable",
            ) from error
        if response.is_success:
            return response
        raise _error(response)


def _error(response: httpx.Response) -> EdgedynoError:
    try:
        found = response.json()["error"]
        text, code = found["text"], found["code"]
    except (ValueError, KeyError, TypeError):
        text, code = (
            f"the controller answered {response.status_code} {response.reason_phrase}",
            "controller.answer",
        )
    if response.is_server_error:
        return RetryableError(text, code=code)
    return ConfigError(text, code=code)
