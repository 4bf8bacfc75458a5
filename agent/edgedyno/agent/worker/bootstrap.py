"""The first code of a worker: run by path in the runtime's own interpreter, with nothing on PYTHONPATH.

It builds the `edgedyno.agent` namespace by hand, so that a foreign interpreter sees this package and
nothing else of the agent's, and hands over to edgedyno.agent.worker.main.

Usage: PYTHON bootstrap.py COMMAND_FD ANSWER_FD PARENT_PID, or: PYTHON bootstrap.py survey find|import MODULE...
"""

import os
import sys
import types


def _build_namespace(agent_folder: str) -> None:
    for name, path in (("edgedyno", []), ("edgedyno.agent", [agent_folder])):
        module = types.ModuleType(name)
        module.__path__ = path
        sys.modules[name] = module
    sys.modules["edgedyno"].agent = sys.modules["edgedyno.agent"]  # type: ignore[attr-defined]


def _main() -> int:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    _build_namespace(os.path.dirname(here))
    if sys.argv[1] == "survey":
        from edgedyno.agent.worker.survey import main as survey

        return survey(sys.argv[2:])
    from edgedyno.agent.worker.main import main

    return main(*(int(argument) for argument in sys.argv[1:4]))


if __name__ == "__main__":
    sys.exit(_main())
