"""Variants of a model: FP32 as given, FP16 converted, INT8 calibrated. Built once, kept by their recipe."""

from edgedyno.controller.lab.variants.build import build_variants
from edgedyno.controller.lab.variants.cpu import needs_reduce_range

__all__ = ["build_variants", "needs_reduce_range"]
