"""An ONNX file as a PyTorch module of which nothing depends on values that are only known at run time.

onnx2torch keeps shapes, pads and sizes as tensors and looks at them while the model runs; torch.export refuses
that. So each node is traced by itself on an input of the real shape: what does not depend on the model's input
becomes a constant. Each stays a module of its own, `OnnxNode` in the attribute `n<number>`, and litert_torch
writes both words into the names of its tensors: that is how a node is found again in the .tflite file.

Imported in the builder's interpreter only: it needs PyTorch to be loaded at all.
"""

import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, make_fx
from torch.fx.node import map_arg
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgedyno.controller.lab.variants.tools.toolkit import BuildError

# Their output follows from the shape of their input alone, and shapes are fixed here.
_OF_SHAPES = ("OnnxShape", "OnnxSize")


class Specialized(NamedTuple):
    """A module for one input shape, and the ONNX outputs of each node by its number."""

    module: Any
    outputs: list[tuple[str, ...]]


def read(source: str, input_shape: list[int]) -> Specialized:
    """Read the ONNX file for this input shape. Raises BuildError (variant.operator) where a node has no converter."""
    _stand_in_for_torchvision()
    from onnx2torch import convert

    try:
        module = convert(source, attach_onnx_mapping=True).eval()
    except NotImplementedError as error:
        raise BuildError(
            "variant.operator", f"onnx2torch cannot convert the model: {' '.join(str(error).split())}"
        ) from error
    with torch.no_grad():
        return _Specializer(module).run(torch.zeros(*input_shape))


def _stand_in_for_torchvision() -> None:
    """Let onnx2torch be imported without torchvision: it needs it for NonMaxSuppression and RoiAlign alone."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        package, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        package.ops, operators.roi_align = operators, None  # type: ignore[attr-defined]
        sys.modules.update({"torchvision": package, "torchvision.ops": operators})


class OnnxNode(torch.nn.Module):  # type: ignore[misc]
    """One node; a class of its own because only such modules leave their name behind, traced graphs do not."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, *inputs: Any) -> Any:
        """Run the traced node."""
        return self.body(*inputs)


class _Step(NamedTuple):
    name: str
    """Attribute of the module, or empty for `function`."""
    function: Any
    inputs: Any
    """Arguments, in which fx nodes stand for results."""
    result: Any


class _Sequence(torch.nn.Module):  # type: ignore[misc]
    """The nodes in their order."""

    def __init__(self, entry: Any, steps: list[_Step], results: list[Any]) -> None:
        super().__init__()
        self._entry, self._steps, self._results = entry, steps, results
        for step in steps:
            if step.name:
                self.add_module(step.name, step.function)

    def forward(self, tensor: Any) -> Any:
        """Run all nodes and return the model's outputs."""
        found = {self._entry: tensor}
        for step in self._steps:
            function = getattr(self, step.name) if step.name else step.function
            found[step.result] = function(*map_arg(step.inputs, found.__getitem__))
        return tuple(found[result] for result in self._results)


# The names of tensors hold these words for each layer they lie in: the whole path made files 7 % larger.
OnnxNode.__module__ = _Sequence.__module__ = "edgedyno"


class _Specializer:
    """Runs onnx2torch's graph once and keeps what depends on the model's input."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._values: dict[Any, Any] = {}
        self._live: set[Any] = set()
        self._steps: list[_Step] = []
        self._outputs: list[tuple[str, ...]] = []

    def run(self, example: Any) -> Specialized:
        """Return the module for inputs of the example's shape."""
        entry: Any = None
        results: list[Any] = []
        for node in self._module.graph.nodes:
            if node.op == "placeholder":
                entry = node
                self._values[node] = example
                self._live.add(node)
            elif node.op == "get_attr":
                self._values[node] = self._module.get_buffer(node.target)
            elif node.op == "output":
                found = node.args[0]
                results = list(found) if isinstance(found, (tuple, list)) else [found]
            else:
                self._compute(node)
        return Specialized(_Sequence(entry, self._steps, results).eval(), self._outputs)

    def _compute(self, node: Any) -> None:
        is_module = node.op == "call_module"
        function = self._module.get_submodule(node.target) if is_module else node.target
        self._values[node] = function(
            *map_arg(node.args, self._values.__getitem__), **map_arg(node.kwargs, self._values.__getitem__)
        )
        live = [source for source in node.all_input_nodes if source in self._live]
        if not live or type(function).__name__ in _OF_SHAPES:
            return
        self._live.add(node)
        if not is_module:  # one of several outputs is picked
            self._steps.append(_Step("", function, node.args, node))
            return
        name = f"n{len(self._outputs)}"
        self._outputs.append(tuple(function.onnx_mapping.outputs))
        self._steps.append(_Step(name, OnnxNode(self._trace(node, function, live)), tuple(live), node))

    def _trace(self, node: Any, function: Callable[..., Any], live: list[Any]) -> Any:
        def of_live(*tensors: Any) -> Any:
            known = {**self._values, **dict(zip(live, tensors, strict=True))}
            with _Fold(tensors):
                return function(
                    *map_arg(node.args, known.__getitem__), **map_arg(node.kwargs, known.__getitem__)
                )

        return make_fx(of_live)(*[self._values[source] for source in live])


class _Fold(TorchDispatchMode):  # type: ignore[misc]
    """Computes at once, outside the trace, what does not depend on the live tensors."""

    def __init__(self, live: tuple[Any, ...]) -> None:
        super().__init__()
        self._live = {id(tensor): tensor for tensor in live}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not any(id(leaf) in self._live for leaf in tree_leaves((args, kwargs))):
            with disable_proxy_modes_tracing():
                return func(*args, **kwargs)
        results = func(*args, **kwargs)
        self._live.update({id(leaf): leaf for leaf in tree_leaves(results) if isinstance(leaf, torch.Tensor)})
        return results
