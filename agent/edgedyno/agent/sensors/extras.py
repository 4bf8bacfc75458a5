"""The vendors' libraries behind a few meters: extras of this package, which no board has by default."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors.base import Unavailable

if TYPE_CHECKING:
    from types import ModuleType

INSTALL = "pip install 'edgedyno["


class Extra(NamedTuple):
    """A library, and the extra of this package that brings it."""

    module: str
    package: str
    extra: str

    @property
    def remedy(self) -> str:
        """How to get it."""
        return f"{INSTALL}{self.extra}]'"


NVML = Extra("pynvml", "nvidia-ml-py", "nvml")
IPMI = Extra("pyghmi.ipmi.command", "pyghmi", "ipmi")
TC66 = Extra("tc66_serial", "tc66-serial", "tc66")


def load(extra: Extra, why: str) -> ModuleType | Unavailable:
    """Return the library; where it is not installed, `why` it is needed and how to get it."""
    try:
        return importlib.import_module(extra.module)
    except ImportError:
        return Unavailable(f"{why} the Python package {extra.package}: {extra.remedy}")
