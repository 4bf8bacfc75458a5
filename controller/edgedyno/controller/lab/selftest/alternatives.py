"""Other readings of a profile: each one mistake that is often made, and the words for mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec

_IMAGENET_RGB = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_SCALES: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("`mean: [0, 0, 0]`, `std: [1, 1, 1]` (pixels as they are)", (0.0,) * 3, (1.0,) * 3),
    ("`mean: [0, 0, 0]`, `std: [255, 255, 255]` (pixels / 255)", (0.0,) * 3, (255.0,) * 3),
    ("`mean: [127.5, 127.5, 127.5]`, `std: [127.5, 127.5, 127.5]` (-1 to 1)", (127.5,) * 3, (127.5,) * 3),
)
_RESIZES = {
    "detect": ("letterbox-center", "letterbox-topleft", "stretch"),
    "classify": ("resize-crop", "stretch"),
}
_DECODERS = ("yolox", "yolov5", "yolov8", "fastestdet", "nanodet", "ssd")


class Alternative(NamedTuple):
    """A profile that differs, and the keys that do."""

    words: str
    profile: ModelProfile


def colours(profile: ModelProfile) -> list[Alternative]:
    """Return the profile with the other colour order: the mistake that leaves most objects visible."""
    return [Alternative(words, replace(profile, input=spec)) for words, spec in _colours(profile)]


def single(profile: ModelProfile) -> list[Alternative]:
    """Return the profiles that differ from this one in one thing."""
    inputs = [
        Alternative(words, replace(profile, input=spec)) for kind in _KINDS for words, spec in kind(profile)
    ]
    outputs = [Alternative(words, replace(profile, output=spec)) for words, spec in _outputs(profile)]
    return inputs + outputs


def combined(profile: ModelProfile) -> list[Alternative]:
    """Return those that differ in two things or three of the input."""
    found = [Alternative("", profile)]
    for kind in _KINDS:
        found += [
            Alternative(f"{each.words} and {words}" if each.words else words, replace(profile, input=spec))
            for each in list(found)
            for words, spec in kind(each.profile)
        ]
    return [each for each in found if " and " in each.words]


def _colours(profile: ModelProfile) -> Iterator[tuple[str, InputSpec]]:
    spec = profile.input
    other: Any = "BGR" if spec.colour == "RGB" else "RGB"
    # Mean and std belong to channels: they are turned with them.
    yield f"`colour: {other}`", replace(spec, colour=other, mean=spec.mean[::-1], std=spec.std[::-1])


def _scales(profile: ModelProfile) -> Iterator[tuple[str, InputSpec]]:
    spec: Any = profile.input
    mean, std = _IMAGENET_RGB if spec.colour == "RGB" else (each[::-1] for each in _IMAGENET_RGB)
    imagenet = (f"`mean: {list(mean)}`, `std: {list(std)}` (ImageNet's)", mean, std)
    for words, other_mean, other_std in (*_SCALES, imagenet):
        if (spec.mean, spec.std) != (other_mean, other_std):
            yield words, replace(spec, mean=other_mean, std=other_std)


def _resizes(profile: ModelProfile) -> Iterator[tuple[str, InputSpec]]:
    for resize in _RESIZES[profile.task]:
        if resize != profile.input.resize:
            yield f"`resize: {resize}`", replace(profile.input, resize=resize)


_KINDS = (_colours, _scales, _resizes)


def _outputs(profile: ModelProfile) -> Iterator[tuple[str, OutputSpec]]:
    spec: Any = profile.output
    if spec.decoder in ("ssd", "classify"):
        turned = not spec.background
        yield f"`background: {str(turned).lower()}`", replace(spec, background=turned)
    if profile.task == "classify":
        return
    unit: Any = "fraction" if spec.boxes == "pixels" else "pixels"
    yield f"`boxes: {unit}`", replace(spec, boxes=unit)
    if spec.decoder == "nanodet":
        centre = 0.5 - spec.cell_centre
        yield f"`cell_centre: {centre:g}`", replace(spec, cell_centre=centre)
    for decoder in _DECODERS:
        if decoder != spec.decoder:
            yield f"`decoder: {decoder}`", replace(spec, decoder=decoder)
