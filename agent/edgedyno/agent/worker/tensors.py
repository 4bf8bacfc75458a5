"""Tensors cross between runner and worker in files, with numpy's own format and without pickle."""

import os
from typing import Any, List

from edgedyno.agent.runtimes.base import InferenceError, TensorSpec


def read_for(spec: TensorSpec, path: str, batch: int) -> Any:
    """Read the float32 tensor at `path` and make it what `spec` wants: dtype, and copies to fill the batch.

    An integer input is filled by the scale and zero point that its file states. Raises InferenceError where
    the model wants another shape, another batch, or integers without saying what they stand for.
    """
    import numpy as np

    array = np.load(path, allow_pickle=False)
    wanted = spec.shape
    fixed_batch = wanted[0] if wanted else None
    if fixed_batch not in (None, batch):
        raise InferenceError(
            "batch.fixed", "found batch %d, expected %s: the file fixes it" % (batch, fixed_batch)
        )
    if not _fits(array.shape[1:], wanted[1:]):
        raise InferenceError(
            "input.shape",
            "found a prepared input of shape %s, expected %s by the model's input %r"
            % (list(array.shape), _show(wanted), spec.name),
        )
    return np.ascontiguousarray(np.repeat(_convert(array, spec), batch, axis=0))


def _convert(array: Any, spec: TensorSpec) -> Any:
    import numpy as np

    dtype = np.dtype(spec.dtype)
    if np.issubdtype(dtype, np.floating):
        return array.astype(dtype)
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
    for index, output in enumerate(outputs):
        array = np.asarray(output)
        if batch > 1 and array.ndim and array.shape[0] == batch:
            array = array[:1]  # a batch is filled with copies
        if np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float32)
        path = os.path.join(folder, "%s-%d.npy" % (name, index))
        np.save(path, array, allow_pickle=False)
        paths.append(path)
    return paths


def _fits(found: Any, wanted: Any) -> bool:
    return len(found) == len(wanted) and all(b is None or a == b for a, b in zip(found, wanted))


def _show(shape: Any) -> List[object]:
    return ["any" if size is None else size for size in shape]
