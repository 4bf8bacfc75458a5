"""What a pair of ncnn files says of itself: layers, inputs, outputs, and how the weights are stored.

Sources: the file format as ncnn's wiki describes it (param-and-model-file-structure) and its load_param. ncnn
itself goes on after some errors in a .param and crashes later, so the text is read before it is given to ncnn.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from edgedyno.agent.runtimes.base import InferenceError

MAGIC = "7767517"
_BINARY_MAGIC = int(MAGIC).to_bytes(4, "little")

# What stands before the weights of a layer (ncnn's ModelBin::load): a tag, or nought for plain FP32.
_HALF = (0x01306B47).to_bytes(4, "little")
_INTEGER = (0x000D4B38).to_bytes(4, "little")

# Layers that have weights of 8 bits where this parameter is not nought.
_INT8_SCALE_TERM = {
    "Convolution": 8,
    "Convolution1D": 8,
    "ConvolutionDepthWise": 8,
    "InnerProduct": 8,
    "RNN": 8,
    "LSTM": 8,
    "GRU": 8,
    "Gemm": 18,
    "MultiHeadAttention": 18,
    "SDPA": 18,
    "Embed": 18,
}


class Layer(NamedTuple):
    """One line of a .param."""

    type: str
    name: str
    bottoms: Tuple[str, ...]
    tops: Tuple[str, ...]
    params: Dict[str, str]

    def is_int8(self) -> bool:
        """Tell whether it has weights of 8 bits and scales for its input."""
        number = _INT8_SCALE_TERM.get(self.type)
        return number is not None and self.params.get(str(number), "0") != "0"


def parse(data: bytes) -> List[Layer]:
    """Read a .param; raises InferenceError (model.invalid) with the line that is wrong."""
    if data.startswith(_BINARY_MAGIC):
        raise InferenceError(
            "model.invalid", "found a binary param (.param.bin), expected the text that names its layers"
        )
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[0].strip() != MAGIC:
        raise InferenceError(
            "model.invalid", "found %r as the param's first line, expected %s" % (lines[0][:20], MAGIC)
        )
    body = [(number, line.split()) for number, line in enumerate(lines[1:], 2) if line.strip()]
    layers = [_layer(number, words) for number, words in body[1:]]
    try:
        count = int(body[0][1][0])
    except (IndexError, ValueError):
        raise InferenceError("model.invalid", "found no count of layers in the param's second line") from None
    if not layers or count != len(layers):
        raise InferenceError(
            "model.invalid",
            "found %d layers in the param, expected %d by its second line" % (len(layers), count),
        )
    _check_blobs(layers)
    return layers


def _layer(number: int, words: List[str]) -> Layer:
    try:
        bottoms, tops = int(words[2]), int(words[3])
        blobs = words[4 : 4 + bottoms + tops]
        params = dict(word.split("=", 1) for word in words[4 + bottoms + tops :])
    except (IndexError, ValueError):
        blobs, bottoms, tops = [], 0, -1
        params = {}
    if min(bottoms, tops) < 0 or len(blobs) != bottoms + tops:
        raise InferenceError(
            "model.invalid", "found no layer in line %d of the param: %s" % (number, words[:6])
        )
    return Layer(words[0], words[1], tuple(blobs[:bottoms]), tuple(blobs[bottoms:]), params)


def _check_blobs(layers: Sequence[Layer]) -> None:
    """Refuse a blob that is read before any layer makes it: ncnn would read memory that is not its own."""
    made: Set[str] = set()
    for layer in layers:
        for blob in layer.bottoms:
            if blob not in made:
                raise InferenceError(
                    "model.invalid",
                    "layer %s reads blob %r, which no layer before it makes" % (layer.name, blob),
                )
        made.update(layer.tops)


def inputs(layers: Sequence[Layer]) -> List[Tuple[str, Tuple[Optional[int], ...]]]:
    """Return the name and shape of each input, the batch of one in front; sizes that are not told are None."""
    return [
        (top, (1, *_shape(layer.params))) for layer in layers if layer.type == "Input" for top in layer.tops
    ]


def _shape(params: Dict[str, str]) -> Tuple[Optional[int], ...]:
    sizes = [int(params.get(key, "0")) for key in ("2", "11", "1", "0")]  # channels, depth, height, width
    told = [size for size in sizes if size]
    return tuple(told) if told else (None, None, None)


def outputs(layers: Sequence[Layer]) -> List[str]:
    """Return the blobs that nothing reads, in their order."""
    read = {blob for layer in layers for blob in layer.bottoms}
    return [blob for layer in layers for blob in layer.tops if blob not in read]


def count_tags(weights: bytes) -> Tuple[int, int]:
    """Return how many weights are stored as FP16 and how many as INT8; everything starts at a multiple of 4."""
    return _count(weights, _HALF), _count(weights, _INTEGER)


def _count(weights: bytes, tag: bytes) -> int:
    found, at = 0, weights.find(tag)
    while at >= 0:
        found += at % len(tag) == 0
        at = weights.find(tag, at + 1)
    return found
