"""Files by content: atomic, checked, and nothing left behind."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.lab.files import ContentStore
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"what a board needs"
SHA256 = hashlib.sha256(DATA).hexdigest()


def _strays(store: ContentStore) -> list[Path]:
    return list((store.root / "incoming").iterdir())


def test_bytes_come_back_under_their_hash(store: ContentStore) -> None:
    reference = store.add_bytes(DATA, name="x.bin")
    assert (reference.sha256, reference.size_bytes, reference.name) == (SHA256, len(DATA), "x.bin")
    assert store.read(SHA256) == DATA
    assert store.path(SHA256).parent.parent.parent == store.root
    assert _strays(store) == []


def test_a_file_is_kept_with_its_name(store: ContentStore, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(DATA)
    assert store.add_file(source).name == "model.onnx"
    source.write_bytes(b"changed afterwards")
    assert store.read(SHA256) == DATA


def test_the_same_content_is_kept_once(store: ContentStore) -> None:
    store.add_bytes(DATA)
    before = store.path(SHA256).stat().st_ino
    store.add_bytes(DATA)
    assert store.path(SHA256).stat().st_ino == before
    assert list(store.names()) == [SHA256]
    assert store.size_bytes() == len(DATA)


def test_what_is_not_here_is_said_so(store: ContentStore) -> None:
    assert not store.has(SHA256)
    with pytest.raises(UnsupportedError) as caught:
        store.path(SHA256)
    assert caught.value.code == "artifact.missing"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, SHA256 + "/.."])
def test_only_a_hash_can_become_a_path(store: ContentStore, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        store.has(name)
    assert caught.value.code == "artifact.name"


def test_an_upload_of_the_promised_content_is_kept(store: ContentStore) -> None:
    with store.open_upload(SHA256, max_bytes=100) as upload:
        upload.write(DATA[:5])
        upload.write(DATA[5:])
    assert store.read(SHA256) == DATA


def test_an_upload_of_other_content_is_refused_and_leaves_nothing(store: ContentStore) -> None:
    with pytest.raises(ConfigError) as caught, store.open_upload(SHA256) as upload:
        upload.write(b"something else")
    assert caught.value.code == "artifact.wrong-content"
    assert not store.has(SHA256)
    assert list(store.names()) == []
    assert _strays(store) == []


def test_an_upload_beyond_the_limit_is_refused_and_leaves_nothing(store: ContentStore) -> None:
    with pytest.raises(ConfigError) as caught, store.open_upload(max_bytes=10) as upload:
        upload.write(DATA)
    assert caught.value.code == "artifact.too-large"
    assert _strays(store) == []


def _break_off(store: ContentStore) -> None:
    with store.open_upload(SHA256) as upload:
        upload.write(DATA)
        raise ConnectionError


def test_an_upload_that_breaks_off_leaves_nothing(store: ContentStore) -> None:
    with pytest.raises(ConnectionError):
        _break_off(store)
    assert not store.has(SHA256)
    assert _strays(store) == []


def test_a_file_that_was_changed_is_found_and_can_be_mended(store: ContentStore) -> None:
    store.add_bytes(DATA)
    store.verify(SHA256)
    store.path(SHA256).chmod(0o644)
    store.path(SHA256).write_bytes(DATA[:-3])
    with pytest.raises(ConfigError) as caught:
        store.verify(SHA256)
    assert caught.value.code == "artifact.wrong-content"
    store.add_bytes(DATA)
    store.verify(SHA256)


def test_a_removed_file_is_gone(store: ContentStore) -> None:
    store.add_bytes(DATA)
    store.remove(SHA256)
    store.remove(SHA256)
    assert not store.has(SHA256)


def test_what_a_killed_process_left_is_removed_and_what_is_under_way_is_not(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    (tmp_path / "incoming" / "left").write_bytes(b"half of a file")
    with store.open_upload() as upload:
        upload.write(b"under way")
        ContentStore(tmp_path).clear_incoming()
        assert len(list((tmp_path / "incoming").iterdir())) == 1
    assert store.read(upload.sha256) == b"under way"
