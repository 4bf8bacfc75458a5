"""Where an ONNX node went in OpenVINO's graph: one node becomes several, of which only the last bears its name."""

from collections.abc import Iterator, Sequence
from typing import Any

_NOT_COMPUTED = ("Constant", "Parameter")


def names_between(model: Any, outputs: Sequence[str]) -> list[str]:
    """Return the names of the operations that make up the ONNX nodes with these outputs.

    A tensor that the ONNX file names bounds the walk: what lies between it and an output is that output's node.
    """
    owners = {
        name: port.get_node()
        for node in model.get_ops()
        for port in node.outputs()
        for name in port.get_names()
    }
    found: dict[str, None] = {}
    for output in outputs:
        if output not in owners:
            continue  # Fused into what reads it (a sigmoid and a product are one Swish), or a constant by now.
        for node in _back_to_named(owners[output]):
            found[node.get_friendly_name()] = None
    return sorted(found)


def _back_to_named(node: Any) -> Iterator[Any]:
    """Yield the node and what leads to it, as far as nothing on the way has a name in the ONNX file."""
    seen = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        name = current.get_friendly_name()
        if name in seen or current.get_type_name() in _NOT_COMPUTED:
            continue
        seen.add(name)
        yield current
        sources = [entry.get_source_output() for entry in current.inputs()]
        waiting += [port.get_node() for port in sources if not port.get_names()]
