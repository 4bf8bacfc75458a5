"""Signed assignments: what a board with pinned keys takes, and everything that it refuses."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.agent.assignment import Assignment, read_assignment
from edgedyno.agent.config import load_config
from edgedyno.agent.trust import PINNED_FILE, Trust, read_trust, verify_in_child
from edgedyno.controller.security.signing import (
    Signer,
    finish_rotation,
    open_signer,
    prepare_rotation,
    public_keys,
)
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.messages import ExecutionRecord, Lease, Next, Response, Update, decode, encode
from edgedyno.core.signing import TrustedKeys, read_public_key
from tests.agent.fleet.samples import manifest
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(tmp_path / "signing")


def verify_here(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Check in this process what boards check in a child."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.fixture
def trust(signer: Signer) -> Trust:
    key = signer.public_key
    return Trust({key.key_id: read_public_key(key.public_key, place="test")}, verify=verify_here)


def answer(signer: Signer | None, *, board: str = "board", request_id: str = "q1", attempt: int = 1) -> bytes:
    """Return an answer to `next` as the controller writes it."""
    work = manifest()
    record = ExecutionRecord(work.execution, "job-1", board, "IN_PROGRESS", 2, attempt)
    response = Response(request_id=request_id, record=record, lease=Lease("l1", 60.0), manifest=work)
    return encode(signer.signed(board, response) if signer else response)


def read(payload: bytes, trust: Trust, *, seconds: float = 1.0) -> Assignment:
    return read_assignment(payload, board="board", trust=trust, asked_seconds_ago=seconds)


def changed(payload: bytes, **fields: Any) -> bytes:
    """Return an answer with other fields, its signature as it was."""
    return msgspec.json.encode({**msgspec.json.decode(payload), **fields})


def test_what_the_pinned_controller_signed_is_taken(signer: Signer, trust: Trust) -> None:
    found = read(answer(signer), trust)
    assert found.distrust is None
    assert found.manifest == manifest()
    assert found.rejection is None


def test_an_old_agent_ignores_the_signature_and_a_board_without_keys_takes_both(signer: Signer) -> None:
    assert decode(answer(signer), Response).manifest == manifest()
    for payload in (answer(signer), answer(None)):
        assert read(payload, Trust({})).manifest == manifest()


def test_an_unsigned_assignment_is_rejected(trust: Trust) -> None:
    found = read(answer(None), trust)
    assert found.manifest is None
    assert found.rejection is not None
    assert found.rejection.state == "REJECTED"
    assert (found.rejection.reason or "").startswith("manifest.unsigned")


def test_a_foreign_key_is_rejected(tmp_path: Path, trust: Trust) -> None:
    found = read(answer(open_signer(tmp_path / "other")), trust)
    assert found.distrust is not None
    assert found.distrust.code == "manifest.untrusted"


def test_a_foreign_key_under_the_trusted_name_is_rejected(
    tmp_path: Path, signer: Signer, trust: Trust
) -> None:
    payload = msgspec.json.decode(answer(open_signer(tmp_path / "other")))
    payload["signed"]["key_id"] = signer.public_key.key_id
    assert read(msgspec.json.encode(payload), trust).distrust.code == "manifest.altered"  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["manifest", "payload", "signature", "nonsense", "domain"])
def test_an_altered_assignment_is_rejected(signer: Signer, trust: Trust, where: str) -> None:
    payload = answer(signer)
    signed = msgspec.json.decode(payload)["signed"]
    if where == "manifest":
        work = msgspec.json.decode(payload)["manifest"]
        payload = changed(payload, manifest={**work, "timeout_seconds": 1e9})
    elif where == "payload":
        payload = changed(
            payload, signed={**signed, "payload": signed["payload"].replace('"attempt":1', '"attempt":2')}
        )
    elif where == "signature":
        flipped = bytearray(base64.b64decode(signed["signature"]))
        flipped[0] ^= 1
        payload = changed(payload, signed={**signed, "signature": base64.b64encode(flipped).decode()})
    elif where == "nonsense":
        payload = changed(payload, signed={**signed, "signature": "!"})
    else:
        # A signature over the payload alone, as another protocol of ours might make one.
        bare = base64.b64encode(signer._key.sign(signed["payload"].encode())).decode()
        payload = changed(payload, signed={**signed, "signature": bare})
    found = read(payload, trust)
    assert found.manifest is None
    assert found.distrust is not None
    assert found.distrust.code == "manifest.altered"


@pytest.mark.parametrize("signed", [5, "x", [], {"payload": 1}, {}])
def test_a_signature_that_is_none_is_rejected(signer: Signer, trust: Trust, signed: object) -> None:
    found = read(changed(answer(signer), signed=signed), trust)
    assert found.distrust is not None
    assert found.distrust.code == "manifest.unsigned"


def test_an_order_for_another_board_is_rejected(signer: Signer, trust: Trust) -> None:
    payload = answer(signer, board="other")
    record = {**msgspec.json.decode(payload)["record"], "board": "board"}
    found = read(changed(payload, record=record), trust)
    assert found.distrust is not None
    assert found.distrust.code == "manifest.target"


def test_a_replayed_order_fits_no_new_question(signer: Signer, trust: Trust) -> None:
    """Not even after a reboot with a wrong clock: the question is new, whatever time it is."""
    old = answer(signer, request_id="q1")
    found = read(changed(old, request_id="q2"), trust)
    assert found.manifest is None
    assert found.distrust is not None
    assert found.distrust.code == "manifest.replayed"


def test_an_older_attempt_under_a_newer_record_is_rejected(signer: Signer, trust: Trust) -> None:
    payload = answer(signer, attempt=1)
    record = {**msgspec.json.decode(payload)["record"], "attempt": 2}
    assert read(changed(payload, record=record), trust).distrust.code == "manifest.target"  # type: ignore[union-attr]


def test_a_late_order_is_not_obeyed_but_asked_for_again(signer: Signer, trust: Trust) -> None:
    found = read(answer(signer), trust, seconds=601.0)
    assert found.manifest is None
    assert found.rejection is None, "a slow network is no reason to end the job"
    assert found.distrust is not None
    assert found.distrust.late
    assert read(answer(signer), trust, seconds=float("nan")).distrust is not None


def test_the_manifest_of_a_stranger_is_not_even_decoded(trust: Trust) -> None:
    found = read(changed(answer(None), manifest={"anything": "x" * 10_000}), trust)
    assert found.rejection is not None
    assert (found.rejection.reason or "").startswith("manifest.unsigned")


def test_an_assignment_nested_without_end_is_refused_and_ends_no_daemon(signer: Signer, trust: Trust) -> None:
    nested = b"[" * 5000 + b"]" * 5000
    for keys in (trust, Trust({})):
        with pytest.raises(ConfigError):
            read(b'{"type":"response","request_id":"q1","extra":' + nested + b"}", keys)
        whole = answer(signer).replace(b'"job":"job-1"', b'"job":' + nested, 1)
        with pytest.raises(ConfigError):
            read(whole, keys)


def test_the_child_tells_good_from_bad_and_from_broken(signer: Signer) -> None:
    key = read_public_key(signer.public_key.public_key, place="test")
    good = signer._key.sign(b"message")
    assert verify_in_child(key, good, b"message")
    assert not verify_in_child(key, good, b"massage")
    with pytest.raises(RunError, match="could not be checked"):
        verify_in_child(b"short", good, b"message")


def test_the_daemon_never_imports_what_checks_signatures() -> None:
    code = (
        "import sys, edgedyno.agent.daemon, edgedyno.agent.trust\n"
        "print(any(name.startswith('cryptography') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_keys_are_pinned_by_enrolment_and_by_configuration(tmp_path: Path, signer: Signer) -> None:
    assert read_trust(tmp_path, []).key_ids == []
    other = open_signer(tmp_path / "other").public_key
    file = tmp_path / PINNED_FILE
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(TrustedKeys([signer.public_key.public_key])))
    found = read_trust(tmp_path, [other.public_key])
    assert found.key_ids == sorted([signer.public_key.key_id, other.key_id])


@pytest.mark.parametrize("text", ["", "{", '{"signing_keys": ["AA=="]}', "[]"])
def test_a_damaged_file_of_keys_stops_the_agent_instead_of_opening_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / PINNED_FILE
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigError, match="trusted_keys"):
        read_trust(tmp_path, [])


def test_a_pinned_key_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("trusted_keys: [hello]\n")
    with pytest.raises(ConfigError, match="signing-key show"):
        load_config(file, environ={})


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first, second = open_signer(tmp_path / "keys"), open_signer(tmp_path / "keys")
    assert first.public_key == second.public_key
    files = list((tmp_path / "keys").iterdir())
    assert [file.name for file in files] == ["current.pem"]
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_a_rotation_overlaps(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    old = open_signer(folder).public_key
    new = prepare_rotation(folder)
    assert [key for _, key in public_keys(folder)] == [old, new]
    assert open_signer(folder).public_key == old
    with pytest.raises(ConfigError, match="a next key already"):
        prepare_rotation(folder)
    assert finish_rotation(folder) == new
    assert open_signer(folder).public_key == new
    with pytest.raises(ConfigError, match="no next key"):
        finish_rotation(folder)


@pytest.fixture
def pinned(tmp_path: Path, signer: Signer, mosquitto: Any) -> Iterator[AgentProcess]:
    """Make an agent that obeys one controller only."""
    from tests.agent.fleet.conftest import AgentProcess as Process

    process = Process(tmp_path, mosquitto, trusted_keys=[signer.public_key.public_key])
    yield process
    process.stop()


def test_a_board_with_pinned_keys_rejects_a_stranger_and_runs_its_own_controllers_jobs(
    controller: Standin, pinned: AgentProcess, signer: Signer
) -> None:
    pinned.start()
    controller.submit(manifest("job-1.board"))
    wait_until(lambda: controller.state_of("job-1.board") == "REJECTED", what="the rejection")
    said, *_ = [one for one in controller.asked(Update) if one.state == "REJECTED"]
    assert said.reason.startswith("manifest.unsigned")
    assert pinned.starts == []

    unsigned = controller._next

    def signed(request: Next) -> bytes:
        answered = decode(unsigned(request), Response)
        return encode(signer.signed("board", answered))

    controller._next = signed  # type: ignore[method-assign]
    controller.submit(manifest("job-2.board"))
    wait_until(
        lambda: controller.state_of("job-2.board") == "SUCCEEDED", what="the end of the job", seconds=40
    )
