"""Variants of a model: FP32 as given, FP16 converted, INT8 calibrated, in every format that has a tool.

Built once, kept by their recipe.
"""

from edgedyno.controller.lab.variants.build import Building, build_variants
from edgedyno.controller.lab.variants.cpu import needs_reduce_range
from edgedyno.controller.lab.variants.formats import FOREIGN, FORMATS, unserved, wanted_formats, what_to_do

__all__ = [
    "FOREIGN",
    "FORMATS",
    "Building",
    "build_variants",
    "needs_reduce_range",
    "unserved",
    "wanted_formats",
    "what_to_do",
]
