"""One thread for all that waits on HTTP and the disk: fetching executions' files, uploading results'."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

from edgedyno.agent.events import AnyWake, Fetched, Uploaded
from edgedyno.agent.transfer import Transfer
from edgedyno.core.errors import EdgedynoError, RetryableError, RunError
from edgedyno.core.manifest import references

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.artifacts import ArtifactCache
    from edgedyno.agent.spool import Spool
    from edgedyno.core.broker import Tls
    from edgedyno.core.manifest import Manifest

log = logging.getLogger(__name__)


class Porter:
    """Carries files one after another; every task taken ends with exactly one event."""

    def __init__(
        self,
        cache: ArtifactCache,
        spool: Spool,
        deliver: Callable[[AnyWake], None],
        *,
        api_url: str | None,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        self.api_url = api_url
        """Where the controller is; None while nobody has said."""
        self._cache = cache
        self._tls = tls
        self._spool = spool
        self._deliver = deliver
        self._token = token
        self._tasks: queue.SimpleQueue[Callable[[], AnyWake] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="porter", daemon=True)
        self._thread.start()

    def fetch(self, ticket: int, manifest: Manifest, stop: threading.Event) -> None:
        """Get the files of an execution; ends with Fetched."""
        api_url = self.api_url

        def task() -> AnyWake:
            try:
                files = self._cache.fetch(references(manifest), api_url, stop)
            except EdgedynoError as error:
                return Fetched(ticket, {}, error)
            except Exception as error:
                log.exception("fetching failed")
                return Fetched(ticket, {}, RunError(f"fetching failed: {error}", code="artifact.error"))
            return Fetched(ticket, files)

        self._tasks.put(task)

    def upload(self, sha256: str) -> bool:
        """Bring a kept file to the controller; ends with Uploaded. False when nobody has said where that is."""
        if (api_url := self.api_url) is None:
            return False

        def task() -> AnyWake:
            try:
                with contextlib.closing(
                    Transfer(api_url, self._stop, tls=self._tls, token=self._token)
                ) as transfer:
                    transfer.put(sha256, self._spool.path(sha256))
            except EdgedynoError as error:
                return Uploaded(sha256, error)
            except FileNotFoundError:
                return Uploaded(sha256, RunError("the file is gone", code="artifact.gone"))
            except OSError as error:
                return Uploaded(sha256, RetryableError(f"upload of {sha256}: {error}", code="artifact.disk"))
            except Exception as error:
                log.exception("upload failed")
                return Uploaded(sha256, RunError(f"upload failed: {error}", code="artifact.error"))
            return Uploaded(sha256)

        self._tasks.put(task)
        return True

    def stop(self, *, seconds: float = 2.0) -> None:
        """End the thread; what it carries is left where it can be continued."""
        self._stop.set()
        self._tasks.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stop.is_set():
            self._deliver(task())
