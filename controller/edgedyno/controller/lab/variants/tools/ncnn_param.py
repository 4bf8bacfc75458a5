"""The text of an ncnn `.param` file as values, and back. What the numbers of a layer mean is not known here.

Format, from ncnn's `docs/developer-guide/param-and-model-file-structure.md`: a magic number, the counts of layers and
blobs, then a line a layer: type, name, counts of inputs and outputs, their names, and `key=value` for parameters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edgedyno.controller.lab.variants.tools.toolkit import BuildError

MAGIC = "7767517"
_PARAMETER = re.compile(r'(-?\d+)=("[^"]*"|\S+)')


class Layer(NamedTuple):
    """One line of the graph; `params` holds the values as they are written."""

    type: str
    name: str
    bottoms: tuple[str, ...]
    """Names of the blobs that it reads."""
    tops: tuple[str, ...]
    """Names of the blobs that it writes."""
    params: dict[int, str]

    def integer(self, key: int, default: int = 0) -> int:
        """Return the parameter as a whole number."""
        return int(self.params.get(key, default))

    def with_params(self, changed: dict[int, int]) -> Layer:
        """Return the layer with these parameters set, in order of their keys behind the others."""
        kept = {key: text for key, text in self.params.items() if key not in changed}
        added = {key: str(changed[key]) for key in sorted(changed)}
        return self._replace(params={**kept, **added})


class Graph(NamedTuple):
    """The layers in the order in which they run; a blob has one producer and one consumer."""

    layers: list[Layer]

    def inputs(self) -> list[Layer]:
        """Return the layers that feed the graph."""
        return [layer for layer in self.layers if layer.type == "Input"]

    def outputs(self) -> list[str]:
        """Return the blobs that no layer reads."""
        read = {blob for layer in self.layers for blob in layer.bottoms}
        return [blob for layer in self.layers for blob in layer.tops if blob not in read]

    def consumers(self) -> dict[str, list[int]]:
        """Return the indices of the layers that read each blob."""
        found: dict[str, list[int]] = {}
        for index, layer in enumerate(self.layers):
            for blob in layer.bottoms:
                found.setdefault(blob, []).append(index)
        return found

    def sources(self) -> dict[str, str]:
        """Return for each blob the one that it copies, itself where it is no copy of another."""
        found: dict[str, str] = {}
        for layer in self.layers:
            for blob in layer.tops:
                found[blob] = found[layer.bottoms[0]] if layer.type == "Split" else blob
        return found


def read_graph(text: str) -> Graph:
    """Return the graph that the text describes. Raises BuildError (ncnn.param) where it is not one."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].strip() != MAGIC:
        found = lines[0].strip()[:40] if lines else "nothing"
        raise BuildError("ncnn.param", f"found {found!r} in the first line of the .param, expected {MAGIC}")
    try:
        layers = [_read_layer(line) for line in lines[2:]]
        expected = int(lines[1].split()[0])
    except (ValueError, IndexError) as error:
        raise BuildError("ncnn.param", f"the .param cannot be read: {error}") from error
    if len(layers) != expected:
        raise BuildError("ncnn.param", f"found {len(layers)} layers in the .param, its head says {expected}")
    return Graph(layers)


def _read_layer(line: str) -> Layer:
    kind, name, bottom_count, top_count, *rest = line.split()
    first, last = int(bottom_count), int(bottom_count) + int(top_count)
    if len(rest) < last:
        raise ValueError(f"layer {name} has fewer blobs than it says")
    after = line.split(None, 4 + last)
    params = {int(key): value for key, value in _PARAMETER.findall(after[4 + last] if rest[last:] else "")}
    return Layer(kind, name, tuple(rest[:first]), tuple(rest[first:last]), params)


def write_graph(graph: Graph) -> str:
    """Return the text as ncnn's own tools lay it out."""
    blobs = sum(len(layer.tops) for layer in graph.layers)
    lines = [MAGIC, f"{len(graph.layers)} {blobs}", *map(_layer_line, graph.layers)]
    return "\n".join(lines) + "\n"


def _layer_line(layer: Layer) -> str:
    head = f"{layer.type:<24} {layer.name:<24} {len(layer.bottoms)} {len(layer.tops)}"
    params = [f"{key}={value}" for key, value in layer.params.items()]
    return " ".join([head, *layer.bottoms, *layer.tops, *params])
