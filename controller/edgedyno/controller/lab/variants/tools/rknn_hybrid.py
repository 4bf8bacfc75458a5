"""The toolkit's quantization file: which tensors stay in FP16."""

from pathlib import Path

_EMPTY = "custom_quantize_layers: {}"
_PARAMETERS = "quantize_parameters:"


def keep_in_float(path: Path, outputs: list[str]) -> list[str]:
    """Name these ONNX outputs in the file, so that what computes them stays in FP16; return those that it knows.

    The toolkit fuses and renames nodes: an output that it does not have was folded into another, which may be
    named here too. It swaps the order of some pairs and marks that with `_sw`.
    """
    text = path.read_text("utf-8")
    known = _tensors(text)
    kept = [name for output in outputs for name in (output, f"{output}_sw") if name in known]
    if kept:
        layers = "".join(f"    {_quoted(name)}: float16\n" for name in kept)
        path.write_text(text.replace(_EMPTY, f"custom_quantize_layers:\n{layers.rstrip()}", 1), "utf-8")
    return kept


def _tensors(text: str) -> set[str]:
    """Return the names in the file's list of parameters: YAML of two levels, and no YAML reader is at hand."""
    lines = text.partition(_PARAMETERS)[2].splitlines()
    names = (line.strip() for line in lines if line.startswith("    ") and not line.startswith("     "))
    return {name[:-1].strip("'\"") for name in names if name.endswith(":")}


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
