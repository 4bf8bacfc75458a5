"""A graph with its weights, and the two files that it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, read_graph, write_graph
from edgedyno.controller.lab.variants.tools.ncnn_run import Network
from edgedyno.controller.lab.variants.tools.ncnn_weights import Weights, read_weights, write_weights


class Model(NamedTuple):
    """What a `.param` and a `.bin` hold together."""

    graph: Graph
    weights: list[Weights]


class Files(NamedTuple):
    """Where a model's two files are: this path with the endings .param and .bin."""

    stem: Path

    def read(self) -> Model:
        """Return the model in the files."""
        param, binary = self._paths()
        graph = read_graph(param.read_text("utf-8"))
        return Model(graph, read_weights(graph, binary.read_bytes()))

    def write(self, model: Model) -> Network:
        """Write the model, and load it as any runtime will."""
        param, binary = self._paths()
        param.write_text(write_graph(model.graph), "utf-8")
        binary.write_bytes(write_weights(model.weights))
        return Network(param, binary)

    def network(self) -> Network:
        """Load the files."""
        return Network(*self._paths())

    def members(self) -> dict[str, str]:
        """Return the bundle's members."""
        param, binary = self._paths()
        return {"model.param": str(param), "model.bin": str(binary)}

    def _paths(self) -> tuple[Path, Path]:
        return Path(f"{self.stem}.param"), Path(f"{self.stem}.bin")
