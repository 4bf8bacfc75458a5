"""Other readings of a profile: each one mistake that is often made, its code, and the line that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from edgedyno.core.profile import InputSpec, OutputSpec, Task
from edgedyno.core.vision.selftest.activation import Activation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.vision.selftest.symptoms import InputTensor

COLOUR = "input.colour-order"
SCALE = "input.scale"
RESIZE = "input.resize"
LAYOUT = "input.layout"
DTYPE = "input.dtype"
BOXES = "output.boxes"
ACTIVATION = "output.activation"
DECODER = "output.decoder"
BACKGROUND = "output.background"

_PIXELS = ((0.0,) * 3, (1.0,) * 3)
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_SCALES: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    _PIXELS,
    ((0.0,) * 3, (255.0,) * 3),
    ((127.5,) * 3, (127.5,) * 3),
    _IMAGENET,
)
_RESIZES = {
    "detect": ("letterbox-center", "letterbox-topleft", "stretch"),
    "classify": ("resize-crop", "stretch"),
}
_DECODERS = ("yolox", "yolov5", "yolov8", "fastestdet", "nanodet", "ssd")


class Reading(Struct, frozen=True):
    """How a model is fed and read."""

    task: Task
    input: InputSpec
    output: OutputSpec
    activation: Activation = ""
    """What is amiss with the model's last activation, and made good before decoding."""


class Alternative(NamedTuple):
    """A reading that differs in one thing or more."""

    code: str
    """Of what is wrong with the stated reading if this one sees more."""
    changes: tuple[str, ...]
    """Lines of the profile: `input.colour: RGB → BGR`. Empty where no line mends it."""
    reading: Reading


def colours(reading: Reading) -> list[Alternative]:
    """Return the reading with the other colour order: the mistake that leaves most objects visible."""
    return [_of_input(COLOUR, reading, spec) for spec in _colours(reading)]


def scales(reading: Reading) -> list[Alternative]:
    """Return the reading with other scales."""
    return [_of_input(SCALE, reading, spec) for spec in _scales(reading)]


def of_input(reading: Reading, tensor: InputTensor | None = None) -> list[Alternative]:
    """Return the readings that feed the model otherwise in one thing: each costs inferences."""
    found = [_of_input(code, reading, spec) for code, kind in _KINDS for spec in kind(reading)]
    raw = None if tensor is None else _raw_integers(reading.input, tensor)
    return found if raw is None else [Alternative(DTYPE, (), replace(reading, input=raw)), *found]


def of_output(reading: Reading) -> list[Alternative]:
    """Return the readings that take the same outputs otherwise in one thing."""
    activations: tuple[Activation, ...] = ("missing", "doubled")
    mended = [
        Alternative(ACTIVATION, (), replace(reading, activation=each))
        for each in activations
        if not (reading.task == "classify" and each == "missing")
    ]
    return mended + [
        Alternative(code, _changed("output", reading.output, spec), replace(reading, output=spec))
        for code, spec in _outputs(reading)
    ]


def turned(reading: Reading) -> Alternative:
    """Return the reading with the channels at the other end."""
    other: Any = "NHWC" if reading.input.layout == "NCHW" else "NCHW"
    return _of_input(LAYOUT, reading, replace(reading.input, layout=other))


def combined(reading: Reading) -> list[Alternative]:
    """Return those that differ in two things or three of the input."""
    found = [Alternative("", (), reading)]
    for code, kind in _KINDS:
        found += [
            Alternative(
                each.code or code, _changed("input", reading.input, spec), replace(reading, input=spec)
            )
            for each in list(found)
            for spec in kind(each.reading)
        ]
    singles = [each.reading for each in of_input(reading)]
    return [each for each in found[1:] if each.reading not in singles]


def _of_input(code: str, reading: Reading, spec: InputSpec) -> Alternative:
    return Alternative(code, _changed("input", reading.input, spec), replace(reading, input=spec))


def _changed(where: str, old: Struct, new: Struct) -> tuple[str, ...]:
    """Return the lines that differ, as the profile has them."""
    pairs = [(key, getattr(old, key), getattr(new, key)) for key in old.__struct_fields__]
    return tuple(
        f"{where}.{key}: {_plain(before)} → {_plain(after)}"
        for key, before, after in pairs
        if before != after
    )


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_plain(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _colours(reading: Reading) -> Iterator[InputSpec]:
    spec = reading.input
    other: Any = "BGR" if spec.colour == "RGB" else "RGB"
    # Mean and std belong to channels: they are turned with them.
    yield replace(spec, colour=other, mean=spec.mean[::-1], std=spec.std[::-1])


def _scales(reading: Reading) -> Iterator[InputSpec]:
    spec: Any = reading.input
    for mean, std in _SCALES:
        order = slice(None, None, 1 if spec.colour == "RGB" else -1)
        other = replace(spec, mean=mean[order], std=std[order])
        if other != spec:
            yield other


def _resizes(reading: Reading) -> Iterator[InputSpec]:
    for resize in _RESIZES[reading.task]:
        if resize != reading.input.resize:
            yield replace(reading.input, resize=resize)


_KINDS = ((COLOUR, _colours), (SCALE, _scales), (RESIZE, _resizes))


def _raw_integers(spec: InputSpec, tensor: InputTensor) -> InputSpec | None:
    """Return the input with which the file's integers are the pixels themselves, less 128 where they have a sign."""
    limits = tensor.limits()
    if limits is None or tensor.scale is None or not tensor.scale:
        return None
    offset = -limits[0] if limits[0] >= -128 else 0  # noqa: PLR2004 - 16 bits hold pixels as they are
    mean = float((tensor.zero_point or 0) + offset)
    other = replace(spec, mean=(mean,) * 3, std=(1.0 / tensor.scale,) * 3)
    return None if _nearly(spec, other) else other


def _nearly(spec: InputSpec, other: InputSpec) -> bool:
    """Tell whether two inputs differ by less than half a level of 255."""
    ends = [
        (abs((pixel - a) / b - (pixel - c) / d), abs(255 / b))
        for pixel in (0.0, 255.0)
        for a, b, c, d in zip(spec.mean, spec.std, other.mean, other.std, strict=True)
    ]
    return all(apart <= span / 100 for apart, span in ends)


def _outputs(reading: Reading) -> Iterator[tuple[str, OutputSpec]]:
    spec: Any = reading.output
    if spec.decoder in ("ssd", "classify"):
        yield BACKGROUND, replace(spec, background=not spec.background)
    if reading.task == "classify":
        return
    unit: Any = "fraction" if spec.boxes == "pixels" else "pixels"
    yield BOXES, replace(spec, boxes=unit)
    if spec.decoder == "nanodet":
        yield BOXES, replace(spec, cell_centre=0.5 - spec.cell_centre)
    for decoder in _DECODERS:
        if decoder != spec.decoder:
            yield DECODER, replace(spec, decoder=decoder)
