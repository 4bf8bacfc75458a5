"""The contract of a runtime plugin. Runs in foreign interpreters: Python 3.8 and up, standard library only.

A plugin is one module with one class that fulfils `Runtime`, and one line in the entry point group
`edgedyno.runtimes`. The module may import its runtime only inside methods, is loaded only in a worker, and
may import nothing else but the standard library, numpy and this module.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple


class Probe(NamedTuple):
    """Whether the runtime works here: a real model ran, or `reason` says why not."""

    available: bool
    version: Optional[str] = None
    reason: Optional[str] = None
    formats: Tuple[str, ...] = ()
    """Formats of variants that it can load, such as `onnx`; its own first."""
    details: Optional[Dict[str, str]] = None


class LoadOptions(NamedTuple):
    """How to load a variant."""

    model: str
    """Path of the file."""
    threads: int
    batch: int
    scratch: str
    """A folder for the runtime's own files, such as a profile."""


class TensorSpec(NamedTuple):
    """One input as the loaded model declares it; a dimension that is free is None."""

    name: str
    dtype: str
    """As numpy names it."""
    shape: Tuple[Optional[int], ...]
    scale: Optional[float] = None
    """Of a quantized input: it stands for scale * (value - zero_point)."""
    zero_point: Optional[int] = None


class OperatorTime(NamedTuple):
    """One operator as it ran; the same as edgedyno.core.result.OperatorTime."""

    name: str
    type: str
    precision: str
    """fp32, tf32, fp16, bf16, int8, converting, other or unknown."""
    seconds: float
    """Per inference, mean over the profiled ones."""


class OperatorProfile(NamedTuple):
    """Operators in the order they ran, and where the runtime tells this."""

    operators: List[OperatorTime]
    inferences: int
    source: str


class InferenceError(Exception):
    """Why a runtime could not do what it was asked: a stable code and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Runtime(Protocol):
    """One inference engine; an instance holds at most one loaded variant."""

    def probe(self) -> Probe:
        """Run a tiny model of the plugin's own; never raises for a runtime that is missing or broken."""

    def load(self, options: LoadOptions) -> None:
        """Load a variant; raises InferenceError where it cannot be."""

    def inputs(self) -> List[TensorSpec]:
        """Tell the inputs of the loaded variant, in order."""

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Put one array for each input into the runtime's memory; return a reader of the latest outputs."""

    def invoke(self) -> None:
        """Run the variant once on what is bound: this call alone is timed."""

    def effective_precision(self) -> Tuple[str, str]:
        """Tell what really ran, in a word and in detail, from the runtime's own profile on what is bound."""

    def profile(self) -> OperatorProfile:
        """Time each operator on what is bound, apart from any measuring.

        Raises InferenceError (`profile.unsupported`) with the reason where the runtime cannot tell.
        """

    def close(self) -> None:
        """Free the loaded variant."""
