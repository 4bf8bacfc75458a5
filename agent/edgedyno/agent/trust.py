"""Which controllers this board obeys: pinned keys, and the check of an assignment against them.

Without a pinned key nothing is checked, as before there were any; `doctor` says so. No clock of the world is
asked, because boards without one begin in 1970: see docs/adr on signed manifests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.signing import Signed, TrustedKeys, key_id_of, read_order, read_public_key, signed_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgedyno.core.messages import ExecutionRecord

PINNED_FILE = "identity/trusted_keys.json"
# A board with a slow card takes seconds to start an interpreter.
CHECK_SECONDS = 60.0
_BAD_SIGNATURE = 1


class Question(Struct, frozen=True):
    """What this board asked, and how long ago by its own clock."""

    board: str
    request_id: str
    asked_seconds_ago: float


class Distrust(Struct, frozen=True):
    """Why an assignment is not obeyed. One that came too late is asked for again; the others are rejected."""

    code: str
    text: str

    @property
    def late(self) -> bool:
        """Whether a new question may get a good answer."""
        return self.code == "manifest.expired"


class Trust:
    """The pinned keys."""

    def __init__(
        self, keys: Mapping[str, bytes], *, verify: Callable[[bytes, bytes, bytes], bool] | None = None
    ) -> None:
        self._keys = dict(keys)
        self._verify = verify or verify_in_child

    @property
    def key_ids(self) -> list[str]:
        """The pinned keys' names; none means that nothing is checked."""
        return sorted(self._keys)

    def distrust(
        self, signed: Signed | None, manifest: bytes, record: ExecutionRecord, question: Question
    ) -> Distrust | None:
        """Return why an assignment is not to be obeyed, None for a good one. `manifest` is its bytes as they came."""
        if not self._keys:
            return None
        if signed is None:
            return Distrust("manifest.unsigned", "found no signature, and this board has pinned keys")
        key = self._keys.get(signed.key_id)
        if key is None:
            pinned = ", ".join(self.key_ids)
            text = f"found a signature by {signed.key_id[:32]!r}, expected one by {pinned}"
            return Distrust("manifest.untrusted", text)
        if not self._is_good(key, signed):
            return Distrust("manifest.altered", "the signature does not fit the order")
        return _compare(signed, manifest, record, question)

    def _is_good(self, key: bytes, signed: Signed) -> bool:
        try:
            signature = base64.b64decode(signed.signature, validate=True)
            return self._verify(key, signature, signed_bytes(signed.payload))
        except (binascii.Error, ValueError):
            return False


def _compare(signed: Signed, manifest: bytes, record: ExecutionRecord, question: Question) -> Distrust | None:
    """Hold what was signed against what came, for whom, and when."""
    try:
        order = read_order(signed.payload)
    except ConfigError as error:
        return Distrust("manifest.altered", str(error))
    checks = (
        (
            order.manifest_sha256 == hashlib.sha256(manifest).hexdigest(),
            "manifest.altered",
            "the manifest is not the one that was signed",
        ),
        (
            order.board == question.board,
            "manifest.target",
            f"it is signed for board {order.board!r}, not {question.board!r}",
        ),
        (
            order.request_id == question.request_id,
            "manifest.replayed",
            "it is signed as the answer to another question than this board's",
        ),
        (
            (order.execution, order.attempt) == (record.execution, record.attempt),
            "manifest.target",
            f"it is signed for attempt {order.attempt} of {order.execution!r}, not {record.attempt}",
        ),
        (
            question.asked_seconds_ago <= order.lifetime_seconds,
            "manifest.expired",
            f"it came {question.asked_seconds_ago:.0f} s after its question, not {order.lifetime_seconds:g} s",
        ),
    )
    return next((Distrust(code, text) for holds, code, text in checks if not holds), None)


def read_trust(state_dir: Path, named: Sequence[str]) -> Trust:
    """Return the keys that enrolment has pinned, and those that the configuration names. Raises ConfigError."""
    keys = [read_public_key(text, place="trusted_keys") for text in named]
    file = state_dir / PINNED_FILE
    try:
        pinned = msgspec.json.decode(file.read_bytes(), type=TrustedKeys)
        keys += [read_public_key(text, place=str(file)) for text in pinned.signing_keys]
    except FileNotFoundError:
        pass
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        # Without its keys the board would obey anybody: it stops instead.
        raise ConfigError(f"{file}: {error}", code="trust.file") from error
    if keys and find_spec("cryptography") is None:
        raise ConfigError(
            "keys are pinned and the package that checks signatures is missing: pip install 'edgedyno[enroll]'",
            code="trust.package",
        )
    return Trust({key_id_of(key): key for key in keys})


def verify_in_child(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Check a signature in a process of its own. Raises RunError where that gives no answer."""
    asked = {"public_key": public_key, "signature": signature, "message": message}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edgedyno.agent.signature"],
            input=msgspec.json.encode(asked),
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"a signature could not be checked: {error}", code="trust.check") from error
    if done.returncode in (0, _BAD_SIGNATURE):
        return done.returncode == 0
    said = done.stderr.decode(errors="replace").strip()[-300:]
    raise RunError(f"a signature could not be checked: {said or done.returncode}", code="trust.check")
