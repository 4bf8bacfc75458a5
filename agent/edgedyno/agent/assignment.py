"""Reads the answer to `next`, and turns one that cannot be followed into a rejection with its reason."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edgedyno.agent.dialogue import new_request_id
from edgedyno.agent.trust import Distrust, Question, Trust
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Manifest
from edgedyno.core.messages import ExecutionRecord, Lease, Response, Update
from edgedyno.core.signing import Signed


class _Envelope(Struct, frozen=True):
    """An answer whose manifest is not looked into."""

    request_id: str
    error: str | None = None
    text: str | None = None
    record: ExecutionRecord | None = None
    lease: Lease | None = None
    manifest: msgspec.Raw = msgspec.Raw(b"null")
    signed: msgspec.Raw = msgspec.Raw(b"null")


class Assignment(Struct, frozen=True):
    """What the controller gave: an execution to do, one to reject, or nothing."""

    response: Response
    manifest: Manifest | None = None
    rejection: Update | None = None
    distrust: Distrust | None = None
    """Why it is not the word of a trusted controller: then nothing of it is acted upon."""

    @property
    def record(self) -> ExecutionRecord | None:
        """The controller's record."""
        return self.response.record

    @property
    def lease(self) -> Lease | None:
        """The right to run it."""
        return self.response.lease


_envelope = msgspec.json.Decoder(_Envelope)
_NO_KEYS = Trust({})
_signed: msgspec.json.Decoder[Signed | None] = msgspec.json.Decoder(Signed | None)
_manifest: msgspec.json.Decoder[Manifest | None] = msgspec.json.Decoder(Manifest | None)


def read_assignment(
    payload: bytes, *, board: str, trust: Trust = _NO_KEYS, asked_seconds_ago: float = 0.0
) -> Assignment:
    """Read an answer to `next`; its manifest is decoded only when it comes from a trusted controller.

    Raises ConfigError when even its envelope is no answer, RunError when its signature cannot be checked here.
    """
    try:
        envelope = _envelope.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not an answer to next: {error}", code="message.invalid") from error
    response = Response(
        request_id=envelope.request_id,
        error=envelope.error,
        text=envelope.text,
        record=envelope.record,
        lease=envelope.lease,
    )
    record, lease = envelope.record, envelope.lease
    if record is None or lease is None or envelope.error is not None:
        return Assignment(response)
    question = Question(board, envelope.request_id, asked_seconds_ago)
    distrust = _distrust(envelope, record, trust, question)
    if distrust is not None:
        reason = f"{distrust.code}: {distrust.text}"
        rejection = None if distrust.late else _reject(record, lease, reason)
        return Assignment(response, rejection=rejection, distrust=distrust)
    try:
        manifest = _manifest.decode(envelope.manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Assignment(response, rejection=_reject(record, lease, f"manifest.invalid: {error}"))
    problem = _problem(manifest, record, board)
    if problem is not None:
        return Assignment(response, rejection=_reject(record, lease, problem))
    return Assignment(response, manifest=manifest)


def _distrust(
    envelope: _Envelope, record: ExecutionRecord, trust: Trust, question: Question
) -> Distrust | None:
    try:
        signed = _signed.decode(envelope.signed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Distrust("manifest.unsigned", f"found no signature: {error}") if trust.key_ids else None
    return trust.distrust(signed, bytes(envelope.manifest), record, question)


def _problem(manifest: Manifest | None, record: ExecutionRecord, board: str) -> str | None:
    if manifest is None:
        return "manifest.missing: found no manifest, expected one with the assignment"
    if manifest.execution != record.execution:
        return f"manifest.mismatch: found execution {manifest.execution!r}, expected {record.execution!r}"
    if record.board != board:
        return f"manifest.mismatch: found board {record.board!r}, expected {board!r}"
    return None


def _reject(record: ExecutionRecord, lease: Lease, reason: str) -> Update:
    return Update(
        request_id=new_request_id(),
        execution=record.execution,
        lease_id=lease.lease_id,
        expected_version=record.version,
        state="REJECTED",
        reason=reason,
    )
