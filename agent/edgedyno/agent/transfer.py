"""Artifacts over HTTP: GET with Range, HEAD, PUT, on one kept connection. Knows no cache."""

from __future__ import annotations

import http.client
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgedyno.agent.files import hash_file, write_all
from edgedyno.agent.identity import https_context
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, RunError

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from edgedyno.core.broker import Tls
    from edgedyno.core.manifest import ArtifactRef

TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 256 << 10
PREFIX = "/api/v1/artifacts/"


class TransferStoppedError(EdgedynoError):
    """The transfer was told to stop."""

    code = "artifact.stopped"


class Transfer:
    """A connection to one controller, for one thread."""

    def __init__(
        self, api_url: str, stop: threading.Event, *, tls: Tls | None = None, token: str | None = None
    ) -> None:
        parts = urlsplit(api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"found {api_url!r} as the controller's URL, expected http://HOST:PORT", code="config.url"
            )
        # The controller tells its URL with or without the API's prefix.
        self._base = parts.path.rstrip("/").removesuffix("/api/v1") + PREFIX
        self._where = f"{parts.scheme}://{parts.netloc}"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connection = (
            http.client.HTTPSConnection(
                parts.hostname, port, timeout=TIMEOUT_SECONDS, context=https_context(tls)
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, port, timeout=TIMEOUT_SECONDS)
        )
        self._stop = stop
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, ref: ArtifactRef, part: Path) -> None:
        """Fetch the rest of an artifact into `part`; what is there already is kept and continued.

        Raises RetryableError when the controller is out of reach or breaks off, RunError when it has no
        such file or another one than was promised. The hash is checked over the whole file.
        """
        have = part.stat().st_size if part.exists() else 0
        if have > ref.size_bytes:
            part.unlink()
            have = 0
        if have < ref.size_bytes or not have:
            self._append(ref, part, have)
        found = hash_file(part)
        if found != ref.sha256:
            part.unlink()
            raise RunError(
                f"artifact {_name(ref)}: found sha256 {found} after the transfer, expected {ref.sha256}",
                code="artifact.hash",
            )

    def _append(self, ref: ArtifactRef, part: Path, have: int) -> None:
        headers = {"Range": f"bytes={have}-"} if have else {}
        response = self._request("GET", ref.sha256, headers=headers)
        if response.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            response.read()
            part.unlink()
            raise RetryableError(
                f"artifact {_name(ref)}: its rest was refused, it begins anew", code="artifact.range"
            )
        if response.status not in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
            raise self._refused(response, f"artifact {_name(ref)}")
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            self._copy(response, file.fileno(), ref, have if resumed else 0)
            os.fsync(file.fileno())

    def _copy(self, response: http.client.HTTPResponse, target: int, ref: ArtifactRef, have: int) -> None:
        while chunk := self._read(response, ref):
            have += len(chunk)
            if have > ref.size_bytes:
                self._connection.close()
                raise RunError(
                    f"artifact {_name(ref)}: found more than the {ref.size_bytes} bytes promised",
                    code="artifact.size",
                )
            write_all(target, chunk)
        if have < ref.size_bytes:
            self._connection.close()
            raise RetryableError(
                f"artifact {_name(ref)}: broken off after {have} of {ref.size_bytes} bytes",
                code="artifact.truncated",
            )

    def _read(self, response: http.client.HTTPResponse, ref: ArtifactRef) -> bytes:
        if self._stop.is_set():
            self._connection.close()
            raise TransferStoppedError(f"artifact {_name(ref)}: stopped")
        try:
            return response.read(CHUNK_BYTES)
        except http.client.IncompleteRead as error:
            return error.partial
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def has(self, sha256: str) -> bool:
        """Ask whether the controller has an artifact."""
        response = self._request("HEAD", sha256)
        response.read()
        return response.status == http.HTTPStatus.OK

    def put(self, sha256: str, file: Path) -> None:
        """Send a file, unless the controller has it already.

        Raises RetryableError when it should be tried again, RunError when the controller will not take it.
        """
        if self.has(sha256):
            return
        with file.open("rb") as body:
            size = os.fstat(body.fileno()).st_size
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            response = self._request("PUT", sha256, body=body, headers=headers)
        if response.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise self._refused(response, f"upload of {sha256}")
        response.read()

    def _request(
        self, method: str, sha256: str, *, headers: dict[str, str] | None = None, **options: object
    ) -> http.client.HTTPResponse:
        """Send a request; twice if need be, because the other side may have closed an idle connection."""
        options["headers"] = {**self._authorization, **(headers or {})}
        for last in (False, True):
            reused = self._connection.sock is not None
            try:
                self._connection.request(method, self._base + sha256, **options)  # type: ignore[arg-type]
                return self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if last or not reused or isinstance(error, TimeoutError):
                    raise self._unreachable(error) from error
                if hasattr(body := options.get("body"), "seek"):
                    body.seek(0)
        raise AssertionError("unreachable")  # pragma: no cover

    def _unreachable(self, error: Exception) -> RetryableError:
        self._connection.close()
        text = str(error) or type(error).__name__
        return RetryableError(f"controller {self._where}: out of reach: {text}", code="artifact.unreachable")

    def _refused(self, response: http.client.HTTPResponse, what: str) -> EdgedynoError:
        text = response.read(500).decode("utf-8", "replace").strip()
        self._connection.close()
        message = f"{what}: controller {self._where} answered {response.status} {response.reason}: {text}"
        if response.status in (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS):
            return RetryableError(message, code="artifact.busy")
        if response.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return RetryableError(message, code="artifact.server")
        missing = response.status == http.HTTPStatus.NOT_FOUND
        return RunError(message, code="artifact.missing" if missing else "artifact.refused")


def _name(ref: ArtifactRef) -> str:
    return f"{ref.name} ({ref.sha256[:12]})" if ref.name else ref.sha256
