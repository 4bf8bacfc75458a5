"""Brings the outbox to the controller: artifacts first, then results in order, a window at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgedyno.core.errors import EdgedynoError, RetryableError
from edgedyno.core.messages import Ack, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.outbox import Outbox
    from edgedyno.agent.spool import Spool

log = logging.getLogger(__name__)

# Results under way without an ack: as many as the controller commits at once (benchmarks/ingest.py: 3,500 a second;
# with 20 it is 2,700).
WINDOW = 100
RESEND_FIRST_SECONDS, RESEND_LAST_SECONDS = 10.0, 120.0
UPLOAD_FIRST_SECONDS, UPLOAD_LAST_SECONDS = 1.0, 60.0
NEVER = float("inf")


class Delivery:
    """What is under way on this connection; the outbox alone says what there is."""

    def __init__(
        self,
        outbox: Outbox,
        spool: Spool,
        *,
        publish: Callable[[str, bytes], bool],
        upload: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._spool = spool
        self._publish = publish
        self._upload = upload
        """Begins an upload that ends in `uploaded`; False when there is nobody to send to."""
        self._clock = clock
        self._stream_epoch = outbox.stream_epoch
        self._sent = 0
        """The newest seq that was published on this connection."""
        self._resend_at = NEVER
        self._resends = 0
        self._uploading: str | None = None
        self._upload_at = NEVER
        """When to try again after a failure."""
        self._upload_failures = 0

    def pump(self) -> None:
        """Send what can be sent now."""
        self._pump_uploads()
        if self._stream_epoch != self._outbox.stream_epoch:
            self._stream_epoch, self._sent = self._outbox.stream_epoch, 0
        room = WINDOW - self._outbox.count_up_to(self._sent)
        for message in self._outbox.window(room, after=self._sent):
            if not self._publish("result", encode(message)):
                return
            self._sent = message.seq
            if self._resend_at == NEVER:
                self._resend_at = self._clock() + RESEND_FIRST_SECONDS

    def _pump_uploads(self) -> None:
        waits = self._upload_at != NEVER and self._clock() < self._upload_at
        if waits or self._uploading is not None:
            return
        self._upload_at = NEVER
        wanted = self._outbox.next_upload()
        if wanted is not None and self._upload(wanted.sha256):
            self._uploading = wanted.sha256

    def uploaded(self, sha256: str, error: EdgedynoError | None) -> None:
        """Take the end of an upload.

        A file that the controller will never take does not hold its result back; the log tells.
        """
        self._uploading = None
        if isinstance(error, RetryableError):
            self._upload_failures += 1
            wait = min(UPLOAD_LAST_SECONDS, UPLOAD_FIRST_SECONDS * 2.0 ** min(self._upload_failures, 8))
            self._upload_at = self._clock() + wait
            log.warning("%s; next try in %.0f s", error, wait)
            return
        self._upload_failures = 0
        if error is not None:
            log.error("artifact %s goes without: %s", sha256, error)
        self._outbox.uploaded(sha256)
        self.pump()

    def acknowledged(self, ack: Ack) -> bool:
        """Take an ack; True when rows left the outbox."""
        left = self._outbox.acknowledge(ack)
        if left:
            self._spool.keep_only(self._outbox.artifacts())
            self._resends = 0
            self._resend_at = NEVER if not self._outbox.depth else self._clock() + RESEND_FIRST_SECONDS
        self.pump()
        return left > 0

    def reconnected(self) -> None:
        """Begin again with the oldest result: what the old connection carried may be lost."""
        self._sent, self._resends, self._resend_at = 0, 0, NEVER
        self._upload_at = NEVER

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        return min(self._resend_at, self._upload_at)

    def tick(self) -> None:
        """Send again what has had no ack for too long, and upload again what failed."""
        now = self._clock()
        if now >= self._resend_at:
            self._resends += 1
            self._sent = 0
            self._resend_at = now + min(
                RESEND_LAST_SECONDS, RESEND_FIRST_SECONDS * 2.0 ** min(self._resends, 6)
            )
        self.pump()
