"""Tensors cross between runner and worker in files: numpy's own format by path, or bare bytes in open files.

Open files have no name and lie in memory where the system has a place for that, so that a pass over thousands of
images writes none of them to an SD card, and nothing is left behind by a runner that is killed.
"""

import mmap
import os
from typing import Any, Dict, Iterator, List, Optional, Sequence

from edgedyno.agent.runtimes.base import InferenceError, TensorSpec

_COLOURS = 3


def read_for(spec: TensorSpec, path: str, batch: int) -> Any:
    """Read the float32 tensor at `path` and make it what `spec` wants; see `made_for`."""
    import numpy as np

    return made_for(spec, np.load(path, allow_pickle=False), batch)


def made_for(spec: TensorSpec, array: Any, batch: int) -> Any:
    """Return a copy of a float32 tensor as `spec` wants it: layout, dtype, copies to fill the batch.

    A picture is turned where the model wants its channels first and they come last, or the other way round. An
    integer input is filled by the scale and zero point that its file states. Raises InferenceError where the
    model wants another shape, another batch, or integers without saying what they stand for.
    """
    import numpy as np

    wanted = spec.shape
    fixed_batch = wanted[0] if wanted else None
    if fixed_batch not in (None, batch):
        raise InferenceError(
            "batch.fixed", "found batch %d, expected %s: the file fixes it" % (batch, fixed_batch)
        )
    order = _order(array.shape, wanted)
    if order is None:
        raise InferenceError(
            "input.shape",
            "found a prepared input of shape %s, expected %s by the model's input %r"
            % (list(array.shape), _show(wanted), spec.name),
        )
    array = _convert(array.transpose(order), spec)
    # Always a copy: what a runtime does to its input must not reach the next one that is shown the same.
    return np.ascontiguousarray(np.repeat(array, batch, axis=0))


def _order(found: Sequence[int], wanted: Sequence[Optional[int]]) -> Optional[Sequence[int]]:
    """Return the order of axes in which an array of shape `found` fits; None where it does not.

    As it is comes first: the profile states its layout. Raises InferenceError (input.ambiguous) where the array
    fits turned both ways, so that nothing tells which axis the channels are.
    """
    if _fits(found[1:], wanted[1:]):
        return range(len(found))
    orders = []
    if len(found) == len("NCHW"):
        orders += [(0, 2, 3, 1)] if found[1] == _COLOURS else []
        orders += [(0, 3, 1, 2)] if found[-1] == _COLOURS else []
    fitting = [order for order in orders if _fits([found[axis] for axis in order[1:]], wanted[1:])]
    if len(fitting) > 1:
        raise InferenceError(
            "input.ambiguous",
            "found a prepared input of shape %s, which fits %s turned either way"
            % (list(found), _show(wanted)),
        )
    return fitting[0] if fitting else None


def _convert(array: Any, spec: TensorSpec) -> Any:
    import numpy as np

    dtype = np.dtype(spec.dtype)
    if np.issubdtype(dtype, np.floating):
        return array.astype(dtype, copy=False)
    if spec.scale is None or spec.zero_point is None or not np.issubdtype(dtype, np.integer):
        raise InferenceError(
            "input.dtype",
            "found %s without scale and zero point as the type of the model's input %r, expected "
            "a floating-point type or a quantized one" % (spec.dtype, spec.name),
        )
    limits = np.iinfo(dtype)
    return np.clip(np.rint(array / spec.scale) + spec.zero_point, limits.min, limits.max).astype(dtype)


def write_outputs(outputs: List[Any], batch: int, folder: str, name: str) -> List[str]:
    """Write the first item of each output as float32 or its own integer type; return the paths."""
    import numpy as np

    paths = []
    for index, array in enumerate(_first_items(outputs, batch)):
        path = os.path.join(folder, "%s-%d.npy" % (name, index))
        np.save(path, array, allow_pickle=False)
        paths.append(path)
    return paths


def map_tensor(fd: int, shape: Sequence[int]) -> Any:
    """Return the float32 tensor at the beginning of an open file, without reading it before it is used."""
    import numpy as np

    count = int(np.prod(shape))
    mapped = mmap.mmap(fd, count * np.dtype(np.float32).itemsize, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, np.float32, count).reshape(shape)


def put_outputs(outputs: List[Any], batch: int, fd: int) -> List[Dict[str, Any]]:
    """Write what `write_outputs` writes one after the other into an open file; return where each lies."""
    import numpy as np

    places = []
    offset = 0
    for array in _first_items(outputs, batch):
        places.append({"dtype": array.dtype.str, "shape": list(array.shape), "offset": offset})
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:], offset + written)
        offset += len(data)
    return places


def _first_items(outputs: List[Any], batch: int) -> Iterator[Any]:
    import numpy as np

    for output in outputs:
        array = np.asarray(output)
        if batch > 1 and array.ndim and array.shape[0] == batch:
            array = array[:1]  # a batch is filled with copies
        if np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float32, copy=False)
        yield array


def _fits(found: Any, wanted: Any) -> bool:
    return len(found) == len(wanted) and all(b is None or a == b for a, b in zip(found, wanted))


def _show(shape: Any) -> List[object]:
    return ["any" if size is None else size for size in shape]
