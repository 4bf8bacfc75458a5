"""What really ran, from ONNX Runtime's own profile: kernels, their arithmetic, their share of time."""

from typing import Any, Dict, List

# Kernels that only convert: they are the price of a precision, not work in it.
_CONVERSIONS = frozenset(
    ["QuantizeLinear", "DequantizeLinear", "Cast", "ReorderInput", "ReorderOutput", "DynamicQuantizeLinear"]
)
_INTEGER_TYPES = frozenset(["int8", "uint8"])
_MOSTLY = 0.5
_HARDLY = 0.02


def describe(events: List[Dict[str, Any]]) -> str:
    """Put a profile into words, such as `fp32` or `int8 (84 % of kernel time; 16 % converting ...)`."""
    kernels = [event for event in events if _is_kernel(event)]
    shares = {"int8": 0.0, "fp16": 0.0, "fp32": 0.0, "converting": 0.0}
    half_casts = set()
    for event in kernels:
        shares[_arithmetic(event["args"])] += float(event["dur"])
        if event["args"]["op_name"] == "Cast" and "float16" in _types(event["args"], "input") + _types(
            event["args"], "output"
        ):
            half_casts.add(event["name"])
    total = sum(shares.values())
    if not total:
        return "unknown (the profile holds no kernel)"
    shares = {name: share / total for name, share in shares.items()}
    return _words(shares, len(half_casts))


def _is_kernel(event: Dict[str, Any]) -> bool:
    return bool(event.get("cat") == "Node" and event.get("name", "").endswith("_kernel_time"))


def _arithmetic(args: Dict[str, Any]) -> str:
    operator = args["op_name"]
    if operator in _CONVERSIONS:
        return "converting"
    inputs = _types(args, "input")
    # Not every input of an integer kernel is an integer: scales are floats, so the first one decides.
    if operator.startswith("QLinear") or operator in ("QGemm", "ConvInteger", "MatMulInteger"):
        return "int8"
    if inputs and inputs[0] in _INTEGER_TYPES:
        return "int8"
    return "fp16" if inputs and inputs[0] == "float16" else "fp32"


def _types(args: Dict[str, Any], side: str) -> List[str]:
    return [name for entry in args.get(side + "_type_shape", []) for name in entry]


def _words(shares: Dict[str, float], half_casts: int) -> str:
    working = {name: shares[name] for name in ("int8", "fp16", "fp32")}
    work = sum(working.values()) or 1.0
    main = max(working, key=lambda name: working[name])
    label = main if working[main] / work > _MOSTLY else "mixed"
    if label == "fp32" and half_casts:
        return "fp32 (fp16 stored, %d Cast nodes take %.0f %% of kernel time)" % (
            half_casts,
            shares["converting"] * 100,
        )
    others = {"float": "fp32", "half": "fp16", "integer": "int8"}
    parts = ["%.0f %% of kernel time" % (shares[main] * 100)]
    if shares["converting"] > _HARDLY:
        parts.append("%.0f %% converting (Q/DQ, casts, reorders)" % (shares["converting"] * 100))
    parts += [
        "%.0f %% %s" % (shares[name] * 100, word)
        for word, name in others.items()
        if name != main and shares[name] > _HARDLY
    ]
    return label if label == "fp32" and len(parts) == 1 else "%s (%s)" % (label, "; ".join(parts))
