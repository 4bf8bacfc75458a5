"""Good inputs, from which hostile ones are made."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.messages import (
    Ack,
    Caps,
    ControllerState,
    Desired,
    ExecutionRecord,
    Get,
    Lease,
    Message,
    Next,
    Progress,
    Refusal,
    Renew,
    Response,
    ResultMessage,
    State,
    Telemetry,
    Update,
    encode,
)
from edgedyno.core.predictions import FORMAT, PredictionsHead, PredictionsWriter
from edgedyno.core.result import ImagePrediction
from tests.agent.fleet.samples import CAPABILITIES, manifest, reference, result
from tests.conftest import ROOT

if TYPE_CHECKING:
    from edgedyno.controller.security.signing import Signer

BOARD = "board"
EXECUTION = "job-1.board"
_PNG = b"\x89PNG\r\n\x1a\n"


def from_board() -> dict[str, list[bytes]]:
    """Return messages that a board sends, by leaf."""
    progress = Progress(phase="measure", trials_done=1, trials_total=4, current="int8")
    sent: dict[str, list[Message]] = {
        "state": [State(board=BOARD, online=True, boot_id="b", session_epoch=3, execution=EXECUTION)],
        "caps": [Caps(board=BOARD, session_epoch=3, capabilities=CAPABILITIES)],
        "tele": [
            Telemetry(board=BOARD, session_epoch=3, uptime_seconds=5.0, load=0.5, temperature_celsius={"cpu": 50.0})
        ],
        "result": [
            ResultMessage(msg_id=f"m{seq}", board=BOARD, stream_epoch="e", seq=seq, execution=EXECUTION, attempt=1,
                          lease_id="l", record=result(f"{seq:016x}")) for seq in (1, 2, 5)
        ],
        "req/next": [Next(request_id="r1")],
        "req/get": [Get(request_id="r2", execution=EXECUTION)],
        "req/renew": [Renew(request_id="r3", execution=EXECUTION, lease_id="l")],
        "req/update": [
            Update(request_id="r4", execution=EXECUTION, lease_id="l", expected_version=2, state=state,
                   progress=progress)
            for state in ("IN_PROGRESS", "FAILED", "REJECTED")
        ],
        "req/none": [Next(request_id="r5")],
    }  # fmt: skip
    return {leaf: [encode(message) for message in messages] for leaf, messages in sent.items()}


def to_board(signer: Signer) -> dict[str, list[bytes]]:
    """Return messages that a controller sends, by leaf."""
    record = ExecutionRecord(EXECUTION, "job-1", BOARD, "IN_PROGRESS", 2, 1)
    lease = Lease("l", 60.0)
    work = manifest(EXECUTION, files=(reference(b"model"), reference(b"image")))
    assigned = signer.signed(BOARD, Response(request_id="q1", record=record, lease=lease, manifest=work))
    sent: dict[str, list[Message]] = {
        "desired": [
            Desired(execution=EXECUTION, version=2),
            Desired(execution=None, version=0, cancel_requested=True),
        ],
        "ack": [Ack(stream_epoch="e", up_to=3, refused=[Refusal(2, "x", "y")])],
        "state": [State(board=BOARD, online=True, boot_id="b", session_epoch=9)],
        "rsp/next": [assigned, Response(request_id="q1"), msgspec.structs.replace(assigned, signed=None)],
        "rsp/get": [Response(request_id="q1", record=record)],
        "rsp/update": [Response(request_id="q1", error="version.stale", text="x", record=record)],
        "rsp/renew": [Response(request_id="q1", record=record, lease=lease)],
        "controller": [
            ControllerState(online=True, api_url="http://127.0.0.1:9"),
            ControllerState(online=False),
        ],
    }
    return {leaf: [encode(message) for message in messages] for leaf, messages in sent.items()}


def job_files() -> list[bytes]:
    """Return the job files that are shipped."""
    return [file.read_bytes() for file in sorted((ROOT / "profiles/edgedyno/profiles/jobs").glob("*.yaml"))]


def bundles() -> list[bytes]:
    """Return zips of two members, packed in every way that is read."""
    made = []
    for method, weights in (
        (zipfile.ZIP_STORED, b"w" * 300),
        (zipfile.ZIP_DEFLATED, bytes(range(256)) * 8),
        (zipfile.ZIP_BZIP2, b"w" * 300),
        (zipfile.ZIP_LZMA, b"w" * 300),
    ):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", method) as bundle:
            bundle.writestr("model.param", b"7767517\n1 1\nInput data 0 1 data\n")
            bundle.writestr("model.bin", weights)
        made.append(target.getvalue())
    return made


def predictions() -> list[bytes]:
    """Return a predictions artifact and an older one."""
    sha256 = "ab" * 32
    image = ImagePrediction(1)
    with tempfile.TemporaryDirectory() as folder:
        with PredictionsWriter(Path(folder) / "part") as writer:
            writer.add(image)
            writer.add(msgspec.structs.replace(image, image_id=2))
            name = writer.finish(PredictionsHead(FORMAT, sha256, "onnxruntime", sha256, 2), Path(folder))
        good = (Path(folder) / name).read_bytes()
    old = msgspec.json.encode(
        {"variant_sha256": sha256, "runtime": "x", "preparation_sha256": sha256, "images": [image]}
    )
    return [good, old]


def images() -> list[bytes]:
    """Return the beginnings of image files of every format that is read, and a small whole PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    png = _PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(20))) + chunk(b"IEND", b"")
    jpeg = (
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x10\0\x10\x03" + bytes(20) + b"\xff\xda\0\x02\xff\xd9"
    )
    webp = b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8X" + bytes(30)
    bmp = b"BM" + struct.pack("<I", 60) + bytes(8) + struct.pack("<Iii", 40, 4, -4) + bytes(40)
    tiff = (
        b"II*\0"
        + struct.pack("<IH", 8, 2)
        + struct.pack("<HHII", 256, 3, 1, 4)
        + struct.pack("<HHII", 257, 4, 1, 4)
    )
    return [png, jpeg, webp, bmp, tiff, b"GIF89a\x04\0\x04\0" + bytes(10)]


def model_files() -> dict[str, bytes]:
    """Return model files by the name that they have: what a user may hand in."""
    found = {
        "bundle.zip": bundles()[1],
        "net.param": b"7767517\n2 2\nInput data 0 1 data\nReLU r 1 1 data out 0=0.1\n",
    }
    found["net.xml"] = (
        b'<?xml version="1.0"?><net name="n" version="11"><layers><layer id="0" name="x" type="Parameter" '
        b'version="opset1"><data shape="1,3,8,8" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim>'
        b"<dim>3</dim></port></output></layer></layers><edges/></net>"
    )
    samples = ROOT / "profiles/edgedyno/profiles/samples"
    smallest = min(samples.rglob("*.onnx"), key=lambda file: file.stat().st_size)
    found["model.onnx"] = smallest.read_bytes()[: 1 << 16]
    return found


def requests() -> list[bytes]:
    """Return whole HTTP requests."""
    sha256 = "ab" * 32
    lines = [
        "GET / HTTP/1.1",
        "GET /api/v1/jobs HTTP/1.1\r\nAuthorization: Bearer edgedyno_x",
        "GET /api/v1/jobs HTTP/1.1\r\nAuthorization: Basic eDp5",
        "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text",
        f"GET /api/v1/artifacts/{sha256} HTTP/1.1\r\nRange: bytes=0-5,7-9",
        f"HEAD /api/v1/artifacts/{sha256} HTTP/1.1",
        "GET /api/v1/results?job=a&board=b HTTP/1.1",
        "GET /api/v1/jobs/x/report?language=zh&images=no HTTP/1.1",
        'PATCH /api/v1/boards/x HTTP/1.1\r\nContent-Length: 17\r\n\r\n{"drained": true}',
        f"PUT /api/v1/artifacts/{sha256} HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        'POST /api/v1/artifacts/missing HTTP/1.1\r\nContent-Length: 14\r\n\r\n{"sha256": []}',
        "POST /api/v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0",
    ]
    return [_finished(line) for line in lines]


def _finished(text: str) -> bytes:
    head, _, body = text.partition("\r\n\r\n")
    ending = "\r\n\r\n" if body.endswith("\r\n0") else ""
    return f"{head}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n{body}{ending}".encode()
