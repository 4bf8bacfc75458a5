"""The controller's HTTP API as the operator's commands see it: typed answers, readable errors."""

from __future__ import annotations

import os
import ssl
import time
from io import IOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec

from edgedyno.cli.tokens import find_token
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from typing_extensions import Self

    from edgedyno.core.manifest import ResolvedJob

TIMEOUT_SECONDS = 60.0
# A controller asks for seconds when too many requests came at once, never for more.
TRIES, LONGEST_WAIT_SECONDS = 20, 30.0


class Flagged(msgspec.Struct, frozen=True):
    """A result that is not simply the one of its trial: it came late or again, or a newer attempt has one."""

    flag: str
    counted: bool
    record: Result


class Controller:
    """A connection to one controller; use it as a context manager."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Connect with a token: this one, else the one that is kept for this address."""
        self.url = url.rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise ConfigError(
                f"found {url!r} as the controller's address, expected http://HOST:PORT", code="url"
            )
        secret = token or find_token(self.url)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            headers=headers,
            verify=_trusted(),
        )

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

    def flagged(self, job: str) -> list[Flagged]:
        """Return a job's results that came late, again, or before a newer attempt's."""
        return msgspec.convert(
            self.call("GET", "/results/flagged", params={"job": job})["results"], list[Flagged]
        )

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, and again as often as the controller says that it was too soon."""
        for _ in range(TRIES):
            response = self._send_once(method, path, **options)
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(min(LONGEST_WAIT_SECONDS, float(response.headers.get("retry-after", "1"))))
            if isinstance(content := options.get("content"), IOBase):
                content.seek(0)
        if response.is_success:
            return response
        raise _error(response)

    def _send_once(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise RetryableError(
                f"no controller answers at {self.url} ({error}); start one with `edgedyno up` or name yours "
                "by --controller URL or EDGEDYNO_CONTROLLER_URL",
                code="controller.unreachable",
            ) from error


def _trusted() -> ssl.SSLContext | bool:
    """Return whom to trust: the roots that EDGEDYNO_CONTROLLER_CA names, else the system's."""
    file = os.environ.get("EDGEDYNO_CONTROLLER_CA")
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"EDGEDYNO_CONTROLLER_CA: {file}: {error}", code="url.ca") from error


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
