"""What a model file is, told from its content alone, without the heavy package that made it."""

from edgedyno.controller.lab.inspection.inspect import inspect_file
from edgedyno.controller.lab.inspection.kind import Kind, identify
from edgedyno.controller.lab.inspection.model import Inspection, Tensor, Trip

__all__ = ["Inspection", "Kind", "Tensor", "Trip", "identify", "inspect_file"]
