"""What models are fed: the data set's images, prepared once for all variants, or else noise."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision import fill, fit, prepare, read_pixels, tensor_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgedyno.agent.measure.exchange import Pool, SharedFile
    from edgedyno.core.manifest import Image, Manifest
    from edgedyno.core.profile import InputSpec
    from edgedyno.core.vision import Geometry

_log = logging.getLogger(__name__)


class Fed(NamedTuple):
    """One image as the models get it, or why they do not."""

    place: int
    """Its place among the images."""
    image: Image
    file: SharedFile | None
    """Holds the tensor; None where the image cannot be used."""
    geometry: Geometry | None
    error: str | None
    """Its code and a sentence."""
    chain: str
    """Fingerprint of all images so far; see `Feeder`."""
    seconds: float = 0.0
    """CPU time of preparing it: decoding the file, resizing, normalising; not reading it."""


class Feeder:
    """Prepares one image after the other, as `own` or the model says, into files of a pool.

    It also keeps a fingerprint over all images, in order, as the model's profile prepares them: what every variant
    was shown. Equal for all variants, or comparing them is void. A variant with an input of its own sees the same
    images in its own preparation. The pixels count after resizing; what follows is arithmetic that the profile
    states, and the profile's input is part of the fingerprint.
    """

    def __init__(
        self, manifest: Manifest, files: Mapping[str, str], pool: Pool, own: InputSpec | None = None
    ) -> None:
        self._images = manifest.images
        self._files = files
        self._pool = pool
        self._plain = manifest.model.input
        self._spec = own or manifest.model.input
        self._chain = first_link(manifest)

    def resume(self, chain: str) -> None:
        """Go on after the images whose fingerprint is `chain`."""
        self._chain = chain or self._chain

    def feed(self, place: int) -> Fed:
        """Prepare the image at `place`, as soon as a file of the pool is free for it."""
        image = self._images[place]
        try:
            data = _read(image, self._files)
            began = time.thread_time()
            pixels = read_pixels(data)
            fitted = fit(pixels, self._spec)
            file = self._pool.take()
            fill(file.tensor(tensor_shape(self._spec)), fitted.pixels, self._spec)
            seconds = time.thread_time() - began
            plain = fitted if self._spec is self._plain else fit(pixels, self._plain)
            self._link(image, plain.pixels)
        except ConfigError as error:
            self._link(image, None)
            return Fed(place, image, None, None, f"{error.code}: image {image.id}: {error}", self._chain)
        return Fed(place, image, file, fitted.geometry, None, self._chain, seconds)

    def _link(self, image: Image, pixels: NDArray[np.uint8] | None) -> None:
        digest = hashlib.sha256(f"{self._chain} {image.id} ".encode())
        digest.update(b"none" if pixels is None else np.ascontiguousarray(pixels).data)
        self._chain = digest.hexdigest()


def first_link(manifest: Manifest) -> str:
    """Return the fingerprint of no images: of how the model's profile wants them prepared."""
    return hashlib.sha256(msgspec.json.encode(manifest.model.input)).hexdigest()


def _read(image: Image, files: Mapping[str, str]) -> bytes:
    path = files.get(image.file.sha256)
    if path is None:
        raise ConfigError("its file was not handed over", code="image.missing")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"its file cannot be read: {error}", code="image.unreadable") from error


def write_latency_input(manifest: Manifest, files: Mapping[str, str], path: Path) -> str:
    """Write the tensor that latency is measured on; return what it is, for the conditions.

    The first usable image: times may depend on what is in it. Noise otherwise, the same every time.
    """
    for image in manifest.images:
        try:
            prepared = prepare(_read(image, files), manifest.model.input)
        except ConfigError as error:
            _log.warning("image %s cannot be used: %s", image.id, error)
            continue
        np.save(path, prepared.tensor, allow_pickle=False)
        return f"image {image.id}"
    np.save(path, noise(manifest.model.input), allow_pickle=False)
    return "noise"


def noise(spec: InputSpec) -> NDArray[np.float32]:
    """Return one prepared tensor of uniform random pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (*spec.size, 3)).astype(np.uint8)
    tensor = np.empty(tensor_shape(spec), np.float32)
    fill(tensor, np.ascontiguousarray(pixels[:, :, ::-1]) if spec.colour == "RGB" else pixels, spec)
    return tensor
