"""The first code of a builder: run by path in the tool's own interpreter, with nothing on PYTHONPATH.

It builds the namespace of this folder by hand, so that a foreign interpreter sees the builders and nothing
else of edgedyno's packages. Usage: PYTHON bootstrap.py BUILDER REQUEST.json, where BUILDER is a module here.
"""

import importlib
import sys
import types
from pathlib import Path

_PACKAGE = "edgedyno.controller.lab.variants.tools"


def _build_namespace(folder: str) -> None:
    names = _PACKAGE.split(".")
    for end in range(1, len(names) + 1):
        name = ".".join(names[:end])
        module = types.ModuleType(name)
        module.__path__ = [folder] if name == _PACKAGE else []
        sys.modules[name] = module
        if end > 1:
            setattr(sys.modules[".".join(names[: end - 1])], names[end - 1], module)


def _main() -> int:
    here = Path(__file__).resolve().parent
    # Else a builder would import its own neighbours in place of its tool.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    _build_namespace(str(here))
    toolkit = importlib.import_module(_PACKAGE + ".toolkit")
    return int(toolkit.serve(_PACKAGE + "." + sys.argv[1], sys.argv[2]))


if __name__ == "__main__":
    sys.exit(_main())
