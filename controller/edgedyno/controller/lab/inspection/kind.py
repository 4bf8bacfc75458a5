"""Which format a file has, by its first bytes; its name is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.inspection.zipped import opened
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_HEAD_BYTES = 4096
NCNN_MAGIC = b"7767517"
_NCNN_BINARY_MAGIC = (7767517).to_bytes(4, "little")
_FLATBUFFER_TFLITE = b"TFL3"
_ENGINE_MAGICS = (b"ftrt", b"ptrt", b"blob")
# What a file of this suffix is expected to hold.
SUFFIXES = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".lite": "tflite",
    ".param": "ncnn",
    ".xml": "openvino",
    ".mnn": "mnn",
    ".rknn": "rknn",
    ".engine": "tensorrt",
    ".plan": "tensorrt",
    ".trt": "tensorrt",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".torchscript": "pytorch",
    ".h5": "keras",
    ".keras": "keras",
}
WORDS = {
    "onnx": "an ONNX model",
    "tflite": "a TFLite model",
    "ncnn": "an ncnn graph (.param)",
    "ncnn-binary": "an ncnn graph in binary (.param.bin)",
    "openvino": "an OpenVINO graph (.xml)",
    "mnn": "an MNN model",
    "rknn": "an RKNN model",
    "tensorrt": "a TensorRT engine",
    "pytorch": "a PyTorch file",
    "keras": "a Keras file",
    "zip": "a zip archive",
    "lfs": "a Git LFS pointer, not the file itself",
    "html": "a web page",
    "empty": "nothing (0 bytes)",
    "unknown": "no model format that edgedyno knows",
}


class Kind(Struct, frozen=True):
    """The format of a file, and what its name says it is."""

    format: str
    named: str | None

    @property
    def lies(self) -> bool:
        """Tell whether the name says another format than the content."""
        return self.named is not None and self.named != self.format


def words(name: str) -> str:
    """Name a format for people."""
    return WORDS.get(name, name)


def identify(path: Path) -> Kind:
    """Tell the format of the file at `path`. Raises ConfigError (model.missing)."""
    if not path.is_file():
        raise ConfigError(f"found no file {path}, expected a model", code="model.missing")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    found = _of_head(head, path) if head else "empty"
    return Kind(found, SUFFIXES.get(path.suffix.lower()))


def _of_head(head: bytes, path: Path) -> str:
    for magic, name in (
        (_NCNN_BINARY_MAGIC, "ncnn-binary"),
        (b"RKNN", "rknn"),
        (b"\x89HDF", "keras"),
        (b"version https://git-lfs", "lfs"),
        (b"\x80", "pytorch"),
    ):
        if head.startswith(magic):
            return name
    if head[4:8] == _FLATBUFFER_TFLITE:
        return "tflite"
    if head.startswith(_ENGINE_MAGICS):
        return "tensorrt"
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(path)
    return _of_text(head) or _of_binary(head)


def _of_text(head: bytes) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(NCNN_MAGIC):
        return "ncnn"
    if b"<net" in text and text.startswith(b"<"):
        return "openvino"
    return "html" if text[:15].lower().startswith((b"<!doctype html", b"<html")) else None


def _of_zip(path: Path) -> str:
    try:
        with opened(path) as archive:
            names = set(archive.namelist())
    except ConfigError:
        return "zip"
    if {"model.param", "model.bin"} <= names:
        return "ncnn"
    if {"model.xml", "model.bin"} <= names:
        return "openvino"
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return "pytorch"
    return "keras" if "config.json" in names else "zip"


def _of_binary(head: bytes) -> str:
    # ONNX is a protobuf whose first field is the version of its form, a small number.
    if head[0] == 0x08 and len(head) > 1 and 0 < head[1] < 0x20:  # noqa: PLR2004 - field 1, varint
        return "onnx"
    return "mnn" if _looks_like_mnn(head) else "unknown"


def _looks_like_mnn(head: bytes) -> bool:
    """Tell a flatbuffer without an identifier whose root table lies at its head, as MNN writes it."""
    root = int.from_bytes(head[:4], "little")
    if not 8 <= root <= len(head) - 4 or root % 4:  # noqa: PLR2004 - behind the offset itself
        return False
    table = root - int.from_bytes(head[root : root + 4], "little", signed=True)
    if not 0 < table <= len(head) - 4:
        return False
    size, inline = (int.from_bytes(head[table + at : table + at + 2], "little") for at in (0, 2))
    # MNN's Net has up to a dozen fields; a random file has no such table.
    return 8 <= size <= 40 and size % 2 == 0 and 8 <= inline <= 128  # noqa: PLR2004 - bytes of the two tables
