"""What models are fed: the data set's images, prepared once for all variants, or else noise."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from edgedyno.core.manifest import Image, Manifest
    from edgedyno.core.profile import InputSpec
    from edgedyno.core.vision import Prepared

_log = logging.getLogger(__name__)


class Fed(NamedTuple):
    """One image as the models get it, or why they do not."""

    image: Image
    prepared: Prepared | None
    error: str | None
    seconds: float = 0.0
    """Preparing it took: decoding the file, resizing, normalising; not reading it."""


def feed(manifest: Manifest, files: Mapping[str, str], spec: InputSpec | None = None) -> Iterator[Fed]:
    """Prepare one image after the other, as `spec` or the model says; only one is in memory at a time."""
    for image in manifest.images:
        try:
            data = Path(files[image.file.sha256]).read_bytes()
            began = time.perf_counter()
            prepared = prepare(data, spec or manifest.model.input)
            yield Fed(image, prepared, None, time.perf_counter() - began)
        except KeyError:
            yield Fed(image, None, f"image {image.id}: its file was not handed over")
        except (ConfigError, OSError) as error:
            yield Fed(image, None, f"image {image.id}: {error}")


class Fingerprint:
    """Hash over all inputs, in order, as the model's profile prepares them: what every variant was shown.

    Equal for all variants, or comparing them is void. A variant with an input of its own sees the same images in
    its own preparation.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, fed: Fed) -> None:
        """Take one image in."""
        self._hash.update(f"\n{fed.image.id} ".encode())
        self._hash.update(fed.prepared.tensor.tobytes() if fed.prepared else b"none")

    def sha256(self) -> str:
        """Return the hash so far."""
        return self._hash.hexdigest()


def write_latency_input(manifest: Manifest, files: Mapping[str, str], path: Path) -> str:
    """Write the tensor that latency is measured on; return what it is, for the conditions.

    The first usable image: times may depend on what is in it. Noise otherwise, the same every time.
    """
    for fed in feed(manifest, files):
        if fed.prepared is not None:
            np.save(path, fed.prepared.tensor, allow_pickle=False)
            return f"image {fed.image.id}"
        _log.warning("cannot be used: %s", fed.error)
    np.save(path, noise(manifest.model.input), allow_pickle=False)
    return "noise"


def noise(spec: InputSpec) -> NDArray[np.float32]:
    """Return one prepared tensor of uniform random pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (*spec.size, 3)).astype(np.float32)
    tensor = (pixels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    if spec.layout == "NCHW":
        tensor = tensor.transpose(2, 0, 1)
    return np.ascontiguousarray(tensor[None], dtype=np.float32)
