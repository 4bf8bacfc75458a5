"""Measure memory bandwidth and arithmetic on the CPUs that this process was given. A program of its own.

Runs in a runtime's interpreter (Python 3.8 or newer, numpy, onnxruntime where there is one) as
`python speed.py REQUEST`, REQUEST being JSON; prints one JSON object. Not responsible for choosing CPUs, nor for
what the figures are used for.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
from typing import Any, Callable, Sequence

# Of its CPUs' time; waiting for each other at the end of a call takes threads a few per cent.
OWNED = 0.9
PATIENCE = 10  # times the usual duration, for a call that nobody disturbs
FLOAT, UINT8, INT8, INT32, FLOAT16 = 1, 2, 3, 6, 10  # TensorProto.DataType of onnx.proto


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Measure what REQUEST asks for: cpus, threads, seconds of each quantity, size, copy_bytes, precisions."""
    request = json.loads(argv[0])
    os.sched_setaffinity(0, request["cpus"])
    answer: dict[str, Any] = {"operations_per_second": {}, "methods": {}, "reasons": {}}
    try:
        import numpy as np
    except ImportError as error:
        answer["reasons"] = dict.fromkeys(["copy", *request["precisions"]], "no numpy: %s" % error)
        return answer
    try:
        answer["copy_bytes_per_second"] = measure_copy(np, request)
    except (RuntimeError, MemoryError) as error:
        answer["reasons"]["copy"] = str(error) or "no memory for the arrays"
    answer["methods"]["copy"] = "numpy %s copying %d MiB" % (np.__version__, request["copy_bytes"] >> 20)
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    for precision in request["precisions"]:
        try:
            rate, method = measure_product(np, onnxruntime, precision, request)
        except Exception as error:  # noqa: BLE001 - a runtime may fail in any way; the reason is the answer
            answer["reasons"][precision] = str(error)[:200] or type(error).__name__
        else:
            answer["operations_per_second"][precision] = rate
            answer["methods"][precision] = method
    return answer


def best_rate(step: Callable[[], Any], amount: float, request: dict[str, Any]) -> float:
    """Return the highest rate of `amount` per call among the calls that had their CPUs to themselves.

    What disturbs a call only ever slows it down, so the best one counts. Raises RuntimeError when others had the
    CPUs all the time: such a figure would be that of the load.
    """
    step()
    best, owned_most, wanted = float("inf"), 0.0, request["threads"]
    began = time.perf_counter()
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        cpu, now = time.process_time() - cpu, time.perf_counter()
        owned = cpu / ((now - wall) * wanted)
        owned_most = max(owned_most, owned)
        if owned >= OWNED:
            best = min(best, now - wall)
        gone = now - began
        if gone >= request["seconds"] and best < float("inf"):
            return amount / best
        if gone >= PATIENCE * request["seconds"]:
            raise RuntimeError(
                "other programs used the CPUs: at most %.0f%% of them was had" % (100 * owned_most)
            )


def measure_copy(numpy: Any, request: dict[str, Any]) -> float:
    """Copy between arrays far larger than the caches, each thread its own; return bytes read plus written."""
    threads = request["threads"]
    each = request["copy_bytes"] // threads
    pairs = [(numpy.zeros(each, numpy.uint8), numpy.ones(each, numpy.uint8)) for _ in range(threads)]

    def step() -> None:
        if threads == 1:
            numpy.copyto(*pairs[0])
            return
        workers = [threading.Thread(target=numpy.copyto, args=pair) for pair in pairs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return best_rate(step, 2 * each * threads, request)


def measure_product(
    numpy: Any, onnxruntime: Any, precision: str, request: dict[str, Any]
) -> tuple[float, str]:
    """Multiply square matrices; return operations a second and how it was done."""
    size = request["size"]
    operations = 2 * size**3
    if onnxruntime is None:
        if precision != "fp32":
            raise RuntimeError("no onnxruntime in this environment")
        left, right = numpy.ones((size, size), numpy.float32), numpy.ones((size, size), numpy.float32)
        out = numpy.empty_like(left)
        rate = best_rate(lambda: numpy.matmul(left, right, out=out), operations, request)
        return rate, "numpy %s matmul of %d x %d" % (numpy.__version__, size, size)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        product_model(precision, size), options, providers=["CPUExecutionProvider"]
    )
    kinds = {"fp32": numpy.float32, "fp16": numpy.float16, "int8": numpy.uint8}
    feed = {"a": numpy.ones((size, size), kinds[precision])}
    rate = best_rate(lambda: session.run(None, feed), operations, request)
    name = "MatMulInteger" if precision == "int8" else "MatMul"
    return rate, "onnxruntime %s %s of %d x %d" % (onnxruntime.__version__, name, size, size)


def product_model(precision: str, size: int) -> bytes:
    """Return an ONNX model of one product with a constant right side, as bytes (onnx.proto, opset 13)."""
    left, right, out, raw = {
        "fp32": (FLOAT, FLOAT, FLOAT, struct.pack("<f", 1.0)),
        "fp16": (FLOAT16, FLOAT16, FLOAT16, struct.pack("<e", 1.0)),
        "int8": (UINT8, INT8, INT32, struct.pack("<b", 1)),
    }[precision]
    operator = b"MatMulInteger" if precision == "int8" else b"MatMul"
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"y") + _field(4, operator)
    constant = (
        _number(1, size) + _number(1, size) + _number(2, right) + _field(8, b"b") + _field(9, raw * size**2)
    )
    graph = (
        _field(1, node)
        + _field(2, b"product")
        + _field(5, constant)
        + _field(11, _value(b"a", left, size))
        + _field(12, _value(b"y", out, size))
    )
    return _number(1, 7) + _field(7, graph) + _field(8, _number(2, 13))


def _value(name: bytes, kind: int, size: int) -> bytes:
    side = _field(1, _number(1, size))
    return _field(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, side + side)))


def _field(number: int, data: bytes) -> bytes:
    """Encode bytes as a length-delimited field of protobuf."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])) + "\n")
