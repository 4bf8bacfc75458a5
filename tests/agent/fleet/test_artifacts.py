"""The cache of artifacts against a real HTTP server with faults."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgedyno.agent.artifacts import MARGIN_BYTES, ArtifactCache
from edgedyno.agent.spool import Spool
from edgedyno.agent.transfer import Transfer, TransferStoppedError
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, RunError, UnsupportedError
from tests.agent.fleet.samples import reference, sha256_of
from tests.conftest import free_port

if TYPE_CHECKING:
    from tests.agent.fleet.standin import ArtifactServer

DATA = bytes(range(256)) * 4000
STOP = threading.Event()


class Usage(NamedTuple):
    """What shutil.disk_usage returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "artifacts", budget_bytes=10_000_000)


def gets(server: ArtifactServer) -> list[tuple[str, str | None]]:
    return [(sha256, range_) for method, sha256, range_ in server.log if method == "GET"]


def test_files_are_fetched_once(cache: ArtifactCache, artifact_server: ArtifactServer) -> None:
    for data in (DATA, b""):
        artifact_server.add(data)
    refs = [reference(DATA), reference(b""), reference(DATA)]
    files = cache.fetch(refs, artifact_server.url, STOP)
    assert Path(files[sha256_of(DATA)]).read_bytes() == DATA
    assert Path(files[sha256_of(b"")]).read_bytes() == b""
    assert cache.fetch(refs, None, STOP) == files
    assert len(artifact_server.log) == 2


def test_a_transfer_that_breaks_off_is_continued(
    cache: ArtifactCache, artifact_server: ArtifactServer
) -> None:
    sha256 = artifact_server.add(DATA)
    artifact_server.break_after = 300_000
    files = cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert Path(files[sha256]).read_bytes() == DATA
    assert gets(artifact_server) == [(sha256, None), (sha256, "bytes=300000-")]


def test_a_part_of_an_earlier_start_is_continued(
    cache: ArtifactCache, artifact_server: ArtifactServer, tmp_path: Path
) -> None:
    sha256 = artifact_server.add(DATA)
    (tmp_path / f"artifacts/{sha256}.part").write_bytes(DATA[:1000])
    cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert gets(artifact_server) == [(sha256, "bytes=1000-")]


def test_a_server_without_ranges_sends_everything(
    cache: ArtifactCache, artifact_server: ArtifactServer, tmp_path: Path
) -> None:
    sha256 = artifact_server.add(DATA)
    artifact_server.ignore_range = True
    (tmp_path / f"artifacts/{sha256}.part").write_bytes(DATA[:1000])
    files = cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert Path(files[sha256]).read_bytes() == DATA


@pytest.mark.parametrize("part", [b"wrong" * 1000, DATA + b"too long", b"x" * len(DATA)])
def test_a_part_with_a_bad_beginning_is_fetched_anew(
    cache: ArtifactCache, artifact_server: ArtifactServer, tmp_path: Path, part: bytes
) -> None:
    sha256 = artifact_server.add(DATA)
    (tmp_path / f"artifacts/{sha256}.part").write_bytes(part)
    files = cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert Path(files[sha256]).read_bytes() == DATA


def test_a_wrong_hash_is_an_error_and_leaves_nothing(
    cache: ArtifactCache, artifact_server: ArtifactServer, tmp_path: Path
) -> None:
    artifact_server.files[sha256_of(DATA)] = DATA[:-1] + b"!"
    with pytest.raises(RunError, match=f"found sha256 .* expected {sha256_of(DATA)}") as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code == "artifact.hash"
    assert not list((tmp_path / "artifacts").iterdir())


def test_too_much_data_is_an_error(cache: ArtifactCache, artifact_server: ArtifactServer) -> None:
    artifact_server.files[sha256_of(DATA)] = DATA * 2
    with pytest.raises(RunError, match="more than the") as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code == "artifact.size"


def test_too_little_data_may_come_later(cache: ArtifactCache, artifact_server: ArtifactServer) -> None:
    artifact_server.files[sha256_of(DATA)] = DATA[:1000]
    with pytest.raises(RetryableError) as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code in ("artifact.truncated", "artifact.range")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, RunError, "artifact.missing"),
        (403, RunError, "artifact.refused"),
        (429, RetryableError, "artifact.busy"),
        (503, RetryableError, "artifact.server"),
    ],
)
def test_answers_become_errors_by_what_can_be_done(
    cache: ArtifactCache, artifact_server: ArtifactServer, status: int, kind: type[EdgedynoError], code: str
) -> None:
    artifact_server.status = status
    with pytest.raises(kind, match=str(status)) as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code == code


def test_nobody_there(cache: ArtifactCache) -> None:
    with pytest.raises(RetryableError, match="out of reach") as caught:
        cache.fetch([reference(DATA)], f"http://127.0.0.1:{free_port()}", STOP)
    assert caught.value.code == "artifact.unreachable"
    with pytest.raises(RetryableError, match="no controller has told its URL"):
        cache.fetch([reference(DATA)], None, STOP)
    with pytest.raises(ConfigError, match="expected http"):
        cache.fetch([reference(DATA)], "ftp://somewhere", STOP)


def test_a_full_disk_is_noticed_first(
    cache: ArtifactCache, artifact_server: ArtifactServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact_server.add(DATA)
    free = MARGIN_BYTES + len(DATA) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, free))
    with pytest.raises(RetryableError, match="free, expected") as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code == "artifact.disk-full"
    assert not artifact_server.log


def test_a_disk_that_fills_up_meanwhile(
    cache: ArtifactCache, artifact_server: ArtifactServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact_server.add(DATA)
    monkeypatch.setattr(
        "edgedyno.agent.transfer.write_all", lambda *_: os.write(os.open("/dev/full", os.O_WRONLY), b"x")
    )
    with pytest.raises(RetryableError, match="No space left") as caught:
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert caught.value.code == "artifact.disk-full"


def test_more_than_the_budget_is_not_begun(tmp_path: Path, artifact_server: ArtifactServer) -> None:
    cache = ArtifactCache(tmp_path / "artifacts", budget_bytes=1000)
    with pytest.raises(UnsupportedError, match="cache_size"):
        cache.fetch([reference(DATA)], artifact_server.url, STOP)
    assert not artifact_server.log


def test_the_least_recently_used_leaves_first_and_never_what_is_needed(
    tmp_path: Path, artifact_server: ArtifactServer
) -> None:
    cache = ArtifactCache(tmp_path / "artifacts", budget_bytes=3000)
    files = [bytes([number]) * 1000 for number in range(4)]
    for data in files:
        artifact_server.add(data)
    for data in files[:3]:
        cache.fetch([reference(data)], artifact_server.url, STOP)
    cache.fetch([reference(files[0])], None, STOP)
    cache.fetch([reference(files[0]), reference(files[3])], artifact_server.url, STOP)
    kept = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert kept == {sha256_of(files[number]) for number in (0, 2, 3)}


def test_damage_in_the_cache_is_found(
    cache: ArtifactCache, artifact_server: ArtifactServer, tmp_path: Path
) -> None:
    sha256 = artifact_server.add(DATA)
    path = Path(cache.fetch([reference(DATA)], artifact_server.url, STOP)[sha256])
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + b"!")
    fresh = ArtifactCache(tmp_path / "artifacts", budget_bytes=10_000_000)
    for each in (cache, fresh):
        assert Path(each.fetch([reference(DATA)], artifact_server.url, STOP)[sha256]).read_bytes() == DATA


def test_fetching_can_be_stopped(cache: ArtifactCache, artifact_server: ArtifactServer) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(TransferStoppedError):
        cache.fetch([reference(DATA)], artifact_server.url, stop)


def test_uploads_are_sent_once(artifact_server: ArtifactServer, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    transfer = Transfer(artifact_server.url + "/api/v1/", STOP)
    transfer.put(sha256_of(DATA), file)
    transfer.put(sha256_of(DATA), file)
    assert [method for method, _, _ in artifact_server.log] == ["HEAD", "PUT", "HEAD"]
    assert artifact_server.files[sha256_of(DATA)] == DATA
    with pytest.raises(RunError, match="422"):
        transfer.put("0" * 64, file)
    transfer.close()


def test_the_spool_keeps_what_is_wanted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    sha256 = {sha256_of(b"1"): str(first), sha256_of(b"2"): str(second)}
    assert spool.keep({**sha256, "f" * 64: str(tmp_path / "none"), "../../x": str(first)}) == list(sha256)
    first.unlink()
    assert spool.path(sha256_of(b"1")).read_bytes() == b"1"
    spool.keep_only({sha256_of(b"2")})
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [sha256_of(b"2")]
