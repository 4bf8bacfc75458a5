"""From an image file to a model's input, and from its output to boxes or classes.

Calibration and the accuracy pass share this code, so that both see the very same pixels. The daemon never
imports it.
"""

from edgedyno.core.vision.decoding import decode, decode_classes
from edgedyno.core.vision.geometry import Geometry, Prepared
from edgedyno.core.vision.image import read_pixels
from edgedyno.core.vision.preparation import fill, fit, prepare, tensor_shape

__all__ = [
    "Geometry",
    "Prepared",
    "decode",
    "decode_classes",
    "fill",
    "fit",
    "prepare",
    "read_pixels",
    "tensor_shape",
]
