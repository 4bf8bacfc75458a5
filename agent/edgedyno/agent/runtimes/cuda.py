"""The little of CUDA that a runtime on an NVIDIA GPU needs, through the C library: memory, copies, a stream.

A Jetson's Python has TensorRT and no CUDA package, and the library is wherever TensorRT found its own.
"""

import ctypes
import glob
import os
import sys
from typing import Any, List, Optional

_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2")
_PLACES = (
    "/usr/local/cuda/lib64/libcudart.so*",
    "/usr/local/cuda/targets/*/lib/libcudart.so*",
)
_TO_DEVICE, _TO_HOST = 1, 2


class CudaError(Exception):
    """A call failed, or there is no library or GPU; the text is CUDA's own where it has one."""


class Cuda:
    """The CUDA runtime library and one stream of the first GPU."""

    def __init__(self) -> None:
        """Open the library and the GPU; raises CudaError."""
        self._library = _open_library()
        count = ctypes.c_int()
        self._check("cudaGetDeviceCount", self._library.cudaGetDeviceCount(ctypes.byref(count)))
        if not count.value:
            raise CudaError("CUDA finds no GPU")
        stream = ctypes.c_void_p()
        self._check("cudaStreamCreate", self._library.cudaStreamCreate(ctypes.byref(stream)))
        self.stream = int(stream.value or 0)
        self._stream = stream
        self._held: List[ctypes.c_void_p] = []

    def allocate(self, size_bytes: int) -> int:
        """Return the address of so much of the GPU's memory; `free` gives all of it back."""
        pointer = ctypes.c_void_p()
        self._check(
            "cudaMalloc", self._library.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(max(size_bytes, 1)))
        )
        self._held.append(pointer)
        return int(pointer.value or 0)

    def to_device(self, address: int, array: Any) -> None:
        """Copy a contiguous array to the GPU."""
        self._copy(address, array.ctypes.data, array.nbytes, _TO_DEVICE)

    def to_host(self, array: Any, address: int) -> None:
        """Copy from the GPU into a contiguous array."""
        self._copy(array.ctypes.data, address, array.nbytes, _TO_HOST)

    def _copy(self, target: int, source: int, size_bytes: int, kind: int) -> None:
        answer = self._library.cudaMemcpy(
            ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size_bytes), kind
        )
        self._check("cudaMemcpy", answer)

    def synchronize(self) -> None:
        """Wait until the stream has done everything."""
        answer = self._library.cudaStreamSynchronize(self._stream)
        if answer:
            self._check("cudaStreamSynchronize", answer)

    def free(self) -> None:
        """Give back what was allocated."""
        for pointer in self._held:
            self._library.cudaFree(pointer)
        self._held = []

    def _check(self, call: str, answer: int) -> None:
        if answer:
            text = self._library.cudaGetErrorString(answer)
            raise CudaError("%s: %s" % (call, text.decode() if text else "error %d" % answer))


def device_name() -> str:
    """Return the first GPU's name from the driver; empty where it does not tell."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    name = ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGetName(name, len(name), 0):
        return ""
    return name.value.decode(errors="replace")


def _open_library() -> Any:
    last: Optional[OSError] = None
    for path in [*_NAMES, *_installed()]:
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            last = error
        else:
            library.cudaGetErrorString.restype = ctypes.c_char_p
            return library
    raise CudaError("the CUDA runtime library cannot be opened: %s" % last)


def _installed() -> List[str]:
    """Return the library where CUDA's installer and where its Python packages put it."""
    packages = [
        os.path.join(folder, "nvidia", "*", "lib", "libcudart.so*")
        for folder in sys.path
        if "packages" in folder
    ]
    return [path for pattern in (*_PLACES, *packages) for path in sorted(glob.glob(pattern))]
