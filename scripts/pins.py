"""Print what pip is to install for entries of the catalogue in one environment: one line for each call of pip.

Usage: pins.py PYTHON ENTRY...
"""

from __future__ import annotations

import platform
import sys

from edgedyno.agent.provision.catalogue import find_entry
from edgedyno.agent.provision.pinning import choose_steps


def main(python: str, names: list[str]) -> int:
    """Put the packages with what they need first; the same package at two versions is an error."""
    whole: dict[str, str] = {}
    alone: dict[str, str] = {}
    for name in names:
        for step in choose_steps(find_entry(name), python, platform.machine()):
            chosen = alone if step.no_deps else whole
            for package, _, version in (each.partition("==") for each in step.packages):
                if chosen.setdefault(package, version) != version:
                    print(f"{name}: {package} at {version} and at {chosen[package]}", file=sys.stderr)
                    return 1
    for flag, chosen in (("", whole), ("--no-deps ", alone)):
        if chosen:
            print(flag + " ".join(f"{package}=={version}" for package, version in chosen.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
