"""What has to be changed in an ONNX graph before RKNN-Toolkit2 takes it."""

from typing import Any

# RKNN-Toolkit2 2.5.0 fuses a Pad with what follows it and fails: "assignment destination is read-only".
_POOLS = ("Conv", "AveragePool")


def fold_pads(model: Any) -> int:
    """Fold each Pad with zeros into the convolution or average pooling that alone reads it; return how many.

    A convolution pads with zeros anyway; an average over padding that counts it is the same number.
    """
    constants = _constants(model)
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = {entry.name for entry in model.graph.output}
    folded = []
    for node in model.graph.node:
        pads = _zero_pads(node, constants)
        after = readers.get(node.output[0], [])
        if pads is None or len(after) != 1 or after[0].op_type not in _POOLS or node.output[0] in kept:
            continue
        if _take_over(after[0], pads):
            after[0].input[0] = node.input[0]
            folded.append(node)
    for node in folded:
        model.graph.node.remove(node)
    return len(folded)


def _constants(model: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found.update(
                {node.output[0]: numpy_helper.to_array(each.t) for each in node.attribute if each.name == "value"}
            )
    return found


def _zero_pads(node: Any, constants: dict[str, Any]) -> list[int] | None:
    """Return beginnings and ends of the spatial axes, if that is all that the node pads, with zeros."""
    if node.op_type != "Pad" or len(node.input) < 2 or node.input[1] not in constants:  # noqa: PLR2004
        return None
    mode = next((each.s for each in node.attribute if each.name == "mode"), b"constant")
    value = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None  # noqa: PLR2004
    axes_given = len(node.input) > 3 and node.input[3]  # noqa: PLR2004
    if mode != b"constant" or axes_given or (value is not None and float(value) != 0.0):
        return None
    pads = [int(size) for size in constants[node.input[1]]]
    half = len(pads) // 2
    batch_and_channels = pads[:2] + pads[half : half + 2]
    if any(batch_and_channels) or min(pads) < 0:
        return None
    return pads[2:half] + pads[half + 2 :]


def _take_over(node: Any, pads: list[int]) -> bool:
    """Add the pads to the node's own; tell whether that can be done."""
    from onnx import helper

    own = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    before = list(own.get("pads", [0] * len(pads)))
    counts = own.get("count_include_pad", 0) == 1
    automatic = own.get("auto_pad", b"NOTSET") != b"NOTSET"
    if automatic or own.get("ceil_mode", 0) or len(before) != len(pads):
        return False
    if node.op_type == "AveragePool" and any(before) and not counts:
        return False
    changed = {"pads": [a + b for a, b in zip(before, pads, strict=True)]}
    if node.op_type == "AveragePool":
        changed["count_include_pad"] = 1
    kept = [each for each in node.attribute if each.name not in changed]
    del node.attribute[:]
    node.attribute.extend(kept + [helper.make_attribute(name, value) for name, value in changed.items()])
    return True
