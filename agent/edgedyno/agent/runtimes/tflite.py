"""TensorFlow Lite as its last package of its own has it, tflite-runtime 2.14 (2023-10); it needs NumPy 1.

Its successor is LiteRT, whose interpreter has the same interface; where they differ stands here.
"""

from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import InferenceError, OperatorProfile
from edgedyno.agent.runtimes.litert import LiteRt


class TfLite(LiteRt):
    """One interpreter."""

    @staticmethod
    def _import() -> Tuple[Any, Any]:
        import tflite_runtime
        from tflite_runtime.interpreter import Interpreter

        return tflite_runtime, Interpreter

    def effective_precision(self) -> Tuple[str, str]:
        """Read the interpreter's own graph; 2.14 leaves whole integer graphs to its own kernels."""
        word, detail = super().effective_precision()
        return word, detail.replace("LiteRT's own", "TensorFlow Lite's own")

    def _operators(self) -> List[Dict[str, Any]]:
        """Add the types of operands, which this interpreter tells with its tensors only."""
        types = {int(each["index"]): each["dtype"] for each in self._interpreter.get_tensor_details()}
        return [
            dict(each, operand_types=[types.get(int(tensor)) for tensor in each["inputs"] if tensor >= 0])
            for each in super()._operators()
        ]

    def profile(self) -> OperatorProfile:
        """Say why not."""
        raise InferenceError(
            "profile.unsupported",
            "TensorFlow Lite's Python interface gives no times of operators; its profiler is for C++ only",
        )
