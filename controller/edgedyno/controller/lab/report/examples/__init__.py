"""Example images: what FP32 and the variants see in the same images, the most changed first."""

from edgedyno.controller.lab.report.examples.gallery import Budget, Gallery, make_gallery

__all__ = ["Budget", "Gallery", "make_gallery"]
