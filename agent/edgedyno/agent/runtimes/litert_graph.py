"""What LiteRT runs, from the interpreter's own graph: arithmetic by its tensors' types, and who runs it.

The Python interface gives no kernel times, so shares are of multiply-adds, and the words say so.
"""

from typing import Any, Dict, List, Sequence, Tuple

from edgedyno.agent.runtimes.shares import summarise

# Operators that multiply and add, nearly all of a network's work: where their activations are among the operands.
# Weights are operand 1 of each.
_WEIGHTED = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 0,
    "FULLY_CONNECTED": 0,
    "BATCH_MATMUL": 0,
    "TRANSPOSE_CONV": 2,
}
_ARITHMETIC = {"int8": "int8", "uint8": "int8", "int16": "int16", "float16": "fp16", "float32": "fp32"}
_SHOWN = 4


def describe(
    operators: Sequence[Dict[str, Any]], tensors: Sequence[Dict[str, Any]], outputs: Sequence[int]
) -> Tuple[str, str]:
    """Put the graph into a word and its detail."""
    shapes = {int(tensor["index"]): [int(size) for size in tensor["shape"]] for tensor in tensors}
    work: Dict[str, float] = {}
    for operator in operators:
        if operator["op_name"] in _WEIGHTED:
            name = _arithmetic(operator)
            work[name] = work.get(name, 0.0) + _multiply_adds(operator, shapes)
    word, detail = summarise(work, "multiply-adds")
    parts = [detail, _tell_delegates(operators, outputs)]
    stored = [each for each in operators if _widens(each)]
    if stored:
        parts.append("%d tensors stored as fp16 and widened" % len(stored))
    if any(_is_hybrid(each) for each in operators):
        parts.append("weights of 8 bits, activations quantized on the way")
    return word, "; ".join(parts)


def _arithmetic(operator: Dict[str, Any]) -> str:
    """Weights of 8 bits under float activations are multiplied as integers, by either implementation."""
    kind = _types(operator)[1 if _is_hybrid(operator) else _WEIGHTED[operator["op_name"]]]
    return _ARITHMETIC.get(kind, kind)


def _is_hybrid(operator: Dict[str, Any]) -> bool:
    if operator["op_name"] not in _WEIGHTED:
        return False
    names = _types(operator)
    return names[_WEIGHTED[operator["op_name"]]] == "float32" and names[1] == "int8"


def _widens(operator: Dict[str, Any]) -> bool:
    return operator["op_name"] == "DEQUANTIZE" and _types(operator)[:1] == ["float16"]


def _types(operator: Dict[str, Any]) -> List[str]:
    import numpy as np

    return [np.dtype(kind).name for kind in operator["operand_types"]]


def _multiply_adds(operator: Dict[str, Any], shapes: Dict[int, List[int]]) -> float:
    """Count them from the shapes: each value of one side takes part in so many products."""
    name = operator["op_name"]
    weights = shapes.get(int(operator["inputs"][1]), [])
    if name == "TRANSPOSE_CONV":  # [out, height, width, in] for each value that goes in
        return _product(shapes.get(int(operator["inputs"][2]), [])) * _product(weights[:3])
    made = _product(shapes.get(int(operator["outputs"][0]), []))
    if name == "DEPTHWISE_CONV_2D":  # [1, height, width, channels]
        return made * _product(weights[1:3])
    if name == "BATCH_MATMUL":  # [..., inner, columns]
        return made * _product(weights[-2:-1])
    return made * _product(weights[1:])  # [out, height, width, in] and [out, in]


def _product(sizes: Sequence[int]) -> float:
    result = 1.0
    for size in sizes:
        result *= size
    return result


def _tell_delegates(operators: Sequence[Dict[str, Any]], outputs: Sequence[int]) -> str:
    """Tell how many parts a delegate took, and which operators it left to LiteRT's own kernels."""
    ran = _reachable(operators, outputs)
    left = [each["op_name"] for each in ran if each["op_name"] != "DELEGATE"]
    taken = len(ran) - len(left)
    if not taken:
        return "no delegate: every operator runs in LiteRT's own kernels"
    text = "XNNPACK took %d part%s" % (taken, "" if taken == 1 else "s")
    if not left:
        return text + ", all of the graph"
    names = sorted(set(left), key=lambda name: (-left.count(name), name))
    shown = ", ".join("%d %s" % (left.count(name), name) for name in names[:_SHOWN])
    return text + ", not " + shown + (", ..." if len(names) > _SHOWN else "")


def _reachable(operators: Sequence[Dict[str, Any]], outputs: Sequence[int]) -> List[Dict[str, Any]]:
    """Return what runs: walking back from the outputs, a delegate stands before the operators it replaced."""
    makers = {int(tensor): each for each in operators for tensor in each["outputs"]}
    found: Dict[int, Dict[str, Any]] = {}
    to_do = list(outputs)
    while to_do:
        maker = makers.get(to_do.pop())
        if maker is not None and maker["index"] not in found:
            found[maker["index"]] = maker
            to_do += [int(tensor) for tensor in maker["inputs"] if tensor >= 0]
    return list(found.values())
