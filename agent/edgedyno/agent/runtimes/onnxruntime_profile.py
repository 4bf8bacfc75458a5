"""What really ran, from ONNX Runtime's own profile: kernels, their arithmetic, provider and share of time."""

from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import OperatorTime
from edgedyno.agent.runtimes.operators import mean_times

# Kernels that only convert: they are the price of a precision, not work in it.
_CONVERSIONS = frozenset(
    ["QuantizeLinear", "DequantizeLinear", "Cast", "ReorderInput", "ReorderOutput", "DynamicQuantizeLinear"]
)
_INTEGER_TYPES = frozenset(["int8", "uint8"])
_MOSTLY = 0.5
_HARDLY = 0.02


def describe(events: List[Dict[str, Any]]) -> Tuple[str, str]:
    """Put a profile into a word and its detail: `int8` and `84 % of kernel time; 16 % converting ...`."""
    kernels = [event for event in events if _is_kernel(event)]
    shares = {"int8": 0.0, "fp16": 0.0, "fp32": 0.0, "unknown": 0.0, "converting": 0.0}
    half_casts = set()
    for event in kernels:
        shares[_arithmetic(event["args"])] += float(event["dur"])
        if event["args"]["op_name"] == "Cast" and "float16" in _types(event["args"], "input") + _types(
            event["args"], "output"
        ):
            half_casts.add(event["name"])
    total = sum(shares.values())
    if not total:
        return "unknown", "the profile holds no kernel"
    shares = {name: share / total for name, share in shares.items()}
    return _words(shares, len(half_casts))


def provider_shares(events: List[Dict[str, Any]]) -> Dict[str, float]:
    """Return each execution provider's share of kernel time, by its name without `ExecutionProvider`."""
    taken: Dict[str, float] = {}
    for event in events:
        if _is_kernel(event):
            name = event["args"].get("provider", "unknown").replace("ExecutionProvider", "")
            # A kernel may take less than the profile's microsecond: even so it ran.
            taken[name] = taken.get(name, 0.0) + max(float(event["dur"]), 0.5)
    total = sum(taken.values())
    return {name: value / total for name, value in sorted(taken.items(), key=lambda item: -item[1])}


def operators(events: List[Dict[str, Any]], inferences: int) -> List[OperatorTime]:
    """Return each kernel's mean time; the first inference of `inferences` + 1, which is slower, is left out."""
    first_done = set()
    kept = []
    for event in events:
        if not _is_kernel(event):
            continue
        name = event["name"][: -len("_kernel_time")]
        if name in first_done:
            args = event["args"]
            kept.append((name, args["op_name"], _arithmetic(args), float(event["dur"]) / 1e6))
        first_done.add(name)
    return mean_times(kept, inferences)


def _is_kernel(event: Dict[str, Any]) -> bool:
    return bool(event.get("cat") == "Node" and event.get("name", "").endswith("_kernel_time"))


def _arithmetic(args: Dict[str, Any]) -> str:
    operator = args["op_name"]
    if operator in _CONVERSIONS:
        return "converting"
    if _is_compiled(args):
        return "unknown"
    inputs = _types(args, "input")
    # Not every input of an integer kernel is an integer: scales are floats, so the first one decides.
    if operator.startswith("QLinear") or operator in ("QGemm", "ConvInteger", "MatMulInteger"):
        return "int8"
    if inputs and inputs[0] in _INTEGER_TYPES:
        return "int8"
    return "fp16" if inputs and inputs[0] == "float16" else "fp32"


def _is_compiled(args: Dict[str, Any]) -> bool:
    """Tell whether a provider compiled a part of the graph into this one: what it computes with is its own.

    Such nodes have names such as `TRTKernel_graph_main_12_0`; operators' names have no underscore.
    """
    return "_" in args["op_name"] and args.get("provider") != "CPUExecutionProvider"


def _types(args: Dict[str, Any], side: str) -> List[str]:
    return [name for entry in args.get(side + "_type_shape", []) for name in entry]


def _words(shares: Dict[str, float], half_casts: int) -> Tuple[str, str]:
    working = {name: shares[name] for name in ("int8", "fp16", "fp32", "unknown")}
    work = sum(working.values()) or 1.0
    main = max(working, key=lambda name: working[name])
    label = main if working[main] / work > _MOSTLY else "mixed"
    if label == "fp32" and half_casts:
        took = shares["converting"] * 100
        return label, "fp16 stored, %d Cast nodes take %.0f %% of kernel time" % (half_casts, took)
    others = {"float": "fp32", "half": "fp16", "integer": "int8", "compiled by the provider": "unknown"}
    parts = ["%.0f %% of kernel time" % (shares[main] * 100)]
    if shares["converting"] > _HARDLY:
        parts.append("%.0f %% converting (Q/DQ, casts, reorders)" % (shares["converting"] * 100))
    parts += [
        "%.0f %% %s" % (shares[name] * 100, word)
        for word, name in others.items()
        if name != main and shares[name] > _HARDLY
    ]
    return label, "; ".join(parts)
